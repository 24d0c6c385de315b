package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"canton-backup/internal/secret"
)

// Slack sends alerts to an incoming webhook of Slack, or of a server that takes the same (Mattermost, Rocket.Chat).
type Slack struct{ URL secret.String }

var _ Notifier = Slack{}

// Notify implements Notifier.
func (s Slack) Notify(ctx context.Context, a Alert) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	text := fmt.Sprintf("*%s*\n```%s```", slackText(a.Headline()), slackText(fenced(a.body())))
	got, err := post(ctx, s.URL.Reveal(), map[string]any{"text": text, "unfurl_links": false})
	if err != nil {
		return fmt.Errorf("send alert: %w", err)
	}
	return got.judge(string(got.body), "SLACK_WEBHOOK_URL")
}

// slackText escapes what Slack reads as markup: with it, an error's text could call everybody.
func slackText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// Discord sends alerts to a webhook of Discord.
type Discord struct{ URL secret.String }

var _ Notifier = Discord{}

// discordLimit keeps a message below Discord's 2000 characters, with headline and fences.
const discordLimit = 1400

// Notify implements Notifier. Nobody is called by name, whatever the text says.
func (d Discord) Notify(ctx context.Context, a Alert) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	text := fmt.Sprintf("**%s**\n```\n%s\n```", fenced(a.Headline()), truncate(fenced(a.body()), discordLimit))
	got, err := post(ctx, d.URL.Reveal(), map[string]any{"content": text, "allowed_mentions": map[string]any{"parse": []string{}}})
	if err != nil {
		return fmt.Errorf("send alert: %w", err)
	}
	var said struct {
		Message    string  `json:"message"`
		RetryAfter float64 `json:"retry_after"` // seconds
	}
	_ = json.Unmarshal(got.body, &said) // without it the status says enough
	got.after = max(got.after, time.Duration(said.RetryAfter*float64(time.Second)))
	return got.judge(said.Message, "DISCORD_WEBHOOK_URL")
}

// fenced keeps a text inside its block of code.
func fenced(text string) string {
	return strings.ReplaceAll(text, "```", "'''")
}
