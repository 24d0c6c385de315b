package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/activities"
	"canton-backup/internal/health"
	"canton-backup/workflows"
)

func watchBench(t *testing.T, look func(n int) (activities.Watched, error)) (*testsuite.TestWorkflowEnvironment, *int) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "watch-n", TaskQueue: workflows.Queue("n")})
	workflows.Register(env)
	activities.Register(env, &activities.Host{})
	looks := 0
	var watches *activities.Watches
	env.OnActivity(watches.Watch, mock.Anything).Return(func(context.Context) (activities.Watched, error) {
		looks++
		return look(looks)
	})
	return env, &looks
}

// A run looks for a day, one look every quarter of an hour, and then makes room for the next.
func TestWatch_Day(t *testing.T) {
	env, looks := watchBench(t, func(int) (activities.Watched, error) { return activities.Watched{Verdict: health.OK}, nil })
	begin := env.Now()
	env.ExecuteWorkflow(workflows.Watch, workflows.WatchInput{})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 96, *looks)
	require.InDelta(t, (95 * 15 * time.Minute).Seconds(), env.Now().Sub(begin).Seconds(), 60)
}

// A look that fails is not the end of the watch, and what it says is that it failed.
func TestWatch_LookFails(t *testing.T) {
	env, looks := watchBench(t, func(n int) (activities.Watched, error) {
		if n <= 2 {
			return activities.Watched{}, errors.New("broken look")
		}
		return activities.Watched{Verdict: health.Failed, Problems: []string{"schedule-paused"}}, nil
	})
	env.ExecuteWorkflow(workflows.Watch, workflows.WatchInput{Looks: 2})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 3, *looks, "two attempts of the first look, one of the second")
	var watched activities.Watched
	require.NoError(t, env.GetWorkflowResult(&watched))
	require.Equal(t, []string{"schedule-paused"}, watched.Problems)
	require.Empty(t, watched.Undelivered)
}

func TestWatch_LastLookFails(t *testing.T) {
	env, _ := watchBench(t, func(int) (activities.Watched, error) { return activities.Watched{}, errors.New("broken look") })
	env.ExecuteWorkflow(workflows.Watch, workflows.WatchInput{Looks: 1})
	require.NoError(t, env.GetWorkflowError())
	var watched activities.Watched
	require.NoError(t, env.GetWorkflowResult(&watched))
	require.Contains(t, watched.Undelivered, "broken look")
}

func TestWatch_Cancelled(t *testing.T) {
	env, _ := watchBench(t, func(int) (activities.Watched, error) { return activities.Watched{Verdict: health.OK}, nil })
	env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
	env.ExecuteWorkflow(workflows.Watch, workflows.WatchInput{})
	require.ErrorContains(t, env.GetWorkflowError(), "canceled")
}
