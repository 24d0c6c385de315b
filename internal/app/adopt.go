package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"canton-backup/activities"
	"canton-backup/workflows"
)

// describeOpen returns the open workflow of that id, nil when there is none.
func describeOpen(ctx context.Context, c client.Client, id string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	described, err := c.DescribeWorkflowExecution(ctx, id, "")
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for an open run of %s: %w", id, err)
	}
	if described.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return nil, nil
	}
	return described, nil
}

// running is what the activities may know of an open workflow.
func running(ctx context.Context, c client.Client, id string) (*activities.Run, error) {
	described, err := describeOpen(ctx, c, id)
	if err != nil || described == nil {
		return nil, err
	}
	info := described.GetWorkflowExecutionInfo()
	return &activities.Run{Type: info.GetType().GetName(), Since: info.GetStartTime().AsTime()}, nil
}

// adopt takes over what an earlier worker of this host left running when it was killed. We hold the node's lock on this
// host, so that worker is dead and its activities with it; Temporal would only find out when their heartbeats stay away. Each is failed
// on its behalf, and the retry policy starts it anew at once.
func adopt(ctx context.Context, c client.Client, node, identity string, logger *slog.Logger) error {
	described, err := describeOpen(ctx, c, workflows.LockID(node))
	if err != nil || described == nil {
		return err
	}
	run := described.GetWorkflowExecutionInfo()
	var notFound *serviceerror.NotFound
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
