package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"canton-backup/activities"
	"canton-backup/internal/backupset"
	"canton-backup/testbed"
	"canton-backup/workflows"
)

// A node large enough that a dump takes seconds, and everything that can happen in the middle of one.
func TestMidStream(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{FillMB: 250})

	t.Run("worker killed: the dump dies with it, the run goes on after", func(t *testing.T) {
		h := newHost(t, node)
		w := h.startWorker()
		run := h.start(h.temporal(), "killed")
		h.awaitStaged("participant")
		w.kill()
		h.noSessions() // nobody sweeps yet: the dump ended by itself
		require.Eventually(t, func() bool { return len(h.helpers()) == 0 }, 20*time.Second, 100*time.Millisecond, "the helper container ended by itself")
		h.startWorker()
		h.finishes(run.Get)
		h.tidy()
		h.temporal()
		require.Len(t, h.list(), 1)
	})

	t.Run("a stray dump of an earlier worker is ended", func(t *testing.T) {
		h := newHost(t, node)
		stray := exec.Command("docker", "exec", "-e", "PGAPPNAME=canton-backup 20260101_000000 participant 1", node.Container("postgres-splice"),
			"psql", "-XqU", "cnadmin", "-d", "postgres", "-c", "SELECT pg_sleep(600)")
		require.NoError(t, stray.Start())
		t.Cleanup(func() { _ = stray.Wait() }) // its server side was ended, so its code is not 0
		sessions := func() string {
			n, err := node.SQL(t.Context(), "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'canton-backup 20260101%'")
			require.NoError(t, err)
			return n
		}
		require.Eventually(t, func() bool { return sessions() == "1" }, 20*time.Second, 50*time.Millisecond)
		h.backup()
		require.Equal(t, "0", sessions())
		require.Contains(t, h.runLog(), "ended 1 database session(s) of an earlier run")
	})

	t.Run("disk filled by another program", func(t *testing.T) {
		h := newHost(t, node)
		h.set("BACKUP_DIR", tmpfs(t, "1g"))
		cmd := h.command(t.Context(), "backup", "--json")
		talk := &syncBuffer{}
		cmd.Stderr = talk
		require.NoError(t, cmd.Start())
		h.awaitStaged("participant")
		ballast, err := os.Create(filepath.Join(h.backupDir(), "ballast"))
		require.NoError(t, err)
		var disk unix.Statfs_t
		require.NoError(t, unix.Statfs(h.backupDir(), &disk))
		require.NoError(t, unix.Fallocate(int(ballast.Fd()), 0, 0, int64(disk.Bavail)*disk.Bsize-(64<<20))) // at once: the dump goes on meanwhile
		require.NoError(t, ballast.Close())
		_ = cmd.Wait() // the code is asserted
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), talk.String())
		var failure struct{ Name string }
		require.NoError(t, json.Unmarshal([]byte(lastLine(talk.String())), &failure), talk.String())
		require.Equal(t, activities.InsufficientSpace, failure.Name)
		require.Len(t, h.telegram.messages(), 1)
		require.Equal(t, []string{"ballast"}, names(t, h.backupDir()))
		h.tidy()
	})

	t.Run("postgres restarted: the dump is taken again", func(t *testing.T) {
		h := newHost(t, node)
		h.startWorker()
		run := h.start(h.temporal(), "restarted")
		h.awaitStaged("participant")
		require.NoError(t, exec.CommandContext(t.Context(), "docker", "restart", "-t", "2", node.Container("postgres-splice")).Run())
		h.finishes(run.Get)
		sets := h.list()
		require.Len(t, sets, 1)
		p, ok := h.manifest(sets[0].Set).Component(backupset.Participant)
		require.True(t, ok)
		require.Greater(t, p.Attempt, 1)
		h.tidy()
	})
}

// A server that was killed replays its WAL before it listens, for longer than a retry policy's tries last. Here the replay is stretched by
// a restore_command that finds nothing, slowly.
func TestBackup_WaitsForARecoveringServer(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{})
	h := newHost(t, node)
	h.startWorker()
	slow := `echo "restore_command = 'sleep 6; false'" >>$PGDATA/postgresql.auto.conf && touch $PGDATA/recovery.signal`
	out, err := exec.CommandContext(t.Context(), "docker", "exec", "-u", "postgres", node.Container("postgres-splice"), "sh", "-euc", slow).CombinedOutput()
	require.NoError(t, err, string(out))
	restarted := time.Now()
	require.NoError(t, exec.CommandContext(t.Context(), "docker", "restart", "-t", "20", node.Container("postgres-splice")).Run())
	run := h.start(h.temporal(), "recovering")
	h.finishes(run.Get)
	require.Greater(t, time.Since(restarted), 21*time.Second, "the control: the server was away for longer than four tries take")
	require.Contains(t, h.runLog(), "✓ Backup completed successfully")
	require.Empty(t, h.telegram.messages())
	h.tidy()
}

// awaitStaged waits until a dump of that database writes into the staging folder.
func (h *host) awaitStaged(database string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		found := false
		_ = filepath.WalkDir(filepath.Join(h.backupDir(), ".staging-"+h.settings["NODE_NAME"]), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return nil // it comes and goes
			}
			info, err := d.Info()
			found = found || err == nil && strings.HasPrefix(d.Name(), database+"_") && info.Size() > 1<<20
			return nil
		})
		return found
	}, time.Minute, 5*time.Millisecond)
}

// finishes waits for the run and asserts that it made a good set.
func (h *host) finishes(get func(context.Context, any) error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Minute)
	defer cancel()
	var result workflows.BackupResult
	require.NoError(h.t, get(ctx, &result))
	require.Equal(h.t, backupset.Pass, result.Verdict)
}
