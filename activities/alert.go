package activities

import (
	"context"
	"fmt"
	"time"

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

// BusyInput asks for an alert about a node that is busy.
type BusyInput struct {
	Holder string // workflow id of what holds the node
	Alert  notify.Alert
}

// NotifyBusy sends the alert when the holder has run for longer than two backups are apart. A shorter one is nothing to report.
func (a *Alerts) NotifyBusy(ctx context.Context, in BusyInput) (Notified, error) {
	settings, err := a.settings()
	if err != nil {
		return Notified{}, mapped(ctx, err)
	}
	held, err := a.Running(ctx, in.Holder)
	if err != nil {
		return Notified{}, mapped(ctx, fmt.Errorf("look at what holds the node: %w", err))
	}
	if held == nil || a.Now().Sub(held.Since) < 2*settings.Every {
		return Notified{}, nil
	}
	in.Alert.Cause += fmt.Sprintf("\n%s has run since %s: no backup is made until it ends", held.Type, held.Since.UTC().Format(time.DateTime+" UTC"))
	return a.Notify(ctx, in.Alert)
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
