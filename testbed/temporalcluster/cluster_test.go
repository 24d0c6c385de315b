package temporalcluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"canton-backup/internal/attributes"
	"canton-backup/internal/temporalclient"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const queue = "test"

// cluster is the environment of a process that was told to join the cluster.
type cluster string

func (a cluster) LookupEnv(name string) (string, bool) {
	if name != "TEMPORAL_ADDRESS" {
		return "", false
	}
	return string(a), true
}

func (a cluster) Environ() []string { return []string{"TEMPORAL_ADDRESS=" + string(a)} }

func greet(ctx workflow.Context, name string) (string, error) {
	return "hello " + name, workflow.Sleep(ctx, time.Second)
}

func TestStart(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // postgres runs as another user
	began := time.Now()
	c, err := Start(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	t.Logf("up after %v", time.Since(began))

	target := temporalclient.Target{EmbeddedAddress: "127.0.0.1:1", Env: cluster(c.Address())}
	require.True(t, temporalclient.Configured(target.Env))
	api, err := temporalclient.Dial(t.Context(), target)
	require.NoError(t, err)
	defer api.Close()

	about, err := api.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	require.NoError(t, err)
	require.Equal(t, retention, about.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())

	require.NoError(t, temporalclient.EnsureSearchAttributes(t.Context(), api, namespace))
	require.NoError(t, temporalclient.EnsureSearchAttributes(t.Context(), api, namespace), "a second worker finds them there")

	w := worker.New(api, queue, worker.Options{})
	w.RegisterWorkflowWithOptions(greet, workflow.RegisterOptions{Name: "Greet"})
	require.NoError(t, w.Start())
	defer w.Stop()
	options := client.StartWorkflowOptions{ID: "tagged", TaskQueue: queue,
		TypedSearchAttributes: temporal.NewSearchAttributes(attributes.Node.ValueSet("node-1"))}
	var run client.WorkflowRun
	require.Eventually(t, func() bool { // a cluster learns of new search attributes some time later
		run, err = api.ExecuteWorkflow(t.Context(), options, "Greet", "cluster")
		return err == nil
	}, 90*time.Second, 500*time.Millisecond, "%v", err)
	var answer string
	require.NoError(t, run.Get(t.Context(), &answer))
	require.Equal(t, "hello cluster", answer)

	_, err = api.ScheduleClient().Create(t.Context(), client.ScheduleOptions{ID: "every-four-hours", TriggerImmediately: true,
		Spec:   client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 4 * time.Hour}}},
		Action: &client.ScheduleWorkflowAction{ID: "scheduled", Workflow: "Greet", Args: []any{"schedule"}, TaskQueue: queue}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		count, err := api.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace,
			Query: `ExecutionStatus = "Completed" AND (CantonNode = "node-1" OR TemporalScheduledById = "every-four-hours")`})
		return err == nil && count.GetCount() == 2
	}, 60*time.Second, 100*time.Millisecond)

	before, err := c.Bytes(t.Context())
	require.NoError(t, err)
	require.Greater(t, before, int64(1<<20))
	require.NoError(t, c.KillServer())
	require.NoError(t, c.StartServer(t.Context()))
	_, err = api.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	require.NoError(t, err, "at the same address, with the same database")
	run, err = api.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "after", TaskQueue: queue}, "Greet", "again")
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), &answer))

	require.NoError(t, c.Stop())
	require.NoError(t, c.Stop())
}

func TestStart_endsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, t.TempDir())
	require.ErrorIs(t, err, context.Canceled)
}
