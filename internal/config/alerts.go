package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/secret"
)

var (
	routingPattern = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)
	// urlBreak parts addresses: a comma may also stand inside one, between two recipients of a mail.
	urlBreak = regexp.MustCompile(`[\s,]+([A-Za-z][A-Za-z0-9+.-]*://)`)
)

// NotifySchemes are the schemes that NOTIFY_URLS takes: http and https for a webhook, the others as shoutrrr's manual says. Its logger
// tells nobody, and its Telegram keeps silent about a line that is down; that one has keys of its own.
var NotifySchemes = []string{
	"http", "https", "smtp", "slack", "discord", "pagerduty", "teams", "matrix", "mattermost", "rocketchat", "zulip", "googlechat", "lark", "wecom",
	"signal", "opsgenie", "ntfy", "gotify", "pushover", "pushbullet", "bark", "ifttt", "join", "notifiarr", "generic",
}

func (r *reader) alerts() Alerts {
	a := Alerts{
		Slack: r.webhook("SLACK_WEBHOOK_URL"), Discord: r.webhook("DISCORD_WEBHOOK_URL"), PagerDuty: secret.New(r.text("PAGERDUTY_ROUTING_KEY", "")),
		Ping: r.webhook("PING_URL"), Repeat: r.duration("NOTIFY_REPEAT", 4*time.Hour),
	}
	if !a.PagerDuty.Empty() && !routingPattern.MatchString(a.PagerDuty.Reveal()) {
		r.bad("PAGERDUTY_ROUTING_KEY", a.PagerDuty.String(), "is no integration key", "copy the 32 characters of the service's Events API v2 integration")
		a.PagerDuty = secret.String{}
	}
	if a.Repeat < 15*time.Minute {
		r.bad("NOTIFY_REPEAT", a.Repeat.String(), "is too often", "use 15m or more")
		a.Repeat = 15 * time.Minute
	}
	switch raw := r.text("NOTIFY_ON", "failure"); strings.Join(strings.FieldsFunc(strings.ToLower(raw), func(c rune) bool { return c == ',' || c == ' ' }), ",") {
	case "failure":
	case "failure,recovery", "recovery,failure":
		a.Recovery = true
	default:
		r.bad("NOTIFY_ON", raw, "is not known", "use failure, or failure,recovery")
	}
	raw := urlBreak.ReplaceAllString(r.text("NOTIFY_URLS", ""), "\n$1")
	for _, item := range strings.Split(raw, "\n") {
		if item = strings.Trim(item, " ,"); item == "" {
			continue
		}
		u, err := url.Parse(item)
		scheme := ""
		if err == nil {
			scheme, _, _ = strings.Cut(strings.ToLower(u.Scheme), "+")
		}
		switch {
		case !slices.Contains(NotifySchemes, scheme):
			r.bad("NOTIFY_URLS", misplaced, "holds what is no address of a service", "use https://…, smtp://…, or another of docs/how-to/alerts.md, with spaces between them")
		case strings.HasPrefix(scheme, "http") && u.Host == "":
			r.bad("NOTIFY_URLS", misplaced, "holds a web address without a host", "use https://host/path")
		default:
			a.URLs = append(a.URLs, secret.New(item))
		}
	}
	return a
}

// webhook reads a web address that is a secret: who knows it can write there.
func (r *reader) webhook(name string) secret.String {
	raw := r.text(name, "")
	u, err := url.Parse(raw)
	if raw != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		r.bad(name, secret.New(raw).String(), "is no http(s) address", "copy it whole, with https://")
		return secret.String{}
	}
	return secret.New(raw)
}
