package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/notify"
)

// alarm tells the operator, on a context that survives a cancellation. An alert that cannot be delivered is recorded, here and in the
// history; it is no second failure. It returns why the alert did not go out.
func alarm(ctx workflow.Context, alert notify.Alert) string {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	alert.Run = workflow.GetInfo(ctx).WorkflowExecution.ID
	var notified activities.Notified
	err := workflow.ExecuteActivity(alertClass.options(ctx, alert.Step+" failed"), alerts.Notify, alert).Get(ctx, &notified)
	return undelivered(ctx, notified, err)
}

// alarmWhenLasting tells the operator of a busy node when what holds it has done so for longer than two backups are apart: every
// scheduled run ends busy then, and no backup is made (law 10).
func alarmWhenLasting(ctx workflow.Context, alert notify.Alert) {
	node, err := nodeOf(ctx)
	if err != nil {
		return
	}
	alert.Run = workflow.GetInfo(ctx).WorkflowExecution.ID
	var notified activities.Notified
	err = workflow.ExecuteActivity(alertClass.options(ctx, "node busy"), alerts.NotifyBusy, activities.BusyInput{Holder: LockID(node), Alert: alert}).Get(ctx, &notified)
	undelivered(ctx, notified, err)
}

func undelivered(ctx workflow.Context, notified activities.Notified, err error) string {
	if err != nil {
		_, notified.Why = cause(err)
	}
	if notified.Why != "" {
		workflow.GetLogger(ctx).Warn("✗ Alert not delivered: "+notified.Why, RunLogKey, true)
	}
	return notified.Why
}

// concern is what an operator should hear of a run that is done, nil when all is as it should be.
func (r BackupResult) concern() *notify.Alert {
	alert := notify.Alert{Done: true, Set: r.Set, LastGood: string(r.LastGood)}
	var causes []string
	if r.Outcome == Incomplete {
		alert.Step, alert.Next, alert.LastGood = "Upload", activities.NextStep(activities.UploadFailed), string(r.Set)
		causes = append(causes, failedTargets(r.Targets))
	}
	if r.Changed != "" {
		alert.Step, alert.Next = "Seal", "if the node was not onboarded anew, the wrong database was dumped: compare canton-backup show "+string(r.Set)
		causes = append(causes, r.Changed)
	}
	if len(r.Alerts) > 0 {
		alert.Step, alert.Next = "Preflight", "docs/how-to/encryption.md for keys, docs/how-to/identities.md for identities; see: canton-backup doctor"
		causes = append(causes, r.Alerts...)
	}
	// A fresh node proves nothing yet; one that did before and does no more has lost its proof.
	if r.Verdict != backupset.Pass && r.LastGood != "" {
		alert.Step, alert.Next, alert.LastGood = "Seal", "compare docs/reference/checks.md with the node's Splice version", string(r.LastGood)
		causes = append(causes, "the pair can no longer be proven: "+unproven(r.Checks))
	}
	if len(causes) == 0 {
		return nil
	}
	alert.Cause = strings.Join(causes, "\n")
	return &alert
}

func unproven(checks []backupset.Check) string {
	text := ""
	for _, c := range checks {
		if c.Verdict != backupset.Pass {
			text += fmt.Sprintf("%s: %s\n", c.Name, c.Detail)
		}
	}
	return text
}

func failedTargets(targets []TargetResult) string {
	text := ""
	for _, t := range targets {
		if t.Error != "" {
			text += fmt.Sprintf("%s: %s\n", t.Location, t.Error)
		}
	}
	return text
}
