package activities

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"canton-backup/internal/config"
	"canton-backup/internal/notify"
	"canton-backup/internal/store/dir"
)

// alerting gives an environment of activities that tell these channels, in a home of its own with these settings, at a time that the test may move.
func alerting(t *testing.T, settings string, now *time.Time, channels ...notify.Channel) *testsuite.TestActivityEnvironment {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte(settings), 0o600))
	host := &Host{SettingsFile: file, Now: func() time.Time { return *now }, Channels: func(config.Settings) []notify.Channel { return channels },
		Local: func(s config.Settings) (LocalStore, error) { return dir.New(dir.Config{Path: s.BackupDir, Owner: "n"}) }}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(&Alerts{host})
	return env
}

var alerts *Alerts

func notified(t *testing.T, env *testsuite.TestActivityEnvironment, activity, in any) (n Notified, err error) {
	t.Helper()
	value, err := env.ExecuteActivity(activity, in)
	if err == nil {
		require.NoError(t, value.Get(&n))
	}
	return n, err
}

// The settings may be what is wrong: the channel that could be read is told, and what was told is not told again.
func TestNotify_BrokenSettings(t *testing.T) {
	bot := &channel{}
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	env := alerting(t, "BACKUP_TYPE=nonsense\nNODE_NAME=a/b\nNOTIFY_REPEAT=1m\nnonsense\n", &now, notify.Channel{Name: "bot", Notifier: bot})
	for i, want := range []Notified{{Sent: true}, {Held: "told 0s ago, again after 15m0s"}} {
		got, err := notified(t, env, alerts.Notify, notify.Alert{Key: "Backup/Preflight/ConfigInvalid", Cause: "x"})
		require.NoError(t, err)
		require.Equal(t, want, got, i)
	}
	require.Equal(t, "a/b", bot.alerts[0].Node)
}

// What is delivered in part is no failure, unless another try may mend it.
func TestNotify_SomeChannelsFail(t *testing.T) {
	now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	good, bad := &channel{}, &channel{dead: fmt.Errorf("%w: dead token", notify.ErrRejected)}
	env := alerting(t, "BACKUP_TYPE=skip\nNODE_NAME=n\n", &now, notify.Channel{Name: "good", Notifier: good}, notify.Channel{Name: "bad", Notifier: bad})
	got, err := notified(t, env, alerts.Notify, notify.Alert{Key: "a"})
	require.NoError(t, err)
	require.Equal(t, Notified{Sent: true, Why: "bad: alert rejected: dead token"}, got)

	bad.dead = errors.New("no line")
	_, err = notified(t, env, alerts.Notify, notify.Alert{Key: "b"})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.False(t, failure.NonRetryable())
	require.Equal(t, StepFailed, failure.Type())

	bad.dead = &notify.RetryError{After: 9 * time.Second}
	_, err = notified(t, env, alerts.Notify, notify.Alert{Key: "c"})
	require.ErrorAs(t, err, &failure)
	require.Equal(t, 9*time.Second, failure.NextRetryDelay())

	bad.dead, good.dead = notify.ErrRejected, notify.ErrRejected
	_, err = notified(t, env, alerts.Notify, notify.Alert{Key: "d"})
	require.ErrorAs(t, err, &failure)
	require.True(t, failure.NonRetryable())
	require.Equal(t, AlertRejected, failure.Type())

	env = alerting(t, "BACKUP_TYPE=skip\n", &now)
	got, err = notified(t, env, alerts.Notify, notify.Alert{Key: "a"})
	require.NoError(t, err)
	require.Contains(t, got.Why, "no alert channel")
}

// Another try of the same alert is no other occurrence, and reaches only the channel that failed.
func TestNotify_Retried(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n\n"), 0o600))
	good, bad, dead := &channel{}, &channel{dead: errors.New("no line")}, &channel{dead: errors.New("no line")}
	tries := 0
	host := &Host{SettingsFile: file, Now: time.Now,
		Channels: func(config.Settings) []notify.Channel {
			if tries++; tries == 3 {
				bad.dead = nil
			}
			return []notify.Channel{{Name: "good", Notifier: good}, {Name: "bad", Notifier: bad}, {Name: "dead", Notifier: dead}}
		},
		Local: func(s config.Settings) (LocalStore, error) { return dir.New(dir.Config{Path: s.BackupDir, Owner: "n"}) }}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(&Alerts{host})
	env.ExecuteWorkflow(func(ctx workflow.Context) (n Notified, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		err = workflow.ExecuteActivity(ctx, alerts.Notify, notify.Alert{Key: "k"}).Get(ctx, &n)
		return n, err
	})
	require.NoError(t, env.GetWorkflowError())
	var last Notified
	require.NoError(t, env.GetWorkflowResult(&last))
	require.Equal(t, "dead: no line", last.Why, "somebody knows: the run does not wait for the others for ever")
	require.Equal(t, enoughTries, tries)
	require.Len(t, good.alerts, 1)
	require.Len(t, bad.alerts, 1)
	settings, err := config.Load(file)
	require.NoError(t, err)
	causes, err := notify.Ledger{File: AlertsFile(settings)}.Causes()
	require.NoError(t, err)
	require.Equal(t, 1, causes[0].Times)
}

