package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/bundle"
	"canton-backup/internal/canton"
	"canton-backup/internal/notify"
	"canton-backup/internal/restore"
	"canton-backup/workflows"
)

// restoreBench runs Restore with activities that the test answers for, in skipped time.
type restoreBench struct {
	*testsuite.TestWorkflowEnvironment
	calls []string
	fail  map[string]error // the first call of that name
	hook  map[string]func()
	alert *notify.Alert
	plan  activities.RestorePlan
	over  []string // scopes
}

func newRestoreBench(t *testing.T) *restoreBench {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &restoreBench{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), fail: map[string]error{}, hook: map[string]func(){}}
	b.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "restore-1", TaskQueue: workflows.Queue("n")})
	b.SetTestTimeout(30 * time.Second)
	workflows.Register(b)
	activities.Register(b, &activities.Host{})
	b.plan = activities.RestorePlan{Set: "20260101_000000", From: "r2", Location: "r2://b", Running: true, Bundle: bundle.Bundle{Dir: "/bundle", Project: "p"},
		Was: canton.Launch{Sponsor: "s", PartyHint: "was"}, Will: canton.Launch{Sponsor: "s", PartyHint: "will"}, StartArgs: []string{"will"},
		Halves: []activities.Half{
			{Component: backupset.Component{Role: backupset.Validator}, Live: "validator", Loading: "validator_restore", Before: "validator_before"},
			{Component: backupset.Component{Role: backupset.Participant}, Live: "participant", Loading: "participant_restore", Before: "participant_before"},
		}}
	var restores *activities.Restores
	var nodes *activities.Nodes
	var alerts *activities.Alerts
	b.OnActivity(restores.PlanRestore, mock.Anything, mock.Anything).Return(func(context.Context, activities.RestoreRequest) (activities.RestorePlan, error) {
		return b.plan, b.call("PlanRestore")
	}).Maybe()
	b.OnActivity(restores.Load, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.LoadInput) error { return b.call("Load " + string(in.Role)) }).Maybe()
	b.OnActivity(restores.Check, mock.Anything, mock.Anything).Return(func(context.Context, activities.RestoreStep) (activities.Restored, error) {
		return activities.Restored{After: []string{"user is not there"}}, b.call("Check")
	}).Maybe()
	b.OnActivity(nodes.StartNode, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.StartInput) error {
		return b.call("StartNode " + strings.Join(in.Args, " "))
	}).Maybe()
	for name, activity := range map[string]any{"Fetch": restores.Fetch, "StopNode": nodes.StopNode, "StartPostgres": nodes.StartPostgres, "Swap": restores.Swap, "SwapBack": restores.SwapBack,
		"DropLoaded": restores.DropLoaded, "DiscardFetched": restores.DiscardFetched} {
		b.OnActivity(activity, mock.Anything, mock.Anything).Return(func(context.Context, activities.RestoreStep) error { return b.call(name) }).Maybe()
	}
	b.OnActivity(alerts.Notify, mock.Anything, mock.Anything).Return(func(_ context.Context, in notify.Alert) (activities.Notified, error) {
		b.alert = &in
		return activities.Notified{Sent: true}, nil
	}).Maybe()
	b.OnActivity(alerts.Resolve, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ResolveInput) (activities.Notified, error) {
		b.over = append(b.over, in.Scope)
		return activities.Notified{}, nil
	}).Maybe()
	return b
}

func (b *restoreBench) call(name string) error {
	b.calls = append(b.calls, name)
	if hook := b.hook[name]; hook != nil {
		hook()
	}
	err := b.fail[name]
	delete(b.fail, name)
	return err
}

func (b *restoreBench) run(in workflows.RestoreInput) (result workflows.RestoreResult, err error) {
	b.ExecuteWorkflow(workflows.Restore, in)
	if err = b.GetWorkflowError(); err == nil {
		err = b.GetWorkflowResult(&result)
	}
	return result, err
}

const asItWas = "StartNode -s s -o  -p was"

func TestRestore_TakesTheStepsInOrder(t *testing.T) {
	b := newRestoreBench(t)
	result, err := b.run(workflows.RestoreInput{Set: "latest", Approved: true})
	require.NoError(t, err)
	require.Equal(t, []string{"PlanRestore", "PlanRestore", "Fetch", "StopNode", "StartPostgres", "Load validator", "Load participant", "Check", "Swap", "StartNode will", "DiscardFetched"}, b.calls)
	require.Equal(t, []string{"validator_before", "participant_before"}, result.Kept)
	require.Equal(t, "user is not there", result.After[0])
	require.Nil(t, b.alert)
	require.Equal(t, []string{"Restore/"}, b.over)
}

