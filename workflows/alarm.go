package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/notify"
)

// alarm tells the operator, on a context that survives a cancellation. An alert that cannot be delivered is recorded, here and in the
// history; it is no second failure. It returns why the alert did not go out, nothing when it was told before and is not due again.
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
	logger := workflow.GetLogger(ctx)
	if notified.Held != "" {
		logger.Info("Alert held back: "+notified.Held, RunLogKey, true)
	}
	if notified.Note != "" {
		logger.Warn("⚠ Alerts: "+notified.Note, RunLogKey, true)
	}
	if notified.Why != "" {
		logger.Warn("✗ Alert not delivered: "+notified.Why, RunLogKey, true)
	}
	return notified.Why
}

// resolve ends what was told of a kind of run, now that one was good. It changes nothing about the run.
func resolve(ctx workflow.Context, in activities.ResolveInput) {
	if workflow.GetVersion(ctx, "alerts end", workflow.DefaultVersion, 1) != 1 {
		return
	}
	in.Scope = in.What + "/"
	var notified activities.Notified
	err := workflow.ExecuteActivity(overClass.options(ctx, "what was told is over"), alerts.Resolve, in).Get(ctx, &notified)
	undelivered(ctx, notified, err)
}

// ping tells the dead-man's switch, and waits for nobody.
func ping(ctx workflow.Context, kind activities.PingKind) workflow.Future {
	return workflow.ExecuteActivity(pingClass.options(ctx, string(kind)), alerts.Ping, activities.PingInput{Kind: kind})
}

// pinged waits until a ping is through or given up, which the ping's class bounds. One that failed is a line.
func pinged(ctx workflow.Context, future workflow.Future) {
	if err := future.Get(ctx, nil); err != nil && !temporal.IsCanceledError(err) {
		_, text := cause(err)
		workflow.GetLogger(ctx).Warn("⚠ Ping not delivered: "+text, RunLogKey, true)
	}
}

// pingOutcome tells the dead-man's switch how a backup ended. A set that is made and cannot be proven any more is no success; one that not all
// targets have is, for a backup was made, and of the target an alert tells. What it returns waits for the ping.
func pingOutcome(ctx workflow.Context, result BackupResult, err error) (wait func()) {
	if workflow.GetVersion(ctx, "a run pings", workflow.DefaultVersion, 1) != 1 {
		return func() {}
	}
	kind := activities.PingSuccess
	if err != nil || result.Verdict != backupset.Pass && result.LastGood != "" {
		kind = activities.PingFailure
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	future := ping(ctx, kind)
	return func() { pinged(ctx, future) }
}

// causeKey is the key of an alert about a run that failed.
func causeKey(what, step, name string) string {
	return what + "/" + step + "/" + name
}

// concerns are what an operator should hear of a run that is done, one alert for each cause, none when all is as it should be.
func (r BackupResult) concerns() []notify.Alert {
	var all []notify.Alert
	add := func(alert notify.Alert) {
		alert.Done, alert.Set, alert.LastGood = true, r.Set, string(r.LastGood)
		all = append(all, alert)
	}
	if r.Outcome == Incomplete {
		add(notify.Alert{Key: "Backup/Upload/" + failedKey(r.Targets), Step: "Upload", Next: activities.NextStep(activities.UploadFailed), Cause: failedTargets(r.Targets)})
		all[0].LastGood = string(r.Set)
	}
	if r.Changed != "" {
		add(notify.Alert{Key: "Backup/Seal/Changed", Step: "Seal", Next: "if the node was not onboarded anew, the wrong database was dumped: compare canton-backup show " + string(r.Set), Cause: r.Changed})
	}
	for _, notice := range r.Alerts {
		add(notify.Alert{Key: noticeKey(notice), Step: "Preflight", Next: "docs/how-to/encryption.md for keys, docs/how-to/identities.md for identities; see: canton-backup doctor", Cause: notice})
	}
	// A fresh node proves nothing yet; one that did before and does no more has lost its proof.
	if r.Verdict != backupset.Pass && r.LastGood != "" {
		add(notify.Alert{Key: "Backup/Seal/Unproven", Step: "Seal", Next: "compare docs/reference/checks.md with the node's Splice version", Cause: "the pair can no longer be proven: " + unproven(r.Checks)})
	}
	return all
}

// tell tells the operator of a run that is done, and ends what was told of runs before when this one is good in every way.
func (r *BackupResult) tell(ctx workflow.Context) {
	concerns := r.concerns()
	if len(concerns) > 1 && workflow.GetVersion(ctx, "an alert for each cause", workflow.DefaultVersion, 1) != 1 {
		for _, more := range concerns[1:] {
			concerns[0].Cause += "\n" + more.Cause
		}
		concerns = concerns[:1]
	}
	var still, failed []string
	for _, alert := range concerns {
		still = append(still, alert.Key)
		if why := alarm(ctx, alert); why != "" && !slices.Contains(failed, why) {
			failed = append(failed, why)
		}
	}
	r.AlertUndelivered = strings.Join(failed, "; ")
	if r.Outcome != Done || r.Verdict != backupset.Pass {
		return
	}
	for _, warning := range r.Warnings { // told once, and not over while the run warns of it
		still = append(still, noticeKey(warning))
	}
	resolve(ctx, activities.ResolveInput{What: "Backup", Set: r.Set, Still: still})
}

// noticeKey is the key of a warning: its name where it has one, else its text without what changes from day to day.
func noticeKey(text string) string {
	const kind = "Backup/Notice/"
	if name, _, named := strings.Cut(text, ": "); named && !strings.Contains(name, " ") {
		return kind + name
	}
	var words []string
	for _, word := range strings.Fields(text) {
		if strings.Trim(word, "0123456789-:.,;") != "" {
			words = append(words, word)
		}
	}
	return kind + strings.Join(words, " ")
}

// failedKey names the targets that failed, each with its error's name.
func failedKey(targets []TargetResult) string {
	var all []string
	for _, t := range targets {
		if name, _, _ := strings.Cut(t.Error, ": "); name != "" {
			all = append(all, string(t.Target)+" "+name)
		}
	}
	return strings.Join(all, ", ")
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
