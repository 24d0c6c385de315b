package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
)

const (
	// WatchEvery is how often the watchdog looks, and how often its schedule starts a run where none is open.
	WatchEvery = 15 * time.Minute
	// looksADay bounds a run of the watchdog, so that its history stays short and lists of runs stay readable.
	looksADay = int(24 * time.Hour / WatchEvery)
)

// WatchInput is the input of Watch. The zero value watches for a day.
type WatchInput struct {
	Looks int `json:"looks,omitempty"` // how often to look; 0: for a day
}

// Watch is the watchdog: it looks at the node's health every WatchEvery, and tells the operator of what no run tells. It takes no lock: it must see
// what hangs. A look that fails is not the end of it.
func Watch(ctx workflow.Context, in WatchInput) (activities.Watched, error) {
	var watched activities.Watched
	looks := in.Looks
	if looks <= 0 {
		looks = looksADay
	}
	for i := range looks {
		if i > 0 {
			if err := workflow.Sleep(ctx, WatchEvery); err != nil {
				return watched, err
			}
		}
		watched = activities.Watched{}
		err := workflow.ExecuteActivity(watchClass.options(ctx, "look"), watches.Watch).Get(ctx, &watched)
		if ctx.Err() != nil || temporal.IsCanceledError(err) {
			return watched, err
		}
		if err != nil {
			_, text := cause(err)
			watched.Undelivered = "the look failed: " + text
			workflow.GetLogger(ctx).Warn("watchdog: " + watched.Undelivered)
		}
		workflow.SetCurrentDetails(ctx, watchDetails(workflow.Now(ctx), watched))
	}
	return watched, nil
}

func watchDetails(at time.Time, w activities.Watched) string {
	text := "Looked at " + at.UTC().Format(time.DateTime+" UTC") + ": **" + string(w.Verdict) + "**\n"
	for _, p := range w.Problems {
		text += "\n- " + p
	}
	if w.Undelivered != "" {
		text += "\n\nAlert not delivered: " + w.Undelivered
	}
	return text
}
