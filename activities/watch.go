package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"canton-backup/internal/health"
	"canton-backup/internal/notify"
)

// Watches looks after the node between its runs.
type Watches struct{ *Host }

// Watched is what one look of the watchdog came to.
type Watched struct {
	Verdict     health.Verdict `json:"verdict"`
	Problems    []string       `json:"problems,omitempty"`    // that stand, by their keys
	Told        []string       `json:"told,omitempty"`        // of those, the ones of which the operator was told at this look
	Undelivered string         `json:"undelivered,omitempty"` // why an alert did not go out; the next look tries again
}

// watchScope is the beginning of the keys of all causes that the watchdog tells.
const watchScope = "Watch/"

// Watch looks at everything anew and tells the operator of what no run tells: that there are none, that sets grow old, that a target or the disk
// fails. Each problem is told when it comes, again as NOTIFY_REPEAT says while it lasts, and ended when it is gone.
func (w *Watches) Watch(ctx context.Context) (Watched, error) {
	var watched Watched
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "looking"} }, func(ctx context.Context) error {
		report := w.Health(ctx)
		if ctx.Err() != nil {
			return ctx.Err() // what it then says of places that did not answer is not true
		}
		watched = w.tellOf(ctx, report)
		return nil
	})
	return watched, err
}

// tellOf tells what there is to tell of a report. What cannot be delivered is no error: the next look tries again, a retry of this one would look at every
// target again for it.
func (w *Watches) tellOf(ctx context.Context, report health.Report) Watched {
	settings, _ := w.settings() // what is wrong with them, the report says
	alerts := &Alerts{w.Host}
	watched := Watched{Verdict: report.Verdict}
	for _, p := range report.Problems {
		watched.Problems = append(watched.Problems, p.Key())
	}
	var remembered, still []string
	for _, told := range report.Alerts {
		if key, ours := strings.CutPrefix(told.Key, watchScope); ours {
			remembered = append(remembered, key)
		}
	}
	for _, key := range report.Lasting(remembered) {
		still = append(still, watchScope+key)
	}
	var undelivered []error
	for _, p := range report.ToTell() {
		alert := notify.Alert{Key: watchScope + p.Key(), Flaps: true, What: "Watchdog", Title: "Watchdog: " + strings.ReplaceAll(p.Code, "-", " "), Cause: p.Detail, Next: p.Next, LastGood: lastGoodOf(report)}
		told, err := alerts.tell(ctx, settings, alert)
		if err != nil {
			undelivered = append(undelivered, fmt.Errorf("%s: %w", p.Key(), err))
		}
		if told.Sent {
			watched.Told = append(watched.Told, p.Key())
		}
	}
	if _, err := alerts.over(ctx, settings, watchScope, still, notify.Alert{What: "Watchdog", Title: "Watchdog: mended", LastGood: lastGoodOf(report)}); err != nil {
		undelivered = append(undelivered, err)
	}
	if err := errors.Join(undelivered...); err != nil {
		watched.Undelivered = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return watched
}

func lastGoodOf(r health.Report) string {
	if r.LastGood == nil {
		return "none"
	}
	return string(r.LastGood.Set) + " UTC"
}
