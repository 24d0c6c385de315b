package notify

import (
	"fmt"
	"net/url"
	"strings"

	"canton-backup/internal/secret"
)

// Channel is one way to a human.
type Channel struct {
	Name string // shown to people, key of the ledger; no secret
	Notifier
	// Closes: it keeps a state for each cause and wants to hear of each end, also where nobody asked for messages about it.
	Closes bool
}

// ByURL is the channel of an address of NOTIFY_URLS: http(s) is a webhook, all else is shoutrrr's.
func ByURL(address secret.String) Channel {
	c := Channel{Name: "url", Notifier: Library{URL: address}}
	u, err := url.Parse(address.Reveal())
	if err != nil {
		return c
	}
	scheme := strings.ToLower(u.Scheme)
	switch scheme {
	case "http", "https":
		return Channel{Name: "webhook " + u.Host, Notifier: Webhook{URL: address}}
	case "pagerduty": // of its own, for the library keeps no incident per cause
		host := u.Host
		if host == "" {
			host = "events.pagerduty.com"
		}
		return Channel{Name: "pagerduty " + host, Closes: true, Notifier: PagerDuty{API: "https://" + host, Key: secret.New(strings.Trim(u.Path, "/"))}}
	}
	c.Name = scheme
	if scheme == "smtp" {
		c.Name = "mail"
	}
	if hostIsPublic(scheme) && u.Host != "" {
		c.Name += " " + u.Host
	}
	return c
}

// Distinct gives channels of the same name numbers.
func Distinct(channels []Channel) []Channel {
	seen := map[string]int{}
	for i, c := range channels {
		if seen[c.Name]++; seen[c.Name] > 1 {
			channels[i].Name = fmt.Sprintf("%s #%d", c.Name, seen[c.Name])
		}
	}
	return channels
}
