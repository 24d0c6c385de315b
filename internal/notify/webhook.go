package notify

import (
	"context"
	"fmt"

	"canton-backup/internal/backupset"
	"canton-backup/internal/secret"
)

// Webhook posts alerts as JSON to an address of the operator's own.
type Webhook struct{ URL secret.String }

var _ Notifier = Webhook{}

// Event is the body of a webhook's request: a written contract, see docs/how-to/alerts.md.
type Event struct {
	Version  int          `json:"version"` // 1
	Event    string       `json:"event"`   // "trigger", "over" or "test"
	Key      string       `json:"key"`     // the cause; the same while it lasts
	Node     string       `json:"node"`
	Network  string       `json:"network"`
	Headline string       `json:"headline"`
	Step     string       `json:"step,omitempty"`
	Cause    string       `json:"cause,omitempty"`
	Next     string       `json:"next,omitempty"` // what to do
	Note     string       `json:"note,omitempty"` // since when it lasts
	Set      backupset.ID `json:"set,omitempty"`
	LastGood string       `json:"last_good,omitempty"`
	Run      string       `json:"run,omitempty"`
	Text     string       `json:"text"` // all of it, for a human
}

// Notify implements Notifier.
func (w Webhook) Notify(ctx context.Context, a Alert) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	event := Event{Version: 1, Event: "trigger", Key: a.key(), Node: a.Node, Network: a.Network, Headline: a.Headline(), Step: a.Step, Cause: a.Cause, Next: a.Next,
		Note: a.Note, Set: a.Set, LastGood: a.LastGood, Run: a.Run, Text: a.Text()}
	switch {
	case a.Test:
		event.Event = "test"
	case a.Over:
		event.Event = "over"
	}
	got, err := post(ctx, w.URL.Reveal(), event)
	if err != nil {
		return fmt.Errorf("send alert: %w", err)
	}
	return got.judge(string(got.body), "the address in NOTIFY_URLS")
}
