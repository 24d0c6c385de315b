package activities

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"canton-backup/internal/config"
	"canton-backup/internal/health"
	"canton-backup/internal/notify"
)

// channel stands for a way to the operator that keeps what it got, and can be dead.
type channel struct {
	alerts []notify.Alert
	dead   error
}

func (c *channel) Notify(_ context.Context, a notify.Alert) error {
	if c.dead != nil {
		return c.dead
	}
	c.alerts = append(c.alerts, a)
	return nil
}

// Each problem is told once while it lasts, ended when it is gone, and what follows from another is left out.
func TestWatch(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n\nTELEGRAM_BOT_TOKEN=1:a\nTELEGRAM_CHAT_ID=-1\nNOTIFY_ON=failure,recovery\n"), 0o600))
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	var report health.Report
	bot := &channel{}
	host := &Host{SettingsFile: file, Now: func() time.Time { return now },
		Channels: func(config.Settings) []notify.Channel { return []notify.Channel{{Name: "bot", Notifier: bot}} },
		Health:   func(context.Context) health.Report { return report }}
	look := func() Watched {
		t.Helper()
		now = now.Add(15 * time.Minute)
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(&Watches{host})
		var watches *Watches
		value, err := env.ExecuteActivity(watches.Watch)
		require.NoError(t, err)
		var watched Watched
		require.NoError(t, value.Get(&watched))
		return watched
	}
	standing := func(codes ...string) {
		report = health.Report{Node: "n", At: now, Verdict: health.OK, FreshS: 6 * 3600, Schedule: &health.Schedule{}}
		for _, code := range codes {
			kind, known := health.KindOf(code)
			require.True(t, known)
			report.Verdict = health.Failed
			report.Problems = append(report.Problems, health.Problem{Code: code, Verdict: kind.Verdict, Detail: "because", Next: kind.Next})
		}
	}

	standing()
	require.Empty(t, look().Told)
	require.Empty(t, bot.alerts)

	standing("schedule-paused", "set-too-old", "drill-failed")
	require.Equal(t, []string{"schedule-paused"}, look().Told)
	require.Empty(t, look().Told, "told a quarter of an hour ago")
	require.Len(t, bot.alerts, 1)
	require.Equal(t, "Watch/schedule-paused", bot.alerts[0].Key)

	standing("set-too-old")
	require.Equal(t, []string{"set-too-old"}, look().Told, "it followed from the pause, and now stands alone")
	require.Len(t, bot.alerts, 3)
	require.True(t, bot.alerts[2].Over || bot.alerts[1].Over, "the pause is over")

	bot.dead = errors.New("no route")
	standing()
	require.Contains(t, look().Undelivered, "no route")
	bot.dead = nil
	require.Empty(t, look().Undelivered)
	require.Len(t, bot.alerts, 4)
	require.True(t, bot.alerts[3].Over)

	bot.dead = errors.New("no route")
	standing("no-worker")
	require.Contains(t, look().Undelivered, "no-worker")
	bot.dead = nil
	require.Equal(t, []string{"no-worker"}, look().Told, "the next look makes up for it")
}

// A look that is cut short saw nothing: what did not answer then is not broken.
func TestWatch_CutShort(t *testing.T) {
	host := &Host{SettingsFile: filepath.Join(t.TempDir(), "toolkit.conf"), Now: time.Now,
		Channels: func(config.Settings) []notify.Channel { t.Error("nobody is told"); return nil },
		Health: func(ctx context.Context) health.Report {
			<-ctx.Done()
			return health.Judge(health.Report{Worker: "context canceled"})
		}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	stop := make(chan struct{})
	env.SetWorkerStopChannel(stop)
	env.RegisterActivity(&Watches{host})
	close(stop)
	var watches *Watches
	_, err := env.ExecuteActivity(watches.Watch)
	require.ErrorContains(t, err, WorkerStopping)
}
