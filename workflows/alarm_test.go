package workflows_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/workflows"
)

// What ends an alert, and what the dead-man's switch hears: only a set that is verified and at every target is a recovery.
func TestBackup_EndsAlertsAndPings(t *testing.T) {
	start, success, failure := activities.PingStart, activities.PingSuccess, activities.PingFailure
	for name, row := range map[string]struct {
		prepare func(*bench)
		pings   []activities.PingKind
		over    bool
		key     string // of the alert
	}{
		"good": {func(*bench) {}, []activities.PingKind{start, success}, true, ""},
		"failed": {func(b *bench) {
			b.fail["Upload rsync"], b.fail["Upload r2"] = permanent("AuthDenied"), permanent("AuthDenied")
		},
			[]activities.PingKind{start, failure}, false, "Backup/Upload/AuthDenied"},
		"one target failed": {func(b *bench) { b.fail["Upload rsync"] = permanent("AuthDenied") },
			[]activities.PingKind{start, success}, false, "Backup/Upload/rsync AuthDenied"},
		"fresh node": {func(b *bench) { b.verdict = backupset.Unknown }, []activities.PingKind{start, success}, false, ""},
		"proof lost": {func(b *bench) { b.verdict, b.plan.LastGood = backupset.Unknown, "20260101_000000" },
			[]activities.PingKind{start, failure}, false, "Backup/Seal/Unproven"},
		"cancelled": {func(b *bench) {
			b.hook["DumpParticipant"] = func() error {
				b.CancelWorkflow()
				return temporal.NewCanceledError()
			}
		}, []activities.PingKind{start}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, config.Rsync, config.R2)
			row.prepare(b)
			_, _ = b.run(t) // what it returns is for other tests
			require.Equal(t, row.pings, b.pings)
			if row.over {
				require.Len(t, b.over, 1)
				require.Equal(t, "Backup/", b.over[0].Scope)
			} else {
				require.Empty(t, b.over)
			}
			if row.key == "" {
				require.Empty(t, b.alerts)
				return
			}
			require.Len(t, b.alerts, 1)
			require.Equal(t, row.key, b.alerts[0].Key)
			require.NotRegexp(t, regexp.MustCompile(`[0-9]{4}`), b.alerts[0].Key)
		})
	}
}

// A switch that cannot be reached, and one that hangs, change nothing about a backup, and hold it up for no longer than a ping may take.
func TestBackup_DeadSwitch(t *testing.T) {
	b := newBench(t, config.Rsync)
	b.fail["Ping"] = permanent("StepFailed")
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.Done, result.Outcome)
	require.Empty(t, b.alerts)

	b = newBench(t, config.Rsync)
	dumped := make(chan struct{})
	b.hook["Ping start"] = func() error { <-dumped; return nil } // whoever waits for it before the dump waits for ever
	b.hook["DumpValidator"] = func() error { close(dumped); return nil }
	_, err = b.run(t)
	require.NoError(t, err)
}

// An alert that was told a while ago and is held back is delivered.
func TestBackup_HeldAlertIsNoUndeliveredOne(t *testing.T) {
	b := newBench(t, config.Rsync, config.R2)
	b.fail["Upload rsync"] = permanent(activities.AuthDenied)
	b.held = "told 10m ago"
	result, err := b.run(t)
	require.NoError(t, err)
	require.Empty(t, result.AlertUndelivered)
}

// That something is over can wait: it does not keep the run open.
func TestBackup_ResolveThatFails(t *testing.T) {
	b := newBench(t, config.Rsync)
	b.fail["Resolve"] = temporal.NewApplicationError("no line", "StepFailed")
	begin := b.Now()
	result, err := b.run(t)
	require.NoError(t, err)
	require.Equal(t, workflows.Done, result.Outcome)
	require.Less(t, b.Now().Sub(begin), 6*time.Minute)
}
