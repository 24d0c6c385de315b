package app

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"canton-backup/activities"
	"canton-backup/internal/config"
	"canton-backup/internal/notify"
	"canton-backup/workflows"
)

const (
	distressFloor = 15 * time.Minute // whatever the cause: the service manager restarts us every few seconds
	distressLimit = 30 * time.Second
	distressScope = "Worker/"
	// Steady is how long a worker must have worked for its troubles to be over, and the next one to be news.
	Steady = 10 * time.Minute
)

// Distress tells the operator that the worker cannot work: it did not start, or it ended by itself. No workflow can do that then,
// and a worker that is down makes no backups (law 10). One message in a quarter of an hour at most, and the same cause as often as any other
// that lasts, unless the worker worked for a while in between: uptime is how long it did. It returns why no message went out,
// nil when one did or none was due.
func Distress(settingsFile, next string, uptime time.Duration, cause error) error {
	if errors.Is(cause, ErrWorkerRuns) {
		return nil // it does the work
	}
	settings, _ := config.Load(settingsFile) // broken settings may be the cause, and what could be read of them may still do
	teller := distressTeller(settingsFile, settings)
	if len(teller.Channels) == 0 {
		return errors.New("alert: no channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or another of docs/how-to/alerts.md")
	}
	now := time.Now()
	if age := now.Sub(teller.Ledger.LastTold(distressScope)); age >= 0 && age < distressFloor {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), distressLimit)
	defer cancel()
	if uptime >= Steady {
		if err := forget(ctx, teller); err != nil {
			return err
		}
	}
	alert := notify.Alert{What: "Worker", Key: distressKey(cause), Node: settings.Node.Name, Network: settings.Node.Network, Step: "Worker", Cause: cause.Error(), Next: next}
	report, err := teller.Tell(ctx, alert, now.Format(time.RFC3339Nano))
	if report.Note != "" {
		err = errors.Join(err, errors.New("alert: "+report.Note))
	}
	return err
}

// Works ends what was told of the worker, once it has worked for a while. Lines for people go to the run's log.
func (w *Worker) Works(ctx context.Context) {
	settings, _ := config.Load(w.Settings.File) // as it is now, and what of it can be read
	report, err := distressTeller(w.Settings.File, settings).Over(ctx, distressScope, nil, notify.Alert{What: "Worker", Node: settings.Node.Name, Network: settings.Node.Network})
	log := slog.New(w.runLog.handler(slog.DiscardHandler))
	if err != nil {
		log.Warn("⚠ Message that the worker works again not delivered: "+err.Error(), workflows.RunLogKey, true)
	}
	if report.Ended > 0 {
		log.Info("✓ The worker works again", workflows.RunLogKey, true)
	}
}

// forget ends earlier troubles in silence: the worker worked, and the one that is told now is another.
func forget(ctx context.Context, teller notify.Teller) error {
	teller.Recovery = false
	_, err := teller.Over(ctx, distressScope, nil, notify.Alert{What: "Worker"})
	return err
}

func distressTeller(settingsFile string, settings config.Settings) notify.Teller {
	return activities.Teller(newHost(settingsFile, Program(), nil), settings)
}

// distressKey is the error's name. Of one that has none it is the text without digits, which change from one start to the next: ports,
// process ids, times.
func distressKey(cause error) string {
	name := activities.ErrorName(cause)
	if name == activities.StepFailed {
		first, _, _ := strings.Cut(cause.Error(), "\n")
		name = digits.ReplaceAllString(first, "#")
	}
	return distressScope + name
}

var digits = regexp.MustCompile(`[0-9]+`)
