package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Over ends every remembered cause whose key begins with scope, but those of still, and tells the channels that were told of it. Nothing
// remembered: nothing is told. The error is as Tell's.
func (t Teller) Over(ctx context.Context, scope string, still []string, a Alert) (Report, error) {
	var report Report
	a.Over = true
	now := t.Now()
	ended := map[string]entry{}
	report.Note = t.Ledger.update(func(b *book, _ string) {
		b.forget(now, t.Repeat)
		for key, e := range b.Causes {
			if !strings.HasPrefix(key, scope) || slices.Contains(still, key) || e.settled() {
				continue
			}
			if e.Ended == nil {
				report.Ended++
				e.Ended = &now
			}
			ended[key] = e.copied()
		}
	})
	if len(ended) == 0 {
		return report, nil
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
	note := t.Ledger.update(func(b *book, _ string) {
		for key, was := range ended {
			if e := b.Causes[key]; e != nil && e.heard(was, sent, now) {
				delete(b.Causes, key)
			}
		}
	})
	report.Note = cmp.Or(report.Note, note)
	return report, undelivered(sent)
}

// copied is what was known when it ended.
func (e *entry) copied() entry {
	c := *e
	c.Told, c.Closed = maps.Clone(e.Told), maps.Clone(e.Closed)
	return c
}

// heard records who heard of the end of what was: all but those to whom another try may bring it, also a channel that is gone. It returns whether
// nothing is left to be known.
func (e *entry) heard(was entry, sent map[string]error, now time.Time) bool {
	for name, at := range was.Told {
		if sent[name] != nil && !errors.Is(sent[name], ErrRejected) || !e.Told[name].Equal(at) { // told anew meanwhile
			continue
		}
		if !e.Flaps {
			delete(e.Told, name)
			continue
		}
		if e.Closed == nil {
			e.Closed = map[string]time.Time{}
		}
		if e.open(name) {
			e.Closed[name] = now
		}
	}
	return e.settled() && len(e.Told) == 0
}

// of picks the causes of whose occurrence the channel was told.
func of(ended map[string]entry, c Channel) map[string]entry {
	told := map[string]entry{}
	for key, e := range ended {
		if e.open(c.Name) {
			told[key] = e
		}
	}
	return told
}

// endings are what a channel gets: one message for all causes, or one for each where each has a state.
func endings(a Alert, ended map[string]entry, each bool) []Alert {
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
