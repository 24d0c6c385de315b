package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/workflows"
)

// look has the watchdog look once, as its schedule has it do every quarter of an hour, and returns what it saw.
func (h *host) look(c client.Client) activities.Watched {
	h.t.Helper()
	run, err := c.ExecuteWorkflow(h.t.Context(), client.StartWorkflowOptions{TaskQueue: workflows.Queue(h.settings["NODE_NAME"])}, workflows.Watch, workflows.WatchInput{Looks: 1})
	require.NoError(h.t, err)
	var watched activities.Watched
	require.NoError(h.t, run.Get(h.t.Context(), &watched))
	require.Empty(h.t, watched.Undelivered)
	return watched
}

// Each thing that no run would tell is told once by the watchdog, and is over when it is mended.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	server := h.rsync()
	h.set("NOTIFY_ON", "failure,recovery", "IDENTITIES", "off")
	h.startWorker()
	c := h.temporal()
	h.backup()
	require.Empty(t, h.look(c).Problems)
	require.Empty(t, h.telegram.messages(), "all is well")

	told := 0
	// fault has something break and be mended: one message each, whatever else follows from it, and however often the watchdog looks.
	fault := func(name, key, words string, breakIt, mend func()) {
		t.Helper()
		breakIt()
		require.Equal(t, []string{key}, h.look(c).Told, name)
		require.Empty(t, h.look(c).Told, name)
		messages := h.telegram.messages()
		require.Len(t, messages, told+1, name)
		require.Contains(t, messages[told], words, name)
		mend()
		require.Empty(t, h.look(c).Problems, name)
		h.look(c)
		messages = h.telegram.messages()
		require.Len(t, messages, told+2, name)
		require.Contains(t, messages[told+1], "over:", name)
		told += 2
	}
	command := func(args ...string) {
		t.Helper()
		r := h.run(args...)
		require.Equal(t, 0, r.code, r.talk)
	}

	fault("paused", "schedule-paused", "<b>Watchdog: schedule paused: e2e-",
		func() { command("schedule", "pause") }, func() { command("schedule", "resume") })

	fault("deleted by hand", "schedule-missing", "canton-backup schedule apply",
		func() {
			require.NoError(t, c.ScheduleClient().GetHandle(t.Context(), workflows.ScheduleID(h.settings["NODE_NAME"])).Delete(t.Context()))
		}, func() { command("schedule", "apply") })

	fault("the target refuses", "place-unreadable/rsync", "does not accept our key",
		func() { h.copyKey(server.OtherKey) }, func() { h.copyKey(server.KeyFile) })

	// The only sets were made long before: what a worker that was stopped for a day, or a clock that jumped, leaves.
	fault("too old", "set-too-old", "docs/runbooks/backup-old.md",
		func() { h.backdate(7 * time.Hour) }, func() { h.backup() })

	// Who watches the watchdog: the next backup.
	watch := c.ScheduleClient().GetHandle(t.Context(), workflows.WatchScheduleID(h.settings["NODE_NAME"]))
	require.NoError(t, watch.Pause(t.Context(), client.SchedulePauseOptions{Note: "by hand"}))
	for range 2 {
		h.backup()
	}
	messages := h.telegram.messages()
	require.Len(t, messages, told+1)
	require.Contains(t, messages[told], "WatchdogOff")
	require.NoError(t, watch.Unpause(t.Context(), client.ScheduleUnpauseOptions{}))
	h.backup()
	require.Len(t, h.telegram.messages(), told+2)
}

// backdate makes the sets of this host and of the SSH target so much older, as if the host had been off since.
func (h *host) backdate(by time.Duration) {
	h.t.Helper()
	sets := h.list()
	for _, folder := range []string{h.backupDir(), filepath.Join(h.sshd.Home, "canton-backups", "testnet")} {
		entries, err := os.ReadDir(folder)
		require.NoError(h.t, err)
		for _, e := range entries {
			for _, s := range sets {
				if !strings.Contains(e.Name(), string(s.Set)) {
					continue
				}
				older := string(backupset.NewID(s.Set.Time().Add(-by)))
				path := filepath.Join(folder, e.Name())
				if strings.HasSuffix(e.Name(), ".json") {
					data, err := os.ReadFile(path)
					require.NoError(h.t, err)
					require.NoError(h.t, os.WriteFile(path, []byte(strings.ReplaceAll(string(data), string(s.Set), older)), 0o600))
				}
				require.NoError(h.t, os.Rename(path, filepath.Join(folder, strings.ReplaceAll(e.Name(), string(s.Set), older))))
			}
		}
	}
}
