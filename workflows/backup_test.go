package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/notify"
	"canton-backup/workflows"
)

// bench runs Backup with activities that the test answers for, in skipped time.
type bench struct {
	*testsuite.TestWorkflowEnvironment
	mu      sync.Mutex
	calls   []string // activities in the order of their start, with the target's name where there is one
	fail    map[string]error
	hook    map[string]func() error
	alert   *notify.Alert
	alerts  []notify.Alert
	held    string
	over    []activities.ResolveInput
	pings   []activities.PingKind
	plan    activities.Plan
	verdict backupset.Verdict

	identities activities.IdentitiesDump
	pruned     activities.Pruned // at a target
}

func newBench(t *testing.T, targets ...config.Kind) *bench {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	b := &bench{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), fail: map[string]error{}, hook: map[string]func() error{}, verdict: backupset.Pass,
		pruned: activities.Pruned{Location: "there", Removed: []backupset.ID{"20200101_000000"}}}
	b.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "backup-n-manual", TaskQueue: workflows.Queue("n")})
	workflows.Register(b)
	activities.Register(b, &activities.Host{})
	b.plan = activities.Plan{Node: "n", Network: "testnet", Container: "pg-1", Validator: "validator", Participant: "participant-4", Codec: backupset.Gzip}
	for _, kind := range targets {
		b.plan.Targets = append(b.plan.Targets, activities.Target{Kind: kind, Location: "at-" + string(kind)})
	}
	var node *activities.Node
	var dumps *activities.Dumps
	var sets *activities.Sets
	var prunes *activities.Prunes
	var alerts *activities.Alerts
	b.OnActivity(node.Preflight, mock.Anything, mock.Anything).Return(func(context.Context, activities.PreflightInput) (activities.Plan, error) {
		return b.plan, b.call("Preflight")
	}).Maybe()
	b.OnActivity(dumps.DumpValidator, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.DumpInput) (activities.Dump, error) {
		return dumpOf("validator", in.Set), b.call("DumpValidator")
	}).Maybe()
	b.OnActivity(dumps.DumpParticipant, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.DumpParticipantInput) (activities.Dump, error) {
		if in.Validator.Component.Database != "validator" {
			return activities.Dump{}, errors.New("came without the validator's dump")
		}
		return dumpOf("participant-4", in.Set), b.call("DumpParticipant")
	}).Maybe()
	b.OnActivity(dumps.DumpIdentities, mock.Anything, mock.Anything).Return(func(context.Context, activities.IdentitiesInput) (activities.IdentitiesDump, error) {
		return b.identities, b.call("DumpIdentities")
	}).Maybe()
	b.OnActivity(dumps.Discard, mock.Anything, mock.Anything).Return(func(context.Context, activities.DiscardInput) error {
		return b.call("Discard")
	}).Maybe()
	b.OnActivity(sets.Seal, mock.Anything, mock.Anything).Return(func(context.Context, activities.SealInput) (activities.Sealed, error) {
		return activities.Sealed{Verdict: b.verdict, Bytes: 165}, b.call("Seal")
	}).Maybe()
	b.OnActivity(sets.Upload, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.UploadInput) (activities.Uploaded, error) {
		return activities.Uploaded{}, b.call("Upload " + string(in.Target))
	}).Maybe()
	b.OnActivity(sets.CatchUp, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.CatchUpInput) (activities.CaughtUp, error) {
		return activities.CaughtUp{}, b.call("CatchUp " + string(in.Target))
	}).Maybe()
	b.OnActivity(prunes.PruneLocal, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PruneInput) (activities.Pruned, error) {
		return activities.Pruned{Location: "here"}, b.call("PruneLocal")
	}).Maybe()
	b.OnActivity(prunes.PruneRemote, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PruneInput) (activities.Pruned, error) {
		return b.pruned, b.call("PruneRemote " + string(in.Target))
	}).Maybe()
	b.OnActivity(alerts.Notify, mock.Anything, mock.Anything).Return(func(_ context.Context, in notify.Alert) (activities.Notified, error) {
		b.alert = &in
		b.alerts = append(b.alerts, in)
		return activities.Notified{Sent: b.held == "", Held: b.held}, b.call("Notify")
	}).Maybe()
	b.OnActivity(alerts.Resolve, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ResolveInput) (activities.Notified, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.over = append(b.over, in)
		return activities.Notified{}, b.fail["Resolve"]
	}).Maybe()
	b.OnActivity(alerts.Ping, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.PingInput) (activities.Pinged, error) {
		b.mu.Lock()
		b.pings = append(b.pings, in.Kind)
		b.mu.Unlock()
		if hook := b.hook["Ping "+string(in.Kind)]; hook != nil {
			return activities.Pinged{}, hook()
		}
		return activities.Pinged{Sent: true}, b.fail["Ping"]
	}).Maybe()
	b.OnActivity(alerts.NotifyBusy, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.BusyInput) (activities.Notified, error) {
		return activities.Notified{}, b.call("NotifyBusy " + in.Holder)
	}).Maybe()
	return b
}