func TestResolve(t *testing.T) {
	for settings, messages := range map[string]int{"NOTIFY_ON=failure": 1, "NOTIFY_ON=failure,recovery": 2} {
		bot := &channel{}
		now := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
		env := alerting(t, "BACKUP_TYPE=skip\nNODE_NAME=n\n"+settings+"\n", &now, notify.Channel{Name: "bot", Notifier: bot})
		_, err := notified(t, env, alerts.Notify, notify.Alert{Key: "Backup/Upload/AuthDenied", Cause: "x"})
		require.NoError(t, err)
		for range 2 {
			_, err = notified(t, env, alerts.Resolve, ResolveInput{Scope: "Backup/", What: "Backup", Set: "20261128_040000"})
			require.NoError(t, err)
		}
		require.Len(t, bot.alerts, messages, settings)
		if messages == 2 {
			require.Contains(t, bot.alerts[1].Text(), "Backup works again: n (mainnet)")
			require.Contains(t, bot.alerts[1].Text(), "Set: 20261128_040000")
		}
	}
}

func TestPing(t *testing.T) {
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths = append(paths, r.URL.Path) })) // stands for healthchecks.io
	t.Cleanup(server.Close)
	now := time.Now()
	env := alerting(t, "BACKUP_TYPE=nonsense\nPING_URL="+server.URL+"/uuid\n", &now)
	for _, kind := range []PingKind{PingStart, PingSuccess, PingFailure} {
		value, err := env.ExecuteActivity(alerts.Ping, PingInput{Kind: kind})
		require.NoError(t, err)
		var sent Pinged
		require.NoError(t, value.Get(&sent))
		require.True(t, sent.Sent)
	}
	require.Equal(t, []string{"/uuid/start", "/uuid", "/uuid/fail"}, paths)
	env = alerting(t, "BACKUP_TYPE=skip\n", &now)
	_, err := env.ExecuteActivity(alerts.Ping, PingInput{Kind: PingStart})
	require.NoError(t, err, "without an address there is nothing to do")
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
			bot := &channel{}
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

// A channel that hangs is tried again a little later, twice, for it may answer then; not for ever.
func TestNotify_ChannelHangs(t *testing.T) {
	for answersAt, want := range map[int]Notified{3: {Sent: true}, 9: {Why: "alert rejected: hangs: send alert: no answer within 20s"}} {
		home := t.TempDir()
		t.Setenv("HOME", home)
		file := filepath.Join(home, "toolkit.conf")
		require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n\n"), 0o600))
		good, hangs := &channel{}, &channel{dead: fmt.Errorf("send alert: %w", &notify.HangError{})}
		tries := 0
		host := &Host{SettingsFile: file, Now: time.Now,
			Channels: func(config.Settings) []notify.Channel {
				if tries++; tries == answersAt {
					hangs.dead = nil
				}
				return []notify.Channel{{Name: "good", Notifier: good}, {Name: "hangs", Notifier: hangs}}
			},
			Local: func(s config.Settings) (LocalStore, error) { return dir.New(dir.Config{Path: s.BackupDir, Owner: "n"}) }}
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.RegisterActivity(&Alerts{host})
		var began, ended time.Time
		env.ExecuteWorkflow(func(ctx workflow.Context) (n Notified, err error) {
			ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
			began = workflow.Now(ctx)
			err = workflow.ExecuteActivity(ctx, alerts.Notify, notify.Alert{Key: "k"}).Get(ctx, &n)
			ended = workflow.Now(ctx)
			return n, err
		})
		require.NoError(t, env.GetWorkflowError())
		var last Notified
		require.NoError(t, env.GetWorkflowResult(&last))
		require.Equal(t, want, last)
		if last.Sent {
			tries-- // asked once more whether there is a channel at all
		}
		require.Equal(t, hangTries, tries)
		require.GreaterOrEqual(t, ended.Sub(began), 2*time.Minute)
	}
}

// Where the sets' disk hangs, the alert goes out without the newest set, and one look alone is left behind.
func TestNotify_SetsDiskHangs(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n\n"), 0o600))
	bot, looks, revive := &channel{}, atomic.Int32{}, make(chan struct{})
	t.Cleanup(func() { close(revive) })
	host := &Host{SettingsFile: file, Now: time.Now, Channels: func(config.Settings) []notify.Channel { return []notify.Channel{{Name: "bot", Notifier: bot}} },
		Local: func(config.Settings) (LocalStore, error) {
			looks.Add(1)
			<-revive
			return nil, errors.New("gone")
		}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(&Alerts{host})
	for _, key := range []string{"a", "b", "c"} {
		got, err := notified(t, env, alerts.Notify, notify.Alert{Key: key})
		require.NoError(t, err)
		require.True(t, got.Sent)
	}
	require.Empty(t, bot.alerts[0].LastGood)
	require.EqualValues(t, 1, looks.Load())
}
