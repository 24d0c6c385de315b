package fleet_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"canton-backup/internal/app"
	"canton-backup/internal/attributes"
	"canton-backup/internal/config"
	"canton-backup/internal/fleet"
	"canton-backup/internal/temporalclient"
	"canton-backup/testbed/temporalcluster"
	"canton-backup/workflows"
)

const (
	nodes   = 200
	every   = 90 * time.Second // the runs are spread over all of it, as real ones over the first quarter of an hour of theirs
	runs    = 2                // of each node
	lateBar = time.Minute
	steps   = 9 // activities of a backup to one target
)

var scheduledAt = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// run is one that began.
type run struct {
	node string
	late time.Duration // from the schedule's time to the first step's work
}

// standIn stands for canton-backup-worker and its node: workflows and activities in the number, nesting and order of a backup, through the same
// ids, queues and search attributes, that touch no database and take no time. What is measured is what Temporal adds.
type standIn struct {
	node string
	mu   *sync.Mutex
	seen *[]run
}

// backup is the outer workflow, which starts the node's body under the id that is its lock.
func (s standIn) backup(ctx workflow.Context, _ workflows.BackupInput) error {
	nominal, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(scheduledAt)
	if !ok {
		return fmt.Errorf("run %s has no scheduled time", workflow.GetInfo(ctx).WorkflowExecution.ID)
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: workflows.LockID(s.node)})
	return workflow.ExecuteChildWorkflow(ctx, "BackupNode", nominal).Get(ctx, nil)
}

func (s standIn) body(ctx workflow.Context, nominal time.Time) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: time.Minute})
	if err := workflow.ExecuteActivity(ctx, "Begin", nominal).Get(ctx, nil); err != nil {
		return err
	}
	mark := func(updates ...temporal.SearchAttributeUpdate) error {
		return workflow.UpsertTypedSearchAttributes(ctx, updates...)
	}
	if err := mark(attributes.Node.ValueSet(s.node), attributes.Network.ValueSet("testnet"), attributes.Set.ValueSet("20261103_040000")); err != nil {
		return err
	}
	for range steps - 1 {
		if err := workflow.ExecuteActivity(ctx, "Step").Get(ctx, nil); err != nil {
			return err
		}
	}
	return mark(attributes.Outcome.ValueSet(string(workflows.Done)), attributes.Bytes.ValueSet(1<<30))
}

func (s standIn) begin(_ context.Context, nominal time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.seen = append(*s.seen, run{s.node, time.Since(nominal)})
	return nil
}

func (s standIn) step(ctx context.Context) error {
	activity.RecordHeartbeat(ctx, 1<<20)
	return nil
}

// Two hundred nodes with a schedule each, made by the product's own code, on one server and its PostgreSQL: every run begins within a minute of
// its time.
func TestFleet_BeginsOnTime(t *testing.T) {
	dir, err := os.MkdirTemp("", "canton-backup-fleet-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) // its PostgreSQL runs as another user
	cluster, err := temporalcluster.Start(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Stop()) })
	c, err := temporalclient.Dial(t.Context(), temporalclient.Target{EmbeddedAddress: cluster.Address()})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.NoError(t, temporalclient.EnsureSearchAttributes(t.Context(), c, "default"))
	require.Eventually(t, func() bool { // the cluster learns of new ones some time later
		_, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: "default", Query: attributes.Node.GetName() + " = 'x'"})
		return err == nil
	}, 3*time.Minute, time.Second)

	mu, seen := &sync.Mutex{}, []run{}
	for i := range nodes {
		startNode(t, c, standIn{node: fmt.Sprintf("validator-%03d", i), mu: mu, seen: &seen})
	}
	before, err := cluster.Bytes(t.Context())
	require.NoError(t, err)
	began := time.Now()
	for i := range nodes {
		s := config.Settings{Node: config.Node{Name: fmt.Sprintf("validator-%03d", i), Network: "testnet"}, Every: every}
		require.NoError(t, app.ApplySchedule(t.Context(), c, s))
	}
	t.Logf("%d schedules made in %v", nodes, time.Since(began).Round(time.Second))

	lateness := func() (late []time.Duration, least int) {
		mu.Lock()
		defer mu.Unlock()
		count := map[string]int{}
		for _, r := range seen {
			count[r.node]++
			late = append(late, r.late)
		}
		for i := range nodes {
			n := count[fmt.Sprintf("validator-%03d", i)]
			if i == 0 || n < least {
				least = n
			}
		}
		return late, least
	}
	require.Eventually(t, func() bool { _, least := lateness(); return least >= runs }, runs*every+2*lateBar, time.Second, "every node has had %d runs", runs)

	late, _ := lateness()
	slices.Sort(late)
	at := func(share float64) time.Duration {
		return late[int(share*float64(len(late)-1))].Round(time.Millisecond)
	}
	after, err := cluster.Bytes(t.Context())
	require.NoError(t, err)
	took := time.Since(began)
	t.Logf("%d nodes, %d runs in %v, %.1f a second: late by p50 %v, p99 %v, max %v; %d KiB of database a run",
		nodes, len(late), took.Round(time.Second), float64(len(late))/took.Seconds(), at(.5), at(.99), at(1), (after-before)/1024/int64(len(late)))
	require.Less(t, at(1), lateBar, "every run begins within a minute of its time")

	lookAt(t, c)
}

// startNode polls the node's queue as its worker would, from this process.
func startNode(t *testing.T, c client.Client, s standIn) {
	w := worker.New(c, workflows.Queue(s.node), worker.Options{})
	w.RegisterWorkflowWithOptions(s.backup, workflow.RegisterOptions{Name: "Backup"})
	w.RegisterWorkflowWithOptions(s.body, workflow.RegisterOptions{Name: "BackupNode"})
	w.RegisterActivityWithOptions(s.begin, activity.RegisterOptions{Name: "Begin"})
	w.RegisterActivityWithOptions(s.step, activity.RegisterOptions{Name: "Step"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

// lookAt asks what `status --all` shows of the fleet.
func lookAt(t *testing.T, c client.Client) {
	began := time.Now()
	all, err := fleet.Nodes(t.Context(), c)
	require.NoError(t, err)
	t.Logf("status of all in %v", time.Since(began).Round(time.Millisecond))
	require.Len(t, all, nodes)
	for _, n := range all {
		require.Equal(t, fleet.Polls, n.Worker, "%+v", n)
		require.Equal(t, every, n.Every)
		require.Equal(t, "testnet", n.Network, "%+v", n)
		require.NotNil(t, n.Next, "%+v", n)
	}
}