func dumpOf(database string, set backupset.ID) activities.Dump {
	return activities.Dump{Staged: database + ".1", Component: backupset.Component{Database: database, File: backupset.DumpName(database, set, backupset.Gzip, backupset.Unencrypted), Size: 45 << 20}}
}

func (b *bench) call(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, name)
	if hook := b.hook[name]; hook != nil {
		return hook()
	}
	return b.fail[name]
}

func (b *bench) run(t *testing.T) (workflows.BackupResult, error) {
	t.Helper()
	b.SetTestTimeout(30 * time.Second)
	b.ExecuteWorkflow(workflows.Backup, workflows.BackupInput{Reason: "test"})
	require.True(t, b.IsWorkflowCompleted())
	var result workflows.BackupResult
	err := b.GetWorkflowError()
	if err == nil {
		require.NoError(t, b.GetWorkflowResult(&result))
	}
	return result, err
}

// permanent is an error as the activities make it of one that no retry helps.
func permanent(name string) error {
	return temporal.NewNonRetryableApplicationError("cause of "+name, name, nil)
}

func TestBackup_TakesTheStepsInOrder(t *testing.T) {
	b := newBench(t, config.Rsync)
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, []string{"Preflight", "DumpValidator", "DumpParticipant", "DumpIdentities", "Seal", "Upload rsync", "CatchUp rsync", "PruneLocal", "PruneRemote rsync"}, b.calls)
	require.Equal(t, workflows.Done, result.Outcome)
	require.Equal(t, 1, result.Targets[0].Removed)
	require.Equal(t, backupset.Pass, result.Verdict)
}

func TestBackup_SkipStaysOnThisHost(t *testing.T) {
	b := newBench(t)
	_, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, []string{"Preflight", "DumpValidator", "DumpParticipant", "DumpIdentities", "Seal", "PruneLocal"}, b.calls)
}

// Whatever step fails for good: no later step runs, nothing is pruned, one alert goes out and names step and remedy.
func TestBackup_FailureStopsAlertsAndPrunesNothing(t *testing.T) {
	steps := []string{"Preflight", "DumpValidator", "DumpParticipant", "DumpIdentities", "Seal", "Upload rsync"}
	for i, step := range steps {
		if step == "DumpIdentities" {
			continue // the one that fails no backup
		}
		t.Run(step, func(t *testing.T) {
			b := newBench(t, config.Rsync)
			b.fail[step] = permanent(activities.AuthDenied)
			_, err := b.run(t)
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			require.Equal(t, activities.AuthDenied, app.Type())
			want := slices.Clone(steps[:i+1])
			if i > 0 {
				want = append(want, "Discard")
			}
			require.Equal(t, append(want, "Notify"), b.calls)
			require.Equal(t, strings.Fields(step)[0], b.alert.Step)
			require.Contains(t, b.alert.Cause, "cause of AuthDenied")
			require.Equal(t, activities.NextStep(activities.AuthDenied), b.alert.Next)
			require.Equal(t, "backup-n-manual", b.alert.Run)
		})
	}
}

func TestBackup_OneOfTwoTargetsFails(t *testing.T) {
	b := newBench(t, config.Rsync, config.R2)
	b.fail["Upload rsync"] = permanent(activities.HostKeyNotTrusted)
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.Incomplete, result.Outcome)
	require.Contains(t, b.calls, "PruneRemote r2")
	require.NotContains(t, b.calls, "PruneRemote rsync")
	require.Contains(t, b.calls, "PruneLocal", "a target that is down must not fill this host's disk")
	require.Contains(t, b.alert.Cause, "at-rsync: HostKeyNotTrusted")
	require.Equal(t, string(result.Set), b.alert.LastGood)
}

func TestBackup_AllTargetsFail(t *testing.T) {
	b := newBench(t, config.Rsync, config.R2)
	b.fail["Upload rsync"], b.fail["Upload r2"] = permanent(activities.AuthDenied), permanent(activities.BucketNotFound)
	_, err := b.run(t)
	require.Error(t, err)
	require.NotContains(t, strings.Join(b.calls, " "), "Prune")
	require.Contains(t, b.calls, "Notify")
}

