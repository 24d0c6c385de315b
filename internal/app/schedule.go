package app

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
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

// ApplySchedule makes the node's schedule what the settings say, or creates it. An operator's pause survives: only spec,
// action and policy are written, the state stays. A failed run never pauses it: a paused schedule is the silent disaster.
func ApplySchedule(ctx context.Context, c client.Client, s config.Settings) error {
	id := workflows.ScheduleID(s.Node.Name)
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: s.Every, Offset: offset(s)}}}
	action := &client.ScheduleWorkflowAction{
		ID: id, Workflow: workflows.Backup, Args: []any{workflows.BackupInput{}}, TaskQueue: workflows.Queue(s.Node.Name),
		StaticSummary: fmt.Sprintf("Backup of node %s (%s)", s.Node.Name, s.Node.Network),
	}
	_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: id, Spec: spec, Action: action, Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.Every,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		if err != nil {
			return fmt.Errorf("create schedule %s: %w", id, err)
		}
		return nil
	}
	err = c.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			schedule := in.Description.Schedule
			schedule.Spec = &spec
			schedule.Action = action
			schedule.Policy = &client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.Every}
			return &client.ScheduleUpdate{Schedule: &schedule}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("update schedule %s: %w", id, err)
	}
	return nil
}
