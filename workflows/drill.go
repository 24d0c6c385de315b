package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/notify"
)

// DrillInput is the input of Drill. The zero value tries the newest set of the first target.
type DrillInput struct {
	Set  string `json:"set,omitempty"`  // id, or "latest"
	From string `json:"from,omitempty"` // "local" or a target
}

// Drill proves that a set restores: it fetches it from a target, loads it into a throw-away server without a network, makes the checks of the
// backup and compares every row. The operator hears of a set that fails, and of a drill that could not be made.
func Drill(ctx workflow.Context, in DrillInput) (activities.Drilled, error) {
	var drilled activities.Drilled
	err := underLock(ctx, DrillNode, in, &drilled)
	if err == nil {
		if drilled.Verdict == backupset.Pass {
			resolve(ctx, activities.ResolveInput{What: "Drill", Set: drilled.Set})
		}
		return drilled, nil
	}
	name, text := cause(err)
	switch {
	case temporal.IsCanceledError(err) && name == "":
	case name == activities.NodeBusy:
		alarmWhenLasting(ctx, notify.Alert{What: "Drill", Key: causeKey("Drill", "start", name), Step: "start", Cause: name + ": " + text, Next: activities.NextStep(name)})
	default:
		alarm(ctx, notify.Alert{What: "Drill", Key: causeKey("Drill", step(err), name), Step: step(err), Cause: name + ": " + text, Next: activities.NextStep(name)})
	}
	return drilled, err
}

// DrillNode is the body of Drill, run under the node's lock. A set that fails is recorded, and then fails the run.
func DrillNode(ctx workflow.Context, in DrillInput) (activities.Drilled, error) {
	var drilled activities.Drilled
	if err := lockedOnly(ctx, "Drill"); err != nil {
		return drilled, err
	}
	journal, err := newJournal(ctx)
	if err != nil {
		return drilled, err
	}
	request := activities.DrillRequest{Stamp: backupset.NewID(workflow.Now(ctx)), Set: in.Set, From: in.From}
	if request.Set == "" {
		request.Set = "latest"
	}
	drilled, err = drill(ctx, journal, request)
	if err != nil {
		name, text := causeOf(err)
		journal.say(ctx, "✗ Drill failed at %s: %s: %s", step(err), name, text)
	}
	return drilled, err
}

func drill(ctx workflow.Context, journal *journal, request activities.DrillRequest) (activities.Drilled, error) {
	var plan activities.RestorePlan
	var drilled activities.Drilled
	if err := workflow.ExecuteActivity(lookClass.options(ctx, request.Set), drills.PlanDrill, request).Get(ctx, &plan); err != nil {
		return drilled, err
	}
	in := activities.RestoreStep{Plan: plan}
	defer func() { // also what a cancelled or failed drill had fetched
		ctx, _ := workflow.NewDisconnectedContext(ctx)
		if err := workflow.ExecuteActivity(lookClass.options(ctx, "remove what was fetched"), restores.DiscardFetched, in).Get(ctx, nil); err != nil {
			name, text := causeOf(err)
			journal.say(ctx, "⚠ What was fetched could not be removed: %s: %s", name, text)
		}
	}()
	journal.say(ctx, "Drill of set %s from %s", plan.Set, plan.Location)
	begin := workflow.Now(ctx)
	err := workflow.ExecuteActivity(uploadClass.options(ctx, string(plan.Set)), restores.Fetch, in).Get(ctx, nil)
	if name, text := cause(err); name == activities.BackupCorrupt {
		// The copy is not what was sent: that is a verdict.
		drilled = activities.Drilled{Format: 1, Drill: request.Stamp, Set: plan.Set, From: plan.From, Verdict: backupset.Fail, Problem: name, Detail: text, Finished: workflow.Now(ctx)}
	} else if err != nil {
		return drilled, err
	} else {
		fetched := workflow.Now(ctx).Sub(begin).Seconds()
		if err := workflow.ExecuteActivity(dumpClass.options(ctx, string(plan.Set)), drills.Rehearse, in).Get(ctx, &drilled); err != nil {
			return drilled, err
		}
		drilled.FetchS = fetched
	}
	recorded := workflow.ExecuteActivity(sealClass.options(ctx, "record"), drills.Record, activities.RecordInput{Drilled: drilled, From: plan.From}).Get(ctx, nil)
	if recorded != nil {
		name, text := causeOf(recorded)
		journal.say(ctx, "⚠ The result could not be kept beside the manifest: %s: %s", name, text)
	}
	if drilled.Verdict == backupset.Fail {
		return drilled, temporal.NewNonRetryableApplicationError(fmt.Sprintf("set %s at %s does not restore: %s", plan.Set, plan.Location, drilled.Detail), drilled.Problem, nil, drilled)
	}
	if drilled.Verdict == backupset.Unknown {
		journal.say(ctx, "⚠ Set %s loads, and is not proven to hold what was dumped: %s", plan.Set, drilled.Detail)
		return drilled, nil
	}
	journal.say(ctx, "✓ Set %s restores: %d tables, %d rows, equal to what was dumped — fetch %.0f s, load %.0f s, compare %.0f s", plan.Set, drilled.Tables, drilled.Rows, drilled.FetchS, drilled.LoadS, drilled.VerifyS)
	return drilled, nil
}
