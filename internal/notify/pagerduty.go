package notify

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"canton-backup/internal/secret"
)

// PagerDuty opens an incident for each cause, and closes it when the cause is over (Events API v2).
type PagerDuty struct {
	API string // https://events.pagerduty.com, without a slash at its end
	Key secret.String
}

var _ Notifier = PagerDuty{}

const (
	dedupLimit   = 255
	summaryLimit = 1024
)

// Notify implements Notifier. An alert that is over closes the incident of its Key.
func (p PagerDuty) Notify(ctx context.Context, a Alert) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	action := "trigger"
	if a.Over {
		action = "resolve"
	}
	severity := "error"
	if a.Done || a.Test {
		severity = "warning"
	}
	event := map[string]any{"routing_key": p.Key.Reveal(), "event_action": action, "dedup_key": dedupKey(a.Node, a.key()), "client": "canton-backup",
		"payload": map[string]any{
			"summary": truncate(oneLine(a.Headline()+" — "+a.Step+" — "+a.Cause), summaryLimit), "source": a.Node, "severity": severity,
			"component": a.Step, "group": a.Network, "class": a.key(), "custom_details": map[string]string{"text": a.Text()},
		}}
	if err := p.send(ctx, event); err != nil || !a.Test {
		return err
	}
	event["event_action"] = "resolve" // a test leaves nothing open
	return p.send(ctx, event)
}

func (p PagerDuty) send(ctx context.Context, event any) error {
	got, err := post(ctx, p.API+"/v2/enqueue", event, p.Key.Reveal())
	if err != nil {
		return fmt.Errorf("send alert: %w", err)
	}
	var said struct {
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}
	_ = json.Unmarshal(got.body, &said) // without it the status says enough
	return got.judge(strings.Join(append([]string{said.Message}, said.Errors...), " "), "PAGERDUTY_ROUTING_KEY")
}

// dedupKey is the same for the same cause on the same node, at any length of their names.
func dedupKey(node, key string) string {
	text := "canton-backup/" + node + "/" + key
	if len(text) <= dedupLimit {
		return text
	}
	return fmt.Sprintf("canton-backup/%x", sha256.Sum256([]byte(text)))
}
