package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// tolerance is how much earlier than repeat a cause is told again: a quarter of an hour of four, since runs begin and fail a little
// earlier or later than the last one did.
func tolerance(repeat time.Duration) time.Duration { return min(15*time.Minute, repeat/16) }

// Teller tells each channel of a cause at once, again every Repeat while it lasts, and of its end when that is wanted.
type Teller struct {
	Ledger   Ledger
	Channels []Channel
	Repeat   time.Duration
	Recovery bool // messages about the end of a cause, too
	Now      func() time.Time
}

// Report is what became of an alert.
type Report struct {
	Told []string // channels that got it now
	Held string   // why nobody was due to get it; empty when somebody was
	Note string   // what is wrong with the ledger
	// Reached: somebody knows of the cause, now or from a while ago.
	Reached bool
	// Ended counts the causes that are over.
	Ended int
}

// Tell tells every channel that is due. occurrence tells two occurrences of a cause apart from two tries of telling one. The error is
// *Undelivered: who got it, got it; another try reaches the others alone.
func (t Teller) Tell(ctx context.Context, a Alert, occurrence string) (Report, error) {
	var report Report
	var due []Channel
	now := t.Now()
	report.Note = t.Ledger.update(func(b *book, note string) {
		b.forget(now, t.Repeat)
		e := b.occur(a, occurrence, now, t.Repeat)
		maps.DeleteFunc(e.Undelivered, func(name string, _ string) bool { // of channels that are configured no more
			return !slices.ContainsFunc(t.Channels, func(c Channel) bool { return c.Name == name })
		})
		due = t.due(e, now)
		report.Reached = len(due) < len(t.Channels)
		if len(due) == 0 {
			report.Held = e.held(now, t.Repeat)
			return
		}
		due = slices.DeleteFunc(due, func(c Channel) bool { return e.claimed(c.Name, occurrence) })
		if len(due) == 0 {
			report.Held = "it is being told right now"
			return
		}
		a.Note = join(a.Note, e.lasting())
		e.claim(due, occurrence, now)
	})
	if len(due) == 0 {
		return report, nil
	}
	a.Note = join(a.Note, report.Note)
	sent := send(ctx, due, func(Channel) []Alert { return []Alert{a} })
	for _, c := range due {
		if sent[c.Name] == nil {
			report.Told, report.Reached = append(report.Told, c.Name), true
		}
	}
	note := t.Ledger.update(func(b *book, _ string) {
		if e := b.Causes[a.key()]; e != nil {
			e.sent(sent, now)
		}
	})
	report.Note = cmp.Or(report.Note, note) // a disk that was full then, is
	return report, undelivered(sent)
}

// occur records an occurrence of the alert's cause.
func (b *book) occur(a Alert, occurrence string, now time.Time, repeat time.Duration) *entry {
	e := b.Causes[a.key()]
	if e == nil {
		e = &entry{Told: map[string]time.Time{}}
		b.Causes[a.key()] = e
	}
	if e.Ended != nil { // it was over, and is back
		e.Ended = nil
		if !a.Flaps || now.Sub(e.lastTold()) >= repeat { // it is news to the channels that have heard of the end
			maps.DeleteFunc(e.Told, func(name string, _ time.Time) bool { return !e.open(name) })
			e.Times, e.Closed = 0, nil
		}
	}
	if e.Times == 0 {
		e.First = now
	}
	if e.Times == 0 || e.Occurrence != occurrence {
		e.Times++
	}
	e.Last, e.Occurrence, e.Headline, e.Flaps = now, occurrence, summary(a), a.Flaps
	return e
}

// due are the channels to tell now. A channel that never got it, for it failed or is new, is due at every occurrence.
func (t Teller) due(e *entry, now time.Time) []Channel {
	var due []Channel
	early := tolerance(t.Repeat)
	for _, c := range t.Channels {
		last, told := e.Told[c.Name]
		age := now.Sub(last)
		if !told || age >= t.Repeat-early || age < -early { // the clock was set back: nobody knows how long ago it was
			due = append(due, c)
		}
	}
	return due
}

