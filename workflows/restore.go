package workflows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/notify"
)

// ApproveName is the Update, and the Signal for clients that know no updates, by which a human approves a restore that waits for it.
const ApproveName = "approve"

// approvalLimit is how long a restore waits for its approval.
const approvalLimit = 24 * time.Hour

// RestoreInput is the input of Restore.
type RestoreInput struct {
	Set       string         `json:"set"`                  // id, or "latest"
	From      string         `json:"from,omitempty"`       // "local", "rsync", "r2"; empty: where it is found first
	Only      backupset.Role `json:"only,omitempty"`       // "validator" or "participant" alone
	Override  []string       `json:"override,omitempty"`   // gates, see docs/reference/restore.md
	StartArgs []string       `json:"start_args,omitempty"` // of start.sh, instead of the recorded ones
	Approved  bool           `json:"approved,omitempty"`   // nobody is asked
}

// Approval is who approved a restore.
type Approval struct {
	By string `json:"by"`
}

// RestoreResult is the result of Restore.
type RestoreResult struct {
	Set        backupset.ID      `json:"set"`
	From       string            `json:"from"`
	Overridden []string          `json:"overridden,omitempty"` // gates that the operator answered for
	ApprovedBy string            `json:"approved_by,omitempty"`
	Kept       []string          `json:"kept,omitempty"` // databases under which the old ones stay
	Checks     []backupset.Check `json:"checks"`
	After      []string          `json:"after"` // what the operator must do now
}

// Restore brings the node back from a set: plan, approval, and the body under the node's lock. The plan is made before the lock is taken, so that
// backups go on while a human thinks.
func Restore(ctx workflow.Context, in RestoreInput) (RestoreResult, error) {
	var result RestoreResult
	journal, err := newJournal(ctx)
	if err != nil {
		return result, err
	}
	plan, err := planRestore(ctx, in)
	if err != nil {
		return result, err
	}
	for _, line := range plan.Text {
		journal.say(ctx, "%s", line)
	}
	by, err := approval(ctx, journal, in)
	if err != nil {
		return result, err
	}
	in.Set, in.From = string(plan.Set), plan.From // what was approved, not what is newest by then
	err = underLock(ctx, RestoreNode, in, &result)
	result.ApprovedBy = by
	if err == nil {
		resolve(ctx, activities.ResolveInput{What: "Restore", Set: plan.Set})
		return result, nil
	}
	name, text := cause(err)
	var failed *temporal.ChildWorkflowExecutionError
	cancelled := ctx.Err() != nil || temporal.IsCanceledError(err)
	if name != activities.UndoFailed && !cancelled && name != activities.NodeBusy && name != activities.RestoreRefused && errors.As(err, &failed) {
		alert := notify.Alert{What: "Restore", Key: causeKey("Restore", step(err), name), Step: step(err), Cause: name + ": " + text, Next: activities.NextStep(name)}
		var ended *temporal.TerminatedError
		var late *temporal.TimeoutError
		if errors.As(err, &ended) || errors.As(err, &late) && step(err) == "" {
			alert.Cause += "\nnothing was undone: the node may be stopped, and databases of two restores may lie side by side\nstart the node with: " + plan.StartLine()
			alert.Next = "canton-backup status, and start the node by hand"
		}
		alarm(ctx, alert)
	}
	return result, err
}

func planRestore(ctx workflow.Context, in RestoreInput) (activities.RestorePlan, error) {
	var plan activities.RestorePlan
	request := activities.RestoreRequest{Stamp: backupset.NewID(workflow.Now(ctx)), Set: in.Set, From: in.From, Only: in.Only, Override: in.Override, StartArgs: in.StartArgs}
	if request.Set == "" {
		return plan, temporal.NewNonRetryableApplicationError(`which set? {"set": "latest"}, or the id of one`, activities.BadRequest, nil)
	}
	err := workflow.ExecuteActivity(lookClass.options(ctx, in.Set), restores.PlanRestore, request).Get(ctx, &plan)
	if err != nil {
		return plan, err
	}
	if gates := plan.Refused(); len(gates) > 0 {
		texts := make([]string, len(gates))
		for i, g := range gates {
			texts[i] = g.Name + ": " + g.Detail
		}
		return plan, temporal.NewNonRetryableApplicationError("restore of set "+string(plan.Set)+" refused: "+strings.Join(texts, "; "), activities.RestoreRefused, nil, gates)
	}
	return plan, nil
}

