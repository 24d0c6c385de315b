package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"canton-backup/workflows"
)

// adopt takes over what an earlier worker of this host left running when it was killed. We hold the node's lock on this
// host, so that worker is dead and its activities with it; Temporal would only find out when their heartbeats stay away. Each is failed
// on its behalf, and the retry policy starts it anew at once.
func adopt(ctx context.Context, c client.Client, node, identity string, logger *slog.Logger) error {
	described, err := c.DescribeWorkflowExecution(ctx, workflows.LockID(node), "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for interrupted runs: %w", err)
	}
	run := described.GetWorkflowExecutionInfo()
	if run.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil
	}
	for _, a := range described.GetPendingActivities() {
		if a.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED && a.GetState() != enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED {
			continue
		}
		if !strings.HasPrefix(a.GetLastWorkerIdentity(), identity) {
			continue // another host's
		}
		lost := temporal.NewApplicationError("the worker was killed, its successor takes the step up again", "WorkerRestarted")
		err := c.CompleteActivityByID(ctx, Namespace(), run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId(), a.GetActivityId(), nil, lost)
		if err != nil && !errors.As(err, &notFound) {
			return fmt.Errorf("take over interrupted step %s: %w", a.GetActivityType().GetName(), err)
		}
		logger.Info("took over an interrupted step", "step", a.GetActivityType().GetName(), "attempt", a.GetAttempt())
	}
	return nil
}
