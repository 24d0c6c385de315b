package workflows

import (
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	queuePrefix = "canton-backup/"

	// ProgressQuery asks a node's running body for its Progress.
	ProgressQuery = "progress"

	// RunLogKey marks the log records that are lines of the run's log: backup.log and the terminal show them.
	RunLogKey = "run_log"
)

// Queue is the task queue of everything that touches the node's host.
func Queue(node string) string { return queuePrefix + node }

// LockID is the workflow id of a node's body. Temporal runs one workflow of an id at a time, which is the lock: backup,
// restore, drill and prune of one node never overlap, whoever started them (law 8), and it cannot stay behind locked.
func LockID(node string) string { return "node/" + node }

// ScheduleID is the id of a node's schedule, and the beginning of the ids of the runs that it starts.
func ScheduleID(node string) string { return "backup-" + node }

// DrillScheduleID is the id of the schedule of a node's drills, and the beginning of the ids of the runs that it starts.
func DrillScheduleID(node string) string { return "drill-" + node }

// WatchScheduleID is the id of the schedule of a node's watchdog, and the beginning of the ids of the runs that it starts.
func WatchScheduleID(node string) string { return "watch-" + node }

// nodeOf finds the node's name: the queue is its own, so that "{}" is a complete input.
func nodeOf(ctx workflow.Context) (string, error) {
	node, ok := strings.CutPrefix(workflow.GetInfo(ctx).TaskQueueName, queuePrefix)
	if !ok || node == "" {
		return "", temporal.NewNonRetryableApplicationError("start this workflow on the queue "+queuePrefix+"<node>, not on "+workflow.GetInfo(ctx).TaskQueueName, "WrongQueue", nil)
	}
	return node, nil
}

// Register offers every workflow to a worker, for production and tests alike.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflow(Backup)
	r.RegisterWorkflow(BackupNode)
	r.RegisterWorkflow(Prune)
	r.RegisterWorkflow(PruneNode)
	r.RegisterWorkflow(Restore)
	r.RegisterWorkflow(RestoreNode)
	r.RegisterWorkflow(Rollback)
	r.RegisterWorkflow(RollbackNode)
	r.RegisterWorkflow(DropOld)
	r.RegisterWorkflow(DropOldNode)
	r.RegisterWorkflow(Drill)
	r.RegisterWorkflow(DrillNode)
	r.RegisterWorkflow(Watch)
}
