package e2e_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"canton-backup/internal/backupset"
	"canton-backup/internal/temporalclient"
	"canton-backup/testbed"
	"canton-backup/workflows"
)

// temporal connects to the host's embedded server.
func (h *host) temporal() client.Client {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	c, err := temporalclient.Dial(ctx, temporalclient.Target{EmbeddedAddress: "127.0.0.1:" + h.settings["TEMPORAL_PORT"]})
	require.NoError(h.t, err)
	h.t.Cleanup(c.Close)
	return c
}

// start starts a Backup as the Web UI does and returns its run.
func (h *host) start(c client.Client, id string) client.WorkflowRun {
	h.t.Helper()
	var run client.WorkflowRun
	// The server was killed and came back; the client's connection takes its time to notice. A start that got through before its
	// answer was lost is found again by its id.
	require.Eventually(h.t, func() bool {
		var err error
		run, err = c.ExecuteWorkflow(h.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.Queue(h.settings["NODE_NAME"])}, "Backup", map[string]any{})
		return err == nil
	}, 2*time.Minute, 100*time.Millisecond)
	return run
}

// Kill the worker, and with it the Temporal server, as each step is scheduled: the run goes on where it stopped and makes a good set.
func TestCrash_AtEveryStep(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.s3()
	h.rsync()
	w := h.startWorker()
	c := h.temporal()
	node := h.settings["NODE_NAME"]
	for _, step := range []string{"Preflight", "DumpValidator", "DumpParticipant", "Seal", "Upload", "PruneLocal", "PruneRemote"} {
		t.Run(step, func(t *testing.T) {
			run := h.start(c, "crash-"+step)
			await(t, c, workflows.LockID(node), run, step)
			w.kill()
			w = h.startWorker()
			var result workflows.BackupResult
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			require.NoError(t, run.Get(ctx, &result))
			require.Equal(t, workflows.Done, result.Outcome)
			require.Equal(t, backupset.Pass, result.Verdict)
			require.Equal(t, backupset.Pass, h.manifest(result.Set).Verdict)
			h.tidy()
			h.noSessions()
		})
	}
	for _, s := range h.list() {
		require.Equal(t, []string{"local", "r2", "rsync"}, s.Stores)
		require.Empty(t, s.Damage)
	}
	require.Empty(t, h.telegram.messages())
}

// await waits until the step is scheduled in the body that the run started.
func await(t *testing.T, c client.Client, lock string, run client.WorkflowRun, step string) {
	t.Helper()
	require.Eventually(t, func() bool {
		d, err := c.DescribeWorkflowExecution(t.Context(), lock, "")
		if err != nil || d.GetWorkflowExecutionInfo().GetParentExecution().GetRunId() != run.GetRunID() {
			return false
		}
		events := c.GetWorkflowHistory(t.Context(), lock, d.GetWorkflowExecutionInfo().GetExecution().GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			if err != nil {
				return false
			}
			if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == step {
				return true
			}
		}
		return false
	}, patience, 10*time.Millisecond)
}

// patience is how long tests wait for what takes seconds on a machine that has nothing else to do.
const patience = 3 * time.Minute

// noSessions asserts that no session of ours is left on the node's server.
func (h *host) noSessions() {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		n, err := h.node.SQL(h.t.Context(), "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'canton-backup %'")
		return err == nil && n == "0"
	}, 10*time.Second, 100*time.Millisecond)
}

// Fifty backups of a node that writes all the time, with the worker killed at a random moment of each.
func TestCrash_FiftyBackups(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Flavour: testbed.Legacy, MigrationID: "4"})
	h := newHost(t, node)
	h.s3()
	h.set("RETENTION_DAYS", "30")
	w := h.startWorker()
	c := h.temporal()
	random := rand.New(rand.NewPCG(4711, 1))
	kills := 0
	span := 3 * time.Second // how long a run takes here, at most: a run that ends before its moment shortens it
	for range 50 {
		run := h.start(c, "fifty")
		moment := time.Duration(random.Int64N(int64(span)))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), moment)
		err := run.Get(ctx, nil)
		cancel()
		if err == nil {
			span = max(time.Since(began), 300*time.Millisecond)
		}
		if err != nil && t.Context().Err() == nil { // still running at that moment
			w.kill()
			kills++
			w = h.startWorker()
		}
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Minute)
		_ = run.Get(ctx, nil) // a run may fail after a kill; it must end
		require.NoError(t, ctx.Err(), "the run did not end")
		cancel()
	}
	require.Greater(t, kills, 25, "most runs were hit")

	open, err := c.ListOpenWorkflow(t.Context(), &workflowservice.ListOpenWorkflowExecutionsRequest{})
	require.NoError(t, err)
	for _, e := range open.GetExecutions() {
		require.NotContains(t, []string{"Backup", "BackupNode"}, e.GetType().GetName(), "every run ended")
	}
	h.tidy()
	h.noSessions()
	sets := h.list()
	t.Logf("%d kills, %d sealed sets", kills, len(sets))
	require.GreaterOrEqual(t, len(sets), 45, "a killed run goes on and makes its set")
	s := newScratch(t)
	for _, set := range sets {
		require.Empty(t, set.Damage)
		if strings.Contains(strings.Join(set.Stores, ","), "local") {
			s.obeysLaw2(h.backupDir(), h.manifest(set.Set))
		}
	}
	w.stop()
}