// approval waits until a human has approved, and returns who it was.
func approval(ctx workflow.Context, journal *journal, in RestoreInput) (string, error) {
	var given Approval
	err := workflow.SetUpdateHandlerWithOptions(ctx, ApproveName, func(_ workflow.Context, a Approval) error {
		given = a
		return nil
	}, workflow.UpdateHandlerOptions{Validator: func(a Approval) error {
		if strings.TrimSpace(a.By) == "" {
			return temporal.NewApplicationError(`say who approves: {"by": "name"}`, activities.BadRequest)
		}
		return nil
	}})
	if err != nil || in.Approved {
		return given.By, err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		signals := workflow.GetSignalChannel(ctx, ApproveName)
		for given.By == "" {
			signals.Receive(ctx, &given)
		}
	})
	journal.say(ctx, `Waiting for approval: update or signal "%s" with {"by": "your name"}`, ApproveName)
	approved, err := workflow.AwaitWithTimeout(ctx, approvalLimit, func() bool { return given.By != "" })
	if err != nil {
		return "", err
	}
	if !approved {
		return "", temporal.NewNonRetryableApplicationError("nobody approved the restore within "+approvalLimit.String(), activities.NotApproved, nil)
	}
	journal.say(ctx, "Approved by %s", given.By)
	return given.By, workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// RestoreNode is the body of Restore, run under the node's lock.
func RestoreNode(ctx workflow.Context, in RestoreInput) (RestoreResult, error) {
	if err := lockedOnly(ctx, "Restore"); err != nil {
		return RestoreResult{}, err
	}
	journal, err := newJournal(ctx)
	if err != nil {
		return RestoreResult{}, err
	}
	plan, err := planRestore(ctx, in) // afresh: what was approved may have waited
	if err != nil {
		return RestoreResult{}, err
	}
	run := &restoring{journal: journal, step: activities.RestoreStep{Plan: plan}}
	result, err := run.run(ctx)
	if err != nil {
		return result, run.undo(ctx, err)
	}
	return result, nil
}

// restoring is one run. Its flags say what has to be undone; each is set before the step that it stands for, since a step that failed may have
// done half of it.
type restoring struct {
	*journal
	step     activities.RestoreStep
	restored activities.Restored
	stopped  bool
	loaded   bool
	swapped  bool
	back     bool // it takes a restore back: what is undone is the swap back
}

func (r *restoring) run(ctx workflow.Context) (RestoreResult, error) {
	plan := r.step.Plan
	r.say(ctx, "Restoring set %s from %s", plan.Set, plan.Location)
	for _, g := range plan.Gates {
		r.say(ctx, "⚠ Overridden: %s — %s", g.Name, g.Detail)
	}
	for _, step := range []func(workflow.Context) error{r.fetch, r.stop, r.startPostgres, r.load, r.check, r.swap, r.start} {
		if err := step(ctx); err != nil {
			return RestoreResult{}, err
		}
	}
	return r.result(ctx), nil
}

func (r *restoring) fetch(ctx workflow.Context) error {
	if err := workflow.ExecuteActivity(uploadClass.options(ctx, string(r.step.Plan.Set)), restores.Fetch, r.step).Get(ctx, nil); err != nil {
		return err
	}
	r.say(ctx, "✓ Dumps are here, and what the manifest says")
	return nil
}

func (r *restoring) stop(ctx workflow.Context) error {
	r.stopped = true
	r.say(ctx, "Stopping the node...")
	return workflow.ExecuteActivity(stopClass.options(ctx, r.step.Plan.Bundle.Project), nodes.StopNode, r.step).Get(ctx, nil)
}

func (r *restoring) startPostgres(ctx workflow.Context) error {
	return workflow.ExecuteActivity(stopClass.options(ctx, "postgres alone"), nodes.StartPostgres, r.step).Get(ctx, nil)
}

