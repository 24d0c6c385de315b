package activities

import (
	"context"

	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/notify"
)

// Alerts tells the operator.
type Alerts struct{ *Host }

// Notified says whether the alert went out.
type Notified struct {
	Sent bool   `json:"sent"`
	Why  string `json:"why,omitempty"` // why it did not
}

// Notify sends an alert. Without a configured channel it does nothing. Broken settings do not keep it from trying: they
// may be what the alert is about.
func (a *Alerts) Notify(ctx context.Context, in notify.Alert) (Notified, error) {
	settings, err := a.settings()
	if settings.Telegram.Token.Empty() || settings.Telegram.ChatID == "" {
		why := "no alert channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID"
		if err != nil {
			why += "; the settings could not be read"
		}
		return Notified{Why: why}, nil
	}
	if in.Node == "" {
		in.Node = settings.Node.Name
	}
	if in.Network == "" {
		in.Network = settings.Node.Network
	}
	if in.LastGood == "" {
		in.LastGood = a.lastGood(ctx, settings)
	}
	if err := a.Notifier(settings.Telegram).Notify(ctx, in); err != nil {
		return Notified{}, mapped(ctx, err)
	}
	return Notified{Sent: true}, nil
}

// lastGood names the newest verified set on this host, "none", or nothing when that cannot be found out.
func (a *Alerts) lastGood(ctx context.Context, settings config.Settings) string {
	local, err := a.Local(settings)
	if err != nil {
		return ""
	}
	listing, err := catalog.List(ctx, local, owner(settings))
	if err != nil {
		return ""
	}
	if e, found := listing.LastGood(a.Now()); found {
		return string(e.Manifest.Set) + " UTC"
	}
	return "none"
}