// lasting says that an alert is not the first about its cause.
func (e *entry) lasting() string {
	if e.Times <= 1 || len(e.Told) == 0 {
		return ""
	}
	how := "still"
	if len(e.Closed) > 0 {
		how = "it comes and goes"
	}
	return fmt.Sprintf("%s: since %s, %d times", how, e.First.UTC().Format(time.DateTime+" UTC"), e.Times)
}

// held says why nobody is due.
func (e *entry) held(now time.Time, repeat time.Duration) string {
	last := e.lastTold()
	if last.IsZero() {
		return ""
	}
	meanwhile := ""
	if len(e.Closed) > 0 {
		meanwhile = ", it was over meanwhile"
	}
	return fmt.Sprintf("told %s ago%s, again after %s", max(0, now.Sub(last)).Round(time.Minute), meanwhile, repeat)
}

// claim keeps others from telling the channels.
func (e *entry) claim(channels []Channel, by string, now time.Time) {
	if e.Telling == nil {
		e.Telling = map[string]claim{}
	}
	for _, c := range channels {
		e.Telling[c.Name] = claim{At: now, By: by}
	}
}

// sent records what became of telling it.
func (e *entry) sent(sent map[string]error, now time.Time) {
	for name, err := range sent {
		delete(e.Telling, name)
		if err == nil {
			e.Told[name] = now
			delete(e.Undelivered, name)
			delete(e.Closed, name)
			continue
		}
		if e.Undelivered == nil {
			e.Undelivered = map[string]string{}
		}
		e.Undelivered[name] = oneLine(truncate(err.Error(), fieldLimit))
	}
}

// send tells all channels side by side: one that hangs keeps none waiting.
func send(ctx context.Context, channels []Channel, what func(Channel) []Alert) map[string]error {
	sent := map[string]error{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, c := range channels {
		group.Go(func() {
			var err error
			for _, a := range what(c) {
				if err = c.Notify(ctx, a); err != nil {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sent[c.Name] = err
		})
	}
	group.Wait()
	return sent
}

// Undelivered says which channels did not get an alert.
type Undelivered struct {
	Errors map[string]error // by the channel's name
}

func (e *Undelivered) Error() string {
	texts := map[string]string{}
	for name, err := range e.Errors {
		texts[name] = err.Error()
	}
	return lines(texts)
}

// Unwrap gives the errors that another try may mend, and only without any such those that are final: one dead channel is no reason to give the
// others up.
func (e *Undelivered) Unwrap() []error {
	var passing, final []error
	for _, name := range slices.Sorted(maps.Keys(e.Errors)) {
		if errors.Is(e.Errors[name], ErrRejected) {
			final = append(final, e.Errors[name])
		} else {
			passing = append(passing, e.Errors[name])
		}
	}
	if len(passing) > 0 {
		return passing
	}
	return final
}

// Hang says that another try may bring it to none but those that hang.
func (e *Undelivered) Hang() bool {
	hang := false
	for _, err := range e.Errors {
		var hangs *HangError
		if errors.As(err, &hangs) {
			hang = true
		} else if !errors.Is(err, ErrRejected) {
			return false
		}
	}
	return hang
}

func undelivered(sent map[string]error) error {
	failed := maps.Clone(sent)
	maps.DeleteFunc(failed, func(_ string, err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return &Undelivered{Errors: failed}
}

func lines(byName map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, name+": "+byName[name])
	}
	return strings.Join(all, "; ")
}

// summary is the alert's cause in one line, for lists and for the message of its end.
func summary(a Alert) string {
	first, _, _ := strings.Cut(a.Cause, "\n")
	return oneLine(truncate(strings.TrimPrefix(a.Step+": ", ": ")+first, fieldLimit))
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
