package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"canton-backup/activities"
)

const bodyLimit = 7 * 24 * time.Hour

// underLock runs body as the child that holds the node's lock and decodes its result. When another run holds it, the error is
// of type NodeBusy at once. Cancelling the caller cancels the body.
func underLock(ctx workflow.Context, body any, input, result any) error {
	node, err := nodeOf(ctx)
	if err != nil {
		return err
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:               LockID(node),
		StaticSummary:            workflow.GetInfo(ctx).WorkflowType.Name + " of node " + node,
		WorkflowExecutionTimeout: bodyLimit,
		WaitForCancellation:      true,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		ParentClosePolicy:        enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
	})
	err = workflow.ExecuteChildWorkflow(ctx, body, input).Get(ctx, result)
	var taken *temporal.ChildWorkflowExecutionAlreadyStartedError
	if errors.As(err, &taken) {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("another run works on node %s: %s", node, LockID(node)), activities.NodeBusy, nil)
	}
	return err
}

// lockedOnly refuses a body that was started by itself, under any id, instead of by the workflow that takes the lock for it.
func lockedOnly(ctx workflow.Context, by string) error {
	if workflow.GetInfo(ctx).ParentWorkflowExecution == nil {
		return temporal.NewNonRetryableApplicationError("start "+by+" instead: this is its body, and runs under the node's lock", "NotByHand", nil)
	}
	return nil
}

// cause finds what a run died of: its error's name and text, without Temporal's wrapping. Both are empty when it did not die.
func cause(err error) (name, text string) {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	var terminated *temporal.TerminatedError
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &app):
		return app.Type(), app.Message()
	case errors.As(err, &timeout):
		return "Timeout", "the step went silent or took too long: " + timeout.Error()
	case errors.As(err, &terminated):
		return "Terminated", "the run was terminated"
	default:
		return "", err.Error()
	}
}

// step finds the activity in which a run died, empty when it was none.
func step(err error) string {
	var activity *temporal.ActivityError
	if errors.As(err, &activity) {
		return activity.ActivityType().GetName()
	}
	return ""
}
