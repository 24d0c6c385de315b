package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/notify"
)

// Alerts tells the operator.
type Alerts struct{ *Host }

// Notified says what became of an alert.
type Notified struct {
	Sent bool   `json:"sent"`           // a channel got it now
	Why  string `json:"why,omitempty"`  // why a channel that should have got it did not
	Held string `json:"held,omitempty"` // it was told before, and is not due again
	Note string `json:"note,omitempty"` // what is wrong with the memory of what was told
}

// Notify sends an alert, unless it was told a short while ago. Without a configured channel it only remembers. Broken settings do not keep
// it from trying: they may be what the alert is about.
func (a *Alerts) Notify(ctx context.Context, in notify.Alert) (Notified, error) {
	settings, err := a.settings()
	told, tellErr := a.tell(ctx, settings, in)
	if told.Why != "" && err != nil {
		told.Why += "; the settings could not be read"
	}
	return told, tellErr
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

// ResolveInput says what is over.
type ResolveInput struct {
	Scope string       // keys that begin with it: "Backup/"
	Still []string     // keys that last all the same
	What  string       // as in an alert
	Set   backupset.ID // the set that proves it, may be empty
}

// Resolve ends what was told of the scope. Channels that keep a state per cause hear of it always, the others when NOTIFY_ON asks for it.
func (a *Alerts) Resolve(ctx context.Context, in ResolveInput) (Notified, error) {
	settings, _ := a.settings() // a channel that could be read is one
	return a.over(ctx, settings, in.Scope, in.Still, notify.Alert{What: in.What, Set: in.Set})
}

// PingKind is a word for the dead-man's switch.
type PingKind string

// The kinds of ping.
const (
	PingStart   PingKind = "start"
	PingSuccess PingKind = "success"
	PingFailure PingKind = "failure"
)

// PingInput asks for a ping.
type PingInput struct{ Kind PingKind }

// Pinged says whether there was an address to ping.
type Pinged struct {
	Sent bool `json:"sent"`
}

// Ping tells the dead-man's switch that a backup begins, or how it ended.
func (a *Alerts) Ping(ctx context.Context, in PingInput) (Pinged, error) {
	settings, _ := a.settings() // an address that could be read is one
	if settings.Alerts.Ping.Empty() {
		return Pinged{}, nil
	}
	suffix := map[PingKind]string{PingStart: "start", PingFailure: "fail"}[in.Kind]
	if err := notify.Ping(ctx, settings.Alerts.Ping, suffix); err != nil {
		return Pinged{}, mapped(ctx, err)
	}
	return Pinged{Sent: true}, nil
}

// enoughTries is after how many tries an alert that somebody got is left undelivered to the others, until the next occurrence: some
// three minutes. An alert that nobody got is worth an open run for much longer.
const enoughTries = 6

const (
	// hangTries is how often an alert goes to a channel that hangs: each try leaves a connection behind.
	hangTries = 3
	// lastGoodLimit is how long an alert waits for what is only nice to know, when the disk of the sets hangs.
	lastGoodLimit = 3 * time.Second
)

// tell is the one way to tell: through the ledger, to all channels.
func (a *Alerts) tell(ctx context.Context, settings config.Settings, in notify.Alert) (Notified, error) {
	in = a.placed(settings, in)
	if in.LastGood == "" {
		in.LastGood = a.lastGood(ctx, settings)
	}
	report, err := Teller(a.Host, settings).Tell(ctx, in, occurrence(ctx, a.Now()))
	if err != nil && report.Reached && attempt(ctx) >= enoughTries {
		return Notified{Sent: len(report.Told) > 0, Why: err.Error(), Note: report.Note}, nil
	}
	told, err := a.told(ctx, report, err)
	if err == nil && told.Why == "" && len(a.Channels(settings)) == 0 {
		told.Why = "no alert channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or another of docs/how-to/alerts.md"
	}
	return told, err
}

// over ends every remembered cause whose key begins with scope, but those of still, and says so where that is wanted.
func (a *Alerts) over(ctx context.Context, settings config.Settings, scope string, still []string, what notify.Alert) (Notified, error) {
	report, err := Teller(a.Host, settings).Over(ctx, scope, still, a.placed(settings, what))
	return a.told(ctx, report, err)
}

// told maps a report. Some channels got it and the others never will: that is no error, and no reason to try again.
func (a *Alerts) told(ctx context.Context, report notify.Report, err error) (Notified, error) {
	n := Notified{Sent: len(report.Told) > 0, Held: report.Held, Note: report.Note}
	if err == nil {
		return n, nil
	}
	var undelivered *notify.Undelivered
	if errors.As(err, &undelivered) && undelivered.Hang() && attempt(ctx) >= hangTries {
		err = fmt.Errorf("%w: %w", notify.ErrRejected, err) // enough
	}
	if (n.Sent || report.Reached) && errors.Is(err, notify.ErrRejected) {
		n.Why = err.Error()
		return n, nil
	}
	return n, mapped(ctx, err)
}

// placed says where the alert comes from.
func (a *Alerts) placed(settings config.Settings, in notify.Alert) notify.Alert {
	if in.Node == "" {
		in.Node = settings.Node.Name
	}
	if in.Network == "" {
		in.Network = settings.Node.Network
	}
	return in
}

// Teller is what tells the operator of this host, for activities and for a worker that cannot start.
func Teller(h *Host, s config.Settings) notify.Teller {
	return notify.Teller{Ledger: notify.Ledger{File: AlertsFile(s), Memory: &h.memory}, Channels: h.Channels(s), Repeat: s.Alerts.Repeat, Recovery: s.Alerts.Recovery, Now: h.Now}
}

// AlertsFile is the ledger of what was told, beside the run log.
func AlertsFile(s config.Settings) string { return besideRunLog(s, "alerts") }

// occurrence is one for all tries of an activity.
func occurrence(ctx context.Context, now time.Time) string {
	if !activity.IsActivity(ctx) {
		return now.UTC().Format(time.RFC3339Nano)
	}
	info := activity.GetInfo(ctx)
	return info.WorkflowExecution.RunID + "/" + info.ActivityID
}

// attempt is which try of an activity this is.
func attempt(ctx context.Context) int32 {
	if !activity.IsActivity(ctx) {
		return 1
	}
	return activity.GetInfo(ctx).Attempt
}

// lastGood names the newest verified set on this host, "none", or nothing when that cannot be found out.
func (a *Alerts) lastGood(ctx context.Context, settings config.Settings) string {
	var found string
	if a.setsDisk.Do(lastGoodLimit, func() { found = a.newest(ctx, settings) }) != nil {
		return ""
	}
	return found
}

func (a *Alerts) newest(ctx context.Context, settings config.Settings) string {
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
