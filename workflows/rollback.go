package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/notify"
)

// RollbackInput is the input of Rollback. The zero value takes the newest restore back.
type RollbackInput struct {
	Of        backupset.ID `json:"of,omitempty"`         // stamp of the restore, as it stands in the names of the old databases
	StartArgs []string     `json:"start_args,omitempty"` // of start.sh, instead of those that the node runs with
}

// RollbackResult is the result of Rollback.
type RollbackResult struct {
	Of    backupset.ID `json:"of"`
	Aside []string     `json:"aside"` // databases under which what the restore had brought stays
}

// Rollback takes a restore back: the databases that it put aside get their names again.
func Rollback(ctx workflow.Context, in RollbackInput) (RollbackResult, error) {
	var result RollbackResult
	err := underLock(ctx, RollbackNode, in, &result)
	if err == nil {
		resolve(ctx, activities.ResolveInput{What: "Rollback"})
	}
	if name, text := cause(err); err != nil && name != activities.NodeBusy && name != activities.UndoFailed && name != activities.SetNotFound && !temporal.IsCanceledError(err) {
		alarm(ctx, notify.Alert{What: "Rollback", Key: causeKey("Rollback", step(err), name), Step: step(err), Cause: name + ": " + text, Next: activities.NextStep(name)})
	}
	return result, err
}

// RollbackNode is the body of Rollback, run under the node's lock.
func RollbackNode(ctx workflow.Context, in RollbackInput) (RollbackResult, error) {
	if err := lockedOnly(ctx, "Rollback"); err != nil {
		return RollbackResult{}, err
	}
	journal, err := newJournal(ctx)
	if err != nil {
		return RollbackResult{}, err
	}
	var plan activities.RestorePlan
	request := activities.RollbackRequest{Stamp: backupset.NewID(workflow.Now(ctx)), Of: in.Of, StartArgs: in.StartArgs}
	if err := workflow.ExecuteActivity(lookClass.options(ctx, string(in.Of)), restores.PlanRollback, request).Get(ctx, &plan); err != nil {
		return RollbackResult{}, err
	}
	run := &restoring{journal: journal, step: activities.RestoreStep{Plan: plan}, back: true}
	journal.say(ctx, "Taking the restore of %s back", plan.Set)
	for _, step := range []func(workflow.Context) error{run.stop, run.startPostgres, run.swapBack, run.start} {
		if err := step(ctx); err != nil {
			return RollbackResult{}, run.undo(ctx, err)
		}
	}
	result := RollbackResult{Of: plan.Set}
	for _, h := range plan.Halves {
		result.Aside = append(result.Aside, h.Loading)
	}
	journal.say(ctx, "✓ Rolled back, the node is healthy")
	return result, nil
}

// DropOldInput is the input of DropOld.
type DropOldInput struct{}

// DropOld drops the databases that restores and rollbacks left.
func DropOld(ctx workflow.Context, in DropOldInput) (activities.Dropped, error) {
	var dropped activities.Dropped
	err := underLock(ctx, DropOldNode, in, &dropped)
	return dropped, err
}

// DropOldNode is the body of DropOld, run under the node's lock.
func DropOldNode(ctx workflow.Context, _ DropOldInput) (activities.Dropped, error) {
	var dropped activities.Dropped
	if err := lockedOnly(ctx, "DropOld"); err != nil {
		return dropped, err
	}
	err := workflow.ExecuteActivity(stopClass.options(ctx, "old databases"), restores.DropOld).Get(ctx, &dropped)
	return dropped, err
}