// Whichever step fails, what was done is undone, in the other direction, and nothing more.
func TestRestore_UndoesEachStep(t *testing.T) {
	for step, undo := range map[string][]string{
		"Fetch":            {"DiscardFetched"},
		"StopNode":         {asItWas},
		"StartPostgres":    {asItWas},
		"Load validator":   {"DropLoaded", asItWas},
		"Load participant": {"DropLoaded", asItWas},
		"Check":            {"DropLoaded", asItWas},
		"Swap":             {"StopNode", "StartPostgres", "SwapBack", "DropLoaded", asItWas},
		"StartNode will":   {"StopNode", "StartPostgres", "SwapBack", "DropLoaded", asItWas},
	} {
		for _, how := range []string{"fails", "is cancelled"} {
			t.Run(step+" "+how, func(t *testing.T) {
				b := newRestoreBench(t)
				if how == "fails" {
					b.fail[step] = permanent("Broken")
				} else {
					b.hook[step] = b.CancelWorkflow
					b.fail[step] = temporal.NewCanceledError()
				}
				_, err := b.run(workflows.RestoreInput{Set: "latest", Approved: true})
				require.Error(t, err)
				at := len(b.calls) - len(undo)
				require.Equal(t, step, b.calls[at-1])
				require.Equal(t, undo, b.calls[at:])
				if how != "fails" {
					require.True(t, temporal.IsCanceledError(err), "%v", err)
					require.Nil(t, b.alert)
					return
				}
				require.ErrorContains(t, err, "cause of Broken")
				require.NotNil(t, b.alert)
				require.Equal(t, "Restore", b.alert.What)
				if step != "Fetch" {
					require.Contains(t, b.alert.Cause, "the node runs on its old data")
				}
			})
		}
	}
}

// A node that was down before is left down, and an undo that fails says how to start the node.
func TestRestore_UndoHasItsLimits(t *testing.T) {
	b := newRestoreBench(t)
	b.plan.Running = false
	b.fail["Check"] = permanent("Broken")
	_, err := b.run(workflows.RestoreInput{Set: "latest", Approved: true})
	require.ErrorContains(t, err, "stopped, as it was")
	require.NotContains(t, strings.Join(b.calls, "\n"), "StartNode")

	b = newRestoreBench(t)
	b.fail["StartNode will"], b.fail["SwapBack"] = permanent("Broken"), permanent("AlsoBroken")
	_, err = b.run(workflows.RestoreInput{Set: "latest", Approved: true})
	require.ErrorContains(t, err, "not all could be undone: swap the databases back: AlsoBroken")
	require.Contains(t, b.alert.Cause, "/bundle/start.sh -s s -o '' -p was")
	require.NotContains(t, b.calls, "DropLoaded", "what may be the only good copy stays")
}

func TestRestore_RefusedTouchesNothing(t *testing.T) {
	b := newRestoreBench(t)
	b.plan.Gates = []restore.Gate{{Name: restore.GateAge, Detail: "too old"}, {Name: restore.GatePair, Detail: "not proven", Overridden: true}}
	_, err := b.run(workflows.RestoreInput{Set: "latest", Approved: true})
	require.ErrorContains(t, err, "age: too old")
	require.NotContains(t, err.Error(), "not proven")
	require.Equal(t, []string{"PlanRestore"}, b.calls)
	require.Nil(t, b.alert, "who asked was told")
}

func TestRestore_WaitsForApproval(t *testing.T) {
	for name, approve := range map[string]func(*restoreBench){
		"signal": func(b *restoreBench) { b.SignalWorkflow(workflows.ApproveName, workflows.Approval{By: "ann"}) },
		"update": func(b *restoreBench) {
			b.UpdateWorkflow(workflows.ApproveName, "u1", &testsuite.TestUpdateCallback{OnAccept: func() {}, OnReject: func(err error) { panic(err) }, OnComplete: func(any, error) {}}, workflows.Approval{By: "ann"})
		},
		"nobody": func(b *restoreBench) {
			b.SignalWorkflow(workflows.ApproveName, workflows.Approval{}) // names nobody
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRestoreBench(t)
			b.RegisterDelayedCallback(func() {
				require.Equal(t, []string{"PlanRestore"}, b.calls, "nothing before the approval")
				approve(b)
			}, 3*time.Hour)
			result, err := b.run(workflows.RestoreInput{Set: "latest"})
			if name == "nobody" {
				require.ErrorContains(t, err, "nobody approved")
				require.Equal(t, []string{"PlanRestore"}, b.calls)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "ann", result.ApprovedBy)
			require.Contains(t, b.calls, "Swap")
		})
	}
}

// The bodies run under the lock or not at all.
func TestRestoreBodies_RefuseToRunByHand(t *testing.T) {
	for _, start := range []func(*restoreBench){
		func(b *restoreBench) { b.ExecuteWorkflow(workflows.RestoreNode, workflows.RestoreInput{}) },
		func(b *restoreBench) { b.ExecuteWorkflow(workflows.RollbackNode, workflows.RollbackInput{}) },
		func(b *restoreBench) { b.ExecuteWorkflow(workflows.DropOldNode, workflows.DropOldInput{}) },
		func(b *restoreBench) { b.ExecuteWorkflow(workflows.DrillNode, workflows.DrillInput{}) },
	} {
		b := newRestoreBench(t)
		start(b)
		require.ErrorContains(t, b.GetWorkflowError(), "instead")
		require.Empty(t, b.calls)
	}
}
