package activities

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/internal/config"
	"canton-backup/internal/notify"
	"canton-backup/internal/store/dir"
)

type told struct{ alerts []notify.Alert }

func (n *told) Notify(_ context.Context, a notify.Alert) error {
	n.alerts = append(n.alerts, a)
	return nil
}

// A busy node is nothing to report, until what holds it has kept two backups from being made.
func TestNotifyBusy(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n\nBACKUP_EVERY=4h\nTELEGRAM_BOT_TOKEN=1:a\nTELEGRAM_CHAT_ID=-1\n"), 0o600))
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		held  *Run
		alert bool
	}{
		"ended meanwhile": {nil, false},
		"a long backup":   {&Run{Type: "BackupNode", Since: now.Add(-7 * time.Hour)}, false},
		"holds for ever":  {&Run{Type: "BackupNode", Since: now.Add(-8 * time.Hour)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bot := &told{}
			host := &Host{SettingsFile: file, Now: func() time.Time { return now },
				Channels: func(config.Settings) []notify.Channel { return []notify.Channel{{Name: "bot", Notifier: bot}} },
				Local:    func(s config.Settings) (LocalStore, error) { return dir.New(dir.Config{Path: s.BackupDir, Owner: "n"}) },
				Running: func(_ context.Context, id string) (*Run, error) {
					require.Equal(t, "node/n", id)
					return row.held, nil
				}}
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestActivityEnvironment()
			env.RegisterActivity(&Alerts{host})
			var alerts *Alerts
			value, err := env.ExecuteActivity(alerts.NotifyBusy, BusyInput{Holder: "node/n", Alert: notify.Alert{Cause: "NodeBusy"}})
			require.NoError(t, err)
			var notified Notified
			require.NoError(t, value.Get(&notified))
			require.Equal(t, row.alert, notified.Sent)
			if row.alert {
				require.Contains(t, bot.alerts[0].Cause, "BackupNode has run since 2026-11-23 12:00:00 UTC")
			}
		})
	}
}