func TestBackup_PruneFailureIsAWarning(t *testing.T) {
	b := newBench(t, config.Rsync)
	b.fail["PruneRemote rsync"] = permanent(activities.AuthDenied)
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.Done, result.Outcome)
	require.Contains(t, strings.Join(result.Warnings, "\n"), "prune of rsync failed: AuthDenied")
}

func TestBackup_IdentitiesFailureIsAWarning(t *testing.T) {
	b := newBench(t)
	b.fail["DumpIdentities"] = permanent(activities.InsufficientSpace)
	result, err := b.run(t)
	require.NoError(t, err)
	require.Contains(t, b.calls, "Seal")
	require.Contains(t, strings.Join(result.Warnings, "\n"), "IdentitiesMissing: InsufficientSpace")
	require.Nil(t, b.alert)
}

// Identities that could be had before and cannot now, and a key that is about to expire, are told of once, and the backup is good.
func TestBackup_AlertsOfAGoodBackup(t *testing.T) {
	b := newBench(t)
	b.plan.Alerts = []string{"public key X expires in 6 days"}
	b.identities = activities.IdentitiesDump{Warning: "IdentitiesStale: IdentitiesDenied", New: true}
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.Done, result.Outcome)
	require.Len(t, b.alerts, 2, "each cause has a state of its own")
	require.True(t, b.alerts[0].Done)
	require.Contains(t, b.alerts[0].Cause, "expires in 6 days")
	require.Equal(t, "Backup/Notice/public key X expires in days", b.alerts[0].Key)
	require.Contains(t, b.alerts[1].Cause, "IdentitiesStale")
	require.Equal(t, "Backup/Notice/IdentitiesStale", b.alerts[1].Key)
	require.Len(t, b.over, 1)
	require.Subset(t, b.over[0].Still, []string{b.alerts[0].Key, b.alerts[1].Key}, "told a moment ago, and not over")

	b = newBench(t)
	b.identities = activities.IdentitiesDump{Warning: "IdentitiesStale: IdentitiesDenied"}
	_, err = b.run(t)
	require.NoError(t, err)
	require.Nil(t, b.alert, "it was told of before")
	require.Equal(t, []string{"Backup/Notice/IdentitiesStale"}, b.over[0].Still, "and is not over")
}

// What a target missed earlier may wait for a later run: the new set is there.
func TestBackup_CatchUpFailureIsAWarning(t *testing.T) {
	b := newBench(t, config.Rsync, config.R2)
	b.fail["Upload rsync"], b.fail["CatchUp r2"] = permanent(activities.HostKeyNotTrusted), permanent(activities.InsufficientSpace)
	result, err := b.run(t)
	require.NoError(t, err)
	require.Contains(t, strings.Join(result.Warnings, "\n"), "r2 did not get all sets that it missed: InsufficientSpace")
	require.NotContains(t, b.calls, "CatchUp rsync")
	require.Contains(t, b.calls, "PruneRemote r2")
}

func TestBackup_PassingTroubleIsRetried(t *testing.T) {
	b := newBench(t, config.Rsync)
	tries := 0
	b.hook["DumpValidator"] = func() error {
		if tries++; tries < 3 {
			return temporal.NewApplicationError("starting up", activities.PostgresUnavailable)
		}
		return nil
	}
	_, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, 3, tries)
	require.Nil(t, b.alert)
}

// An alert that cannot be delivered changes nothing about the run.
func TestBackup_UndeliveredAlertIsRecorded(t *testing.T) {
	b := newBench(t, config.Rsync, config.R2)
	b.fail["Upload rsync"] = permanent(activities.AuthDenied)
	b.fail["Notify"] = permanent(activities.AlertRejected)
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, "cause of AlertRejected", result.AlertUndelivered)
}

func TestBackup_CancelRaisesNoAlarm(t *testing.T) {
	b := newBench(t, config.Rsync)
	b.hook["DumpParticipant"] = func() error {
		b.CancelWorkflow()
		return temporal.NewCanceledError()
	}
	_, err := b.run(t)
	require.True(t, temporal.IsCanceledError(err), "%v", err)
	require.Nil(t, b.alert)
	require.NotContains(t, strings.Join(b.calls, " "), "Prune")
}

