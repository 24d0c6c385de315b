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
	var failed error
	note, err := t.Ledger.update(ctx, func(b *book, note string) error {
		now := t.Now()
		b.forget(now)
		e := b.occur(a, occurrence, now)
		maps.DeleteFunc(e.Undelivered, func(name string, _ string) bool { // of channels that are configured no more
			return !slices.ContainsFunc(t.Channels, func(c Channel) bool { return c.Name == name })
		})
		due := t.due(e, now)
		report.Reached = len(due) < len(t.Channels)
		if len(due) == 0 {
			report.Held = held(e, now, t.Repeat)
			return nil
		}
		if e.Times > 1 && len(e.Told) > 0 {
			a.Note = join(a.Note, fmt.Sprintf("still: since %s, %d times", e.First.UTC().Format(time.DateTime+" UTC"), e.Times))
		}
		a.Note = join(a.Note, note)
		sent := send(ctx, due, func(Channel) []Alert { return []Alert{a} })
		for _, c := range due {
			if sent[c.Name] == nil {
				e.Told[c.Name] = now
				delete(e.Undelivered, c.Name)
				report.Told, report.Reached = append(report.Told, c.Name), true
			} else {
				if e.Undelivered == nil {
					e.Undelivered = map[string]string{}
				}
				e.Undelivered[c.Name] = oneLine(truncate(sent[c.Name].Error(), fieldLimit))
			}
		}
		failed = undelivered(sent)
		return nil
	})
	report.Note = note
	return report, errors.Join(failed, err)
}

// Over ends every remembered cause whose key begins with scope, but those of still, and tells the channels that were told of it. Nothing
// remembered: nothing is told. The error is as Tell's.
func (t Teller) Over(ctx context.Context, scope string, still []string, a Alert) (Report, error) {
	var report Report
	var failed error
	a.Over = true
	note, err := t.Ledger.update(ctx, func(b *book, _ string) error {
		now := t.Now()
		ended := map[string]*entry{}
		for key, e := range b.Causes {
			if strings.HasPrefix(key, scope) && !slices.Contains(still, key) {
				ended[key] = e
				if e.Ended == nil {
					report.Ended++
					e.Ended = &now
				}
			}
		}
		var concerned []Channel
		for _, c := range t.Channels {
			if (t.Recovery || c.Closes) && len(of(ended, c)) > 0 {
				concerned = append(concerned, c)
			}
		}
		sent := send(ctx, concerned, func(c Channel) []Alert { return endings(a, of(ended, c), c.Closes) })
		for _, c := range concerned {
			if sent[c.Name] == nil {
				report.Told = append(report.Told, c.Name)
			}
		}
		for key, e := range ended {
			maps.DeleteFunc(e.Told, func(name string, _ time.Time) bool {
				return sent[name] == nil || errors.Is(sent[name], ErrRejected) // a channel that is gone hears nothing of it
			})
			if len(e.Told) == 0 {
				delete(b.Causes, key)
			}
		}
		failed = undelivered(sent)
		return nil
	})
	report.Note = note
	return report, errors.Join(failed, err)
}

// LastTold is when any channel was last told of a cause whose key begins with scope; zero when none was.
func (l Ledger) LastTold(scope string) time.Time {
	b, err := read(l.File)
	if err != nil {
		return time.Time{}
	}
	var last time.Time
	for key, e := range b.Causes {
		for _, at := range e.Told {
			if strings.HasPrefix(key, scope) && at.After(last) {
				last = at
			}
		}
	}
	return last
}

// occur records an occurrence of the alert's cause.
func (b *book) occur(a Alert, occurrence string, now time.Time) *entry {
	e := b.Causes[a.key()]
	if e == nil {
		e = &entry{Told: map[string]time.Time{}}
		b.Causes[a.key()] = e
	}
	if e.Ended != nil { // it was over, and is back: the channels that have heard of the end are told at once
		e.Ended, e.Times = nil, 0
	}
	if e.Times == 0 {
		e.First = now
	}
	if e.Times == 0 || e.Occurrence != occurrence {
		e.Times++
	}
	e.Last, e.Occurrence, e.Headline = now, occurrence, summary(a)
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

func held(e *entry, now time.Time, repeat time.Duration) string {
	var last time.Time
	for _, at := range e.Told {
		if at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return ""
	}
	return fmt.Sprintf("told %s ago, again after %s", max(0, now.Sub(last)).Round(time.Minute), repeat)
}

// of picks the causes that the channel was told.
func of(ended map[string]*entry, c Channel) map[string]*entry {
	told := map[string]*entry{}
	for key, e := range ended {
		if _, has := e.Told[c.Name]; has {
			told[key] = e
		}
	}
	return told
}

// endings are what a channel gets: one message for all causes, or one for each where each has a state.
func endings(a Alert, ended map[string]*entry, each bool) []Alert {
	var alerts []Alert
	var all []string
	for _, key := range slices.Sorted(maps.Keys(ended)) {
		e := ended[key]
		line := fmt.Sprintf("over: %s — since %s, %d times", e.Headline, e.First.UTC().Format(time.DateTime+" UTC"), e.Times)
		all = append(all, line)
		one := a
		one.Key, one.Cause = key, line
		alerts = append(alerts, one)
	}
	if each {
		return alerts
	}
	a.Key, a.Cause = cmp.Or(a.Key, cmp.Or(a.What, "Backup")+"/over"), strings.Join(all, "\n")
	return []Alert{a}
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
