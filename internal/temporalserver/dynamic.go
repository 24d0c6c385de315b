package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/server/common/dynamicconfig"
)

const (
	// ownPartitions is into how many parts a task queue is split: one host gains nothing by more, and each has clocks, pollers and
	// rows of its own.
	ownPartitions = 1
	// taskWorkers is how many tasks of a kind the server works on at a time. They share one connection to one file.
	taskWorkers = 16
	// namespaceAge is for how long a service goes without reading the namespaces. Four services read them.
	namespaceAge = 10 * time.Second
	// ackInterval is how often a queue's place is written down. After a crash, tasks since then are read again and found to be done.
	ackInterval = 5 * time.Minute
)

// dynamicConfig is what this server does otherwise than one of a cluster. Most of it is about a host that waits: the server's defaults
// are for thousands of tasks a second.
func dynamicConfig(partitions int) dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// One host writes all attributes, so reading them afresh is cheap and a new one works at once.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		// A local file needs no protection from its only reader.
		dynamicconfig.FrontendPersistenceMaxQPS.Key(): 10000,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():  45000,
		// A validator's host does not phone out.
		dynamicconfig.EnableServerVersionCheck.Key(): false,

		dynamicconfig.NamespaceCacheRefreshInterval.Key():       namespaceAge,
		dynamicconfig.MatchingUpdateAckInterval.Key():           ackInterval,
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  partitions,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): partitions,

		dynamicconfig.TimerProcessorSchedulerWorkerCount.Key():      taskWorkers,
		dynamicconfig.TransferProcessorSchedulerWorkerCount.Key():   taskWorkers,
		dynamicconfig.VisibilityProcessorSchedulerWorkerCount.Key(): taskWorkers,
		// No other cluster sends anything.
		dynamicconfig.ReplicationProcessorSchedulerWorkerCount.Key():            1,
		dynamicconfig.ReplicationLowPriorityProcessorSchedulerWorkerCount.Key(): 1,
	}
}

// partitions is ownPartitions, unless tasks wait in the other parts of a queue: earlier versions split queues as the server does by
// default, and a part that nobody asks for would keep its tasks for ever. They are worked off, so that a later start finds none.
func partitions(ctx context.Context, history string) (int, error) {
	db, err := openDatabase(history, "rw")
	if err != nil {
		return 0, err
	}
	// A task's queue is 16 bytes of the namespace's id, then the queue's name, which begins so for all parts but the first.
	const query = `SELECT EXISTS (SELECT 1 FROM tasks WHERE substr(task_queue_id, 17, 6) = CAST('/_sys/' AS BLOB)
		UNION ALL SELECT 1 FROM tasks_v2 WHERE substr(task_queue_id, 17, 6) = CAST('/_sys/' AS BLOB))`
	var waiting bool
	err = errors.Join(db.QueryRowContext(ctx, query).Scan(&waiting), db.Close())
	switch {
	case err != nil:
		return 0, fmt.Errorf("look for tasks that wait in %s: %w", history, err)
	case waiting:
		return dynamicconfig.GlobalDefaultNumTaskQueuePartitions, nil
	}
	return ownPartitions, nil
}
