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
// and a worker that is down makes no backups (law 10). A process has one: it remembers for a disk that cannot.
type Distress struct {
	settingsFile string
	memory       notify.Memory
	told         time.Time // by this process
}

// NewDistress prepares to tell, with the settings of that file as they are by then.
func NewDistress(settingsFile string) *Distress { return &Distress{settingsFile: settingsFile} }

// Prepare makes, while there is space, the file that keeps the pause between two messages over a restart.
func (d *Distress) Prepare() error {
	settings, _ := config.Load(d.settingsFile)
	return d.teller(settings).Ledger.Mark().Prepare()
}

// Tell tells of the cause. One message in a quarter of an hour at most, and the same cause as often as any other that lasts, unless the worker
// worked for a while in between: uptime is how long it did. The error is why nobody knows of it; nil when somebody does, or none was due.
// note is what else is not as it should be.
func (d *Distress) Tell(next string, uptime time.Duration, cause error) (note string, err error) {
	if errors.Is(cause, ErrWorkerRuns) {
		return "", nil // it does the work
	}
	settings, _ := config.Load(d.settingsFile) // broken settings may be the cause, and what could be read of them may still do
	teller := d.teller(settings)
	if len(teller.Channels) == 0 {
		return "", errors.New("alert: no channel: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or another of docs/how-to/alerts.md")
	}
	now, mark := time.Now(), teller.Ledger.Mark()
	if soon(now, d.told) || soon(now, mark.At()) {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), distressLimit)
	defer cancel()
	var notes []string
	add := func(err error) {
		if err != nil {
			notes = append(notes, err.Error())
		}
	}
	if uptime >= Steady {
		add(forget(ctx, teller))
	}
	alert := notify.Alert{What: "Worker", Key: distressKey(cause), Node: settings.Node.Name, Network: settings.Node.Network, Step: "Worker", Cause: cause.Error(), Next: next}
	report, err := teller.Tell(ctx, alert, now.Format(time.RFC3339Nano))
	if len(report.Told) > 0 {
		d.told = now
		add(mark.Set(now))
	}
	if report.Note != "" {
		notes = append(notes, report.Note)
	}
	if report.Reached {
		add(err)
		err = nil
	}
	if len(notes) > 0 {
		note = "alert: " + strings.Join(notes, "; ")
	}
	return note, err
}

// soon: another message would be one too many.
func soon(now, told time.Time) bool {
	age := now.Sub(told)
	return age >= 0 && age < distressFloor // a time that lies ahead says nothing
}

// over ends what was told.
func (d *Distress) over(ctx context.Context) (notify.Report, error) {
	settings, _ := config.Load(d.settingsFile) // as it is now, and what of it can be read
	return d.teller(settings).Over(ctx, distressScope, nil, notify.Alert{What: "Worker", Node: settings.Node.Name, Network: settings.Node.Network})
}

func (d *Distress) teller(settings config.Settings) notify.Teller {
	teller := activities.Teller(newHost(d.settingsFile, Program(), nil), settings)
	teller.Ledger.Memory = &d.memory
	return teller
}

// forget ends earlier troubles in silence: the worker worked, and the one that is told now is another.
func forget(ctx context.Context, teller notify.Teller) error {
	ctx, cancel := context.WithTimeout(ctx, distressLimit/3) // a channel that cannot be closed leaves time to tell
	defer cancel()
	teller.Recovery = false
	_, err := teller.Over(ctx, distressScope, nil, notify.Alert{What: "Worker"})
	return err
}

// Works ends what was told of the worker, once it has worked for a while. Lines for people go to the run's log, one for each end. The error is
// why not all who were told know: another try tells them.
func (w *Worker) Works(ctx context.Context) error {
	report, err := w.distress.over(ctx)
	if report.Ended > 0 {
		log := slog.New(w.runLog.handler(slog.DiscardHandler))
		log.Info("✓ The worker works again", workflows.RunLogKey, true)
		if err != nil {
			log.Warn("⚠ Message that the worker works again not delivered: "+err.Error(), workflows.RunLogKey, true)
		}
	}
	return err
}

// Settle waits until the worker has worked for a while, and ends what was told of it, however often that takes. It returns when that is done,
// or with ctx.
func (w *Worker) Settle(ctx context.Context, logger *slog.Logger) {
	settle(ctx, wallClock, logger, w.Works)
}

func settle(ctx context.Context, c clock, logger *slog.Logger, works func(context.Context) error) {
	for c.wait(ctx, Steady) == nil {
		err := works(ctx)
		if err == nil {
			return
		}
		logger.Warn("message that the worker works again not delivered, trying again", "after", Steady, "error", err)
	}
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