func TestBackup_BusyNodeRaisesNoAlarm(t *testing.T) {
	b := newBench(t, config.Rsync)
	b.OnWorkflow(workflows.BackupNode, mock.Anything, mock.Anything).Return(workflows.BackupResult{}, &temporal.ChildWorkflowExecutionAlreadyStartedError{})
	_, err := b.run(t)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, activities.NodeBusy, app.Type())
	require.Equal(t, []string{"NotifyBusy " + workflows.LockID("n")}, b.calls, "whether it lasts too long is the activity's to say")
}

// The bodies run under the lock or not at all, whoever starts them.
func TestBodies_RefuseToRunByHand(t *testing.T) {
	for name, start := range map[string]func(*bench){
		"Backup": func(b *bench) { b.ExecuteWorkflow(workflows.BackupNode, workflows.BackupInput{}) },
		"Prune":  func(b *bench) { b.ExecuteWorkflow(workflows.PruneNode, workflows.PruneInput{}) },
	} {
		b := newBench(t, config.Rsync)
		start(b)
		require.ErrorContains(t, b.GetWorkflowError(), "start "+name+" instead")
		require.Empty(t, b.calls)
	}
}

// A node whose pair was proven before and no longer is: the set is stored, and somebody must look.
func TestBackup_LostProofAlerts(t *testing.T) {
	for lastGood, alerts := range map[backupset.ID]bool{"": false, "20260101_000000": true} {
		b := newBench(t, config.Rsync)
		b.plan.LastGood, b.verdict = lastGood, backupset.Unknown
		result, err := b.run(t)
		require.NoError(t, err)
		require.Equal(t, backupset.Unknown, result.Verdict)
		require.Equal(t, alerts, b.alert != nil, "a fresh node raises no alarm")
	}
}

func TestBackup_WrongQueueSaysSo(t *testing.T) {
	b := newBench(t)
	b.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "x", TaskQueue: "default"})
	_, err := b.run(t)
	require.ErrorContains(t, err, "canton-backup/<node>")
}

// The lines that operators know from the customer's guide.
func TestBackup_LogLines(t *testing.T) {
	b := newBench(t, config.Rsync)
	b.SetStartTime(time.Date(2024, 1, 15, 14, 0, 2, 0, time.UTC))
	var lines []string
	b.ExecuteWorkflow(workflows.Backup, workflows.BackupInput{})
	require.NoError(t, b.GetWorkflowError())
	answer, err := b.QueryWorkflowByID(workflows.LockID("n"), workflows.ProgressQuery)
	require.NoError(t, err)
	var p workflows.Progress
	require.NoError(t, answer.Get(&p))
	for _, l := range p.Lines {
		lines = append(lines, l.Text)
	}
	require.Equal(t, []string{
		"Starting backup — network: testnet, type: rsync",
		"PostgreSQL container: pg-1",
		"Dumping validator DB...",
		"✓ validator_20240115_140002.sql.gz — 45M",
		"Dumping participant DB (participant-4)...",
		"✓ participant-4_20240115_140002.sql.gz — 45M",
		"✓ Set 20240115_140002 sealed — pair: PASS",
		"Syncing to at-rsync ...",
		"✓ rsync upload complete",
		"✓ Pruned 1 old set(s) at there",
		"✓ Backup completed successfully",
	}, lines)
}

// A target's key may write and not delete: the backup is done, the operator is told in the run and its result, and no alarm is raised.
func TestBackup_SaysWhereItCannotPrune(t *testing.T) {
	b := newBench(t, config.R2)
	b.pruned = activities.Pruned{Location: "there", Kept: 9, Denied: "remove set 20200101_000000: access denied: HTTP 403"}
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.Done, result.Outcome)
	require.Empty(t, result.Targets[0].Error)
	require.Zero(t, result.Targets[0].Removed)
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], "may not delete here: prune it another way")
	require.Contains(t, result.Warnings[0], "HTTP 403")
	require.NotContains(t, b.calls, "Notify")
}

// Prune goes on to the next target where one cannot be pruned.
func TestPrune_SaysWhereItCannot(t *testing.T) {
	b := newBench(t, config.R2)
	b.pruned.Denied = "access denied"
	b.ExecuteWorkflow(workflows.Prune, workflows.PruneInput{Targets: []config.Kind{config.R2, config.Rsync}})
	require.NoError(t, b.GetWorkflowError())
	var result workflows.PruneResult
	require.NoError(t, b.GetWorkflowResult(&result))
	require.Equal(t, []string{"PruneLocal", "PruneRemote r2", "PruneRemote rsync"}, b.calls)
	require.Len(t, result.Stores, 3)
	require.Equal(t, "access denied", result.Stores[1].Denied)
}
