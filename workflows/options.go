package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
)

// Typed nil handles: activities are named by their methods, so that a rename is seen by the compiler.
var (
	node   *activities.Node
	dumps  *activities.Dumps
	sets   *activities.Sets
	prunes *activities.Prunes
	alerts *activities.Alerts

	restores *activities.Restores
	nodes    *activities.Nodes
	drills   *activities.Drills
	watches  *activities.Watches
)

// payloadTooLarge is what the SDK calls an oversized result; retrying it would go on for ever.
const payloadTooLarge = "payloadSizeError"

// class is how long a kind of step may take and how often it is tried.
type class struct {
	attempt  time.Duration // one attempt
	total    time.Duration // all attempts and pauses
	silence  time.Duration // between heartbeats, 0 for none
	attempts int32
	pause    time.Duration // before the second attempt, doubling from there
}

// The one table of timeouts. A worker that restarts takes its steps up at once (see worker.Adopt), so that silence only has
// to notice a host that is gone.
var (
	lookClass   = class{attempt: 10 * time.Minute, total: 20 * time.Minute, silence: time.Minute, attempts: 4, pause: 3 * time.Second}
	dumpClass   = class{attempt: 12 * time.Hour, total: 24 * time.Hour, silence: time.Minute, attempts: 6, pause: 5 * time.Second}
	sealClass   = class{attempt: 2 * time.Hour, total: 4 * time.Hour, silence: time.Minute, attempts: 4, pause: 3 * time.Second}
	uploadClass = class{attempt: 24 * time.Hour, total: 36 * time.Hour, silence: time.Minute, attempts: 7, pause: 5 * time.Second}
	stopClass   = class{attempt: 20 * time.Minute, total: time.Hour, silence: time.Minute, attempts: 3, pause: 3 * time.Second}
	startClass  = class{attempt: 45 * time.Minute, total: 2 * time.Hour, silence: time.Minute, attempts: 2, pause: 5 * time.Second}
	pruneClass  = class{attempt: time.Hour, total: 2 * time.Hour, silence: time.Minute, attempts: 3, pause: 5 * time.Second}
	// Unlimited tries within the hour: what broke the run may well be the line that the alert needs. Not longer, since the schedule
	// starts no further run while this one is open.
	alertClass = class{attempt: 30 * time.Second, total: time.Hour, pause: 5 * time.Second}
	// A message that something is over is worth less than the next run. The next good one tries again.
	overClass = class{attempt: 30 * time.Second, total: 5 * time.Minute, attempts: 4, pause: 5 * time.Second}
	// A dead-man's switch that hangs must not hold up a backup.
	pingClass = class{attempt: 12 * time.Second, total: 25 * time.Second, attempts: 2, pause: time.Second}
	// A look waits for targets, 2 minutes at most, and for alert channels. One that got lost is made up for by the next.
	watchClass = class{attempt: 6 * time.Minute, total: 10 * time.Minute, silence: time.Minute, attempts: 2, pause: 5 * time.Second}
)

func (c class) options(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    c.attempt,
		ScheduleToCloseTimeout: c.total,
		HeartbeatTimeout:       c.silence,
		WaitForCancellation:    true,
		Summary:                summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: c.pause, BackoffCoefficient: 2, MaximumInterval: 2 * time.Minute, MaximumAttempts: c.attempts,
			NonRetryableErrorTypes: []string{payloadTooLarge},
		},
	})
}
