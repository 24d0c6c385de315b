package app

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"canton-backup/internal/config"
	"canton-backup/workflows"
)

// spread is how far apart the runs of many nodes begin at most.
const spread = 15 * time.Minute

// offset is when within an interval this node's runs begin: nodes that share a backup server or a bucket do not all begin at the full
// hour, in one second and so with one set id. It is the same at every start.
func offset(s config.Settings) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(s.Node.Network + "/" + s.Node.Name))
	seconds := min(s.Every, spread) / time.Second
	return time.Duration(h.Sum32()%uint32(seconds)) * time.Second
}

// ApplySchedule makes the node's schedules what the settings say, or creates them. An operator's pause survives: only spec,
// action and policy are written, the state stays. A failed run never pauses one: a paused schedule is the silent disaster.
func ApplySchedule(ctx context.Context, c client.Client, s config.Settings) error {
	begin := offset(s)
	err := apply(ctx, c, s.Every, begin, &client.ScheduleWorkflowAction{
		ID: workflows.ScheduleID(s.Node.Name), Workflow: workflows.Backup, Args: []any{workflows.BackupInput{}}, TaskQueue: workflows.Queue(s.Node.Name),
		StaticSummary: fmt.Sprintf("Backup of node %s (%s)", s.Node.Name, s.Node.Network),
	})
	if err != nil {
		return err
	}
	// It starts a run only where none is open: one that somebody ended is back within one look.
	err = apply(ctx, c, workflows.WatchEvery, begin%workflows.WatchEvery, &client.ScheduleWorkflowAction{
		ID: workflows.WatchScheduleID(s.Node.Name), Workflow: workflows.Watch, Args: []any{workflows.WatchInput{}}, TaskQueue: workflows.Queue(s.Node.Name),
		StaticSummary: fmt.Sprintf("Watchdog of node %s (%s)", s.Node.Name, s.Node.Network),
	})
	if err != nil {
		return err
	}
	id := workflows.DrillScheduleID(s.Node.Name)
	if s.Drill == 0 {
		err := c.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
		var absent *serviceerror.NotFound
		if err != nil && !errors.As(err, &absent) {
			return fmt.Errorf("delete schedule %s: %w", id, err)
		}
		return nil
	}
	// Between two backups: a node is busy with one thing at a time.
	return apply(ctx, c, s.Drill, min(begin+s.Every/2, s.Drill-time.Second), &client.ScheduleWorkflowAction{
		ID: id, Workflow: workflows.Drill, Args: []any{workflows.DrillInput{}}, TaskQueue: workflows.Queue(s.Node.Name),
		StaticSummary: fmt.Sprintf("Drill of node %s (%s)", s.Node.Name, s.Node.Network),
	})
}

// apply creates or updates the schedule that has the action's id.
func apply(ctx context.Context, c client.Client, every, offset time.Duration, action *client.ScheduleWorkflowAction) error {
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: every, Offset: offset}}}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: action.ID, Spec: spec, Action: action, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: every,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		if err != nil {
			return fmt.Errorf("create schedule %s: %w", action.ID, err)
		}
		return nil
	}
	err = c.ScheduleClient().GetHandle(ctx, action.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			schedule := in.Description.Schedule
			schedule.Spec = &spec
			schedule.Action = action
			schedule.Policy = &client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: every}
			return &client.ScheduleUpdate{Schedule: &schedule}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("update schedule %s: %w", action.ID, err)
	}
	return nil
}