func (r *restoring) load(ctx workflow.Context) error {
	r.loaded = true
	for _, h := range r.step.Plan.Halves {
		r.say(ctx, "Loading %s...", h.Live)
		in := activities.LoadInput{Plan: r.step.Plan, Role: h.Component.Role}
		if err := workflow.ExecuteActivity(dumpClass.options(ctx, h.Loading), restores.Load, in).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) check(ctx workflow.Context) error {
	if err := workflow.ExecuteActivity(lookClass.options(ctx, string(r.step.Plan.Set)), restores.Check, r.step).Get(ctx, &r.restored); err != nil {
		return err
	}
	r.say(ctx, "✓ Loaded beside the old databases, and checked")
	return nil
}

func (r *restoring) swap(ctx workflow.Context) error {
	r.swapped = true
	return workflow.ExecuteActivity(lookClass.options(ctx, "swap"), restores.Swap, r.step).Get(ctx, nil)
}

func (r *restoring) swapBack(ctx workflow.Context) error {
	r.swapped = true
	return workflow.ExecuteActivity(lookClass.options(ctx, "swap back"), restores.SwapBack, r.step).Get(ctx, nil)
}

func (r *restoring) start(ctx workflow.Context) error {
	plan := r.step.Plan
	r.say(ctx, "Starting the node...")
	in := activities.StartInput{Bundle: plan.Bundle, ImageTag: plan.Will.Image, Args: plan.StartArgs, Database: plan.ParticipantDB()}
	return workflow.ExecuteActivity(startClass.options(ctx, plan.Bundle.Project), nodes.StartNode, in).Get(ctx, nil)
}

func (r *restoring) result(ctx workflow.Context) RestoreResult {
	plan := r.step.Plan
	result := RestoreResult{Set: plan.Set, From: plan.From, Checks: r.restored.Checks, After: append(r.restored.After, plan.After...)}
	for _, g := range plan.Gates {
		result.Overridden = append(result.Overridden, g.Name)
	}
	for _, h := range plan.Halves {
		result.Kept = append(result.Kept, h.Before)
	}
	_ = r.try(ctx, lookClass, "remove what was fetched", restores.DiscardFetched, r.step) // it has said so
	r.say(ctx, "✓ Restore completed successfully, the node is healthy")
	for _, line := range result.After {
		r.say(ctx, "→ %s", line)
	}
	return result
}

// undo takes the node back to what it was, on a context that survives a cancellation, and returns the cause, joined by what could not be undone.
func (r *restoring) undo(ctx workflow.Context, cause error) error {
	cancelled := ctx.Err() != nil || temporal.IsCanceledError(cause)
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	name, text := causeOf(cause)
	if !r.stopped {
		r.say(ctx, "✗ Restore failed: %s: %s — the node was not touched", name, text)
		_ = r.try(ctx, lookClass, "remove what was fetched", restores.DiscardFetched, r.step) // it has said so
		return cause
	}
	r.say(ctx, "✗ Failed at %s: %s: %s — undoing", step(cause), name, text)
	plan := r.step.Plan
	var failed []string
	must := func(c class, what string, activity, in any) {
		if err := r.try(ctx, c, what, activity, in); err != nil {
			failed = append(failed, what+": "+err.Error())
		}
	}
	if r.swapped {
		must(stopClass, "stop the node", nodes.StopNode, r.step)
		must(stopClass, "start postgres alone", nodes.StartPostgres, r.step)
		if r.back {
			must(lookClass, "swap the databases again", restores.Swap, r.step)
		} else {
			must(lookClass, "swap the databases back", restores.SwapBack, r.step)
		}
	}
	if r.loaded && len(failed) == 0 { // what may be the only good copy is not dropped in a muddle
		must(lookClass, "remove what was loaded", restores.DropLoaded, r.step)
	}
	if plan.Running {
		must(startClass, "start the node as it was", nodes.StartNode, activities.StartInput{Bundle: plan.Bundle, ImageTag: plan.Was.Image, Args: plan.WasArgs()})
	}
	if len(failed) > 0 {
		// Here and not in the caller, which may be gone: the node is stopped, and somebody must hear of it.
		alarm(ctx, notify.Alert{What: r.what(), Key: causeKey(r.what(), step(cause), activities.UndoFailed), Step: step(cause), Cause: fmt.Sprintf("%s: %s\nand not all could be undone: %s\nstart the node with: %s", name, text, strings.Join(failed, "; "), plan.WasLine()),
			Next: activities.NextStep(activities.UndoFailed)})
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("it failed (%s: %s), and not all could be undone: %s. Start the node with: %s", name, text, strings.Join(failed, "; "), plan.WasLine()),
			activities.UndoFailed, cause)
	}
	state := "the node runs on its old data"
	if !plan.Running {
		state = "the node is stopped, as it was, with its old data"
	}
	r.say(ctx, "✓ Undone: %s", state)
	if cancelled {
		return temporal.NewCanceledError()
	}
	return temporal.NewNonRetryableApplicationError(text+" — undone: "+state, name, cause)
}

func (r *restoring) what() string {
	if r.back {
		return "Rollback"
	}
	return "Restore"
}

func (r *restoring) try(ctx workflow.Context, c class, what string, activity, in any) error {
	err := workflow.ExecuteActivity(c.options(ctx, what), activity, in).Get(ctx, nil)
	if err != nil {
		name, text := causeOf(err)
		r.say(ctx, "✗ Could not %s: %s: %s", what, name, text)
		return fmt.Errorf("%s: %s", name, text)
	}
	return nil
}

// causeOf is cause, with a name for a cancellation.
func causeOf(err error) (name, text string) {
	name, text = cause(err)
	if temporal.IsCanceledError(err) && name == "" {
		return "Cancelled", "the run was cancelled"
	}
	return name, text
}
