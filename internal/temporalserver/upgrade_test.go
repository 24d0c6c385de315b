package temporalserver

import (
	"compress/gzip"
	"context"
	"database/sql"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

const century = 36500 * 24 * time.Hour

// oldFolder unpacks the files of an older release; see testdata/server-1.29.1/README.md.
func oldFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{historyName, visibilityName} {
		packed, err := os.Open(filepath.Join("testdata", "server-1.29.1", name+".gz"))
		require.NoError(t, err)
		r, err := gzip.NewReader(packed)
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, packed.Close())
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	return dir
}

// wait is the workflow that the old files hold open.
func wait(ctx workflow.Context) (string, error) {
	var who string
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, &who)
	return "released by " + who, nil
}

func countRequest(query string) *workflowservice.CountWorkflowExecutionsRequest {
	return &workflowservice.CountWorkflowExecutionsRequest{Namespace: DefaultNamespace, Query: query}
}

func exec(t *testing.T, path, statement string, args ...any) {
	t.Helper()
	db, err := openDatabase(path, "rw")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func find(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	return found
}

func TestStart_upgradesOlderFiles(t *testing.T) {
	dir := oldFolder(t)
	// The files were in use for seconds only. In older ones these tasks are done, and nothing can fill the list again.
	exec(t, filepath.Join(dir, historyName), "DELETE FROM visibility_tasks")
	log := &lines{}
	s := startWith(t, Options{Dir: dir, Retention: century, Logger: slog.New(log)})
	require.Len(t, s.Notices(), 2, s.Notices())
	require.Contains(t, s.Notices()[0], "migrated from schema 0.10 to "+sqliteschema.Version)
	require.Contains(t, s.Notices()[1], "written by server 1.29.1")
	c := dial(t, s.Address())

	t.Run("runs are listed", func(t *testing.T) {
		count, err := c.CountWorkflow(t.Context(), countRequest(`CantonNode = "old-node" AND ExecutionStatus = "Completed"`))
		require.NoError(t, err)
		require.EqualValues(t, 3, count.GetCount())
		var answer string
		require.NoError(t, c.GetWorkflow(t.Context(), "done-1", "").Get(t.Context(), &answer))
		require.Equal(t, "hello node", answer)
	})
	t.Run("schedule is kept", func(t *testing.T) {
		list, err := c.ScheduleClient().List(t.Context(), client.ScheduleListOptions{})
		require.NoError(t, err)
		require.True(t, list.HasNext())
		entry, err := list.Next()
		require.NoError(t, err)
		require.Equal(t, "backup-old", entry.ID)
		about, err := c.ScheduleClient().GetHandle(t.Context(), "backup-old").Describe(t.Context())
		require.NoError(t, err)
		require.True(t, about.Schedule.State.Paused)
		require.Equal(t, "paused by the operator", about.Schedule.State.Note)
	})
	t.Run("new schedules can be made", func(t *testing.T) {
		_, err := c.ScheduleClient().Create(t.Context(), client.ScheduleOptions{
			ID: "new", Paused: true, Spec: client.ScheduleSpec{CronExpressions: []string{"0 4 * * *"}},
			Action: &client.ScheduleWorkflowAction{ID: "new", Workflow: "Greet", TaskQueue: testQueue}})
		require.NoError(t, err)
	})
	t.Run("open run goes on", func(t *testing.T) {
		w := worker.New(c, testQueue, worker.Options{})
		w.RegisterWorkflowWithOptions(wait, workflow.RegisterOptions{Name: "Wait"})
		w.RegisterWorkflowWithOptions(greet, workflow.RegisterOptions{Name: "Greet"})
		require.NoError(t, w.Start())
		defer w.Stop()
		require.NoError(t, c.SignalWorkflow(t.Context(), "waiting", "", "go", "the test"))
		var answer string
		require.NoError(t, c.GetWorkflow(t.Context(), "waiting", "").Get(t.Context(), &answer))
		require.Equal(t, "released by the test", answer)

		handle := c.ScheduleClient().GetHandle(t.Context(), "backup-old")
		require.NoError(t, handle.Trigger(t.Context(), client.ScheduleTriggerOptions{}))
		require.Eventually(t, func() bool {
			about, err := handle.Describe(t.Context())
			return err == nil && len(about.Info.RecentActions) == 1
		}, 30*time.Second, 50*time.Millisecond)
	})
	// Two notices, each in the log. What the server says besides depends on the age of the files: it clears queues away that nobody used for a day,
	// while its own services begin to poll them.
	require.Len(t, s.Notices(), 2)
	for _, notice := range s.Notices() {
		require.True(t, slices.ContainsFunc(log.all(), func(line string) bool { return strings.Contains(line, notice) }), log.all())
	}

	kept := append(find(t, dir, historyName+".before-*"), find(t, dir, visibilityName+".before-*")...)
	require.Len(t, kept, 2)
	for _, path := range kept {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
	db, err := openDatabase(kept[0], "rw")
	require.NoError(t, err)
	version, err := historyVersion(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, "0.10", version)
	require.NoError(t, db.Close())

	require.NoError(t, s.Stop())
	require.Empty(t, startWith(t, Options{Dir: dir, Retention: century}).Notices(), "an upgrade happens once")
}

// A migration that dies half-way must leave the old file: the next start does the whole of it again.
func TestMigrateHistory_allOrNothing(t *testing.T) {
	dir := oldFolder(t)
	path := filepath.Join(dir, historyName)
	db, err := openDatabase(path, "rw")
	require.NoError(t, err)
	stop := context.Canceled
	err = db.inTransaction(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "CREATE TABLE half (a INT)"); err != nil {
			return err
		}
		return stop
	})
	require.ErrorIs(t, err, stop)
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name = 'half'").Scan(&n))
	require.Zero(t, n)
	require.NoError(t, db.Close())
}

func TestPrepareFiles_refusesNewer(t *testing.T) {
	for name, damage := range map[string]struct{ file, statement string }{
		"history":    {historyName, "UPDATE schema_version SET curr_version = '9.1'"},
		"visibility": {visibilityName, "UPDATE visibility_origin SET schema_hash = 'x', server_version = '9.1'"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := prepareFiles(t.Context(), dir, time.Now())
			require.NoError(t, err)
			exec(t, filepath.Join(dir, damage.file), damage.statement)
			before, err := os.ReadFile(filepath.Join(dir, damage.file))
			require.NoError(t, err)

			_, err = Start(t.Context(), Options{Dir: dir})
			require.ErrorIs(t, err, ErrNewer)
			var newer *NewerError
			require.ErrorAs(t, err, &newer)
			require.Equal(t, filepath.Join(dir, damage.file), newer.File)
			require.Equal(t, "9.1", newer.Version)
			require.NotEmpty(t, newer.Ours)
			after, err := os.ReadFile(filepath.Join(dir, damage.file))
			require.NoError(t, err)
			require.Equal(t, before, after)
			require.Empty(t, find(t, dir, "*.damaged-*"))
		})
	}
}

func TestStart_setsDamagedFilesAside(t *testing.T) {
	overwrite := func(t *testing.T, path string) {
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	}
	cases := map[string]struct {
		damage  func(*testing.T, string)
		file    string
		notices int
	}{
		"history is no database":    {overwrite, historyName, 2}, // the run list goes with it
		"visibility is no database": {overwrite, visibilityName, 1},
		"history is cut off": {func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 40_000))
		}, historyName, 2},
		"history is empty": {func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 0))
		}, historyName, 2},
		"history has no version": {func(t *testing.T, path string) {
			exec(t, path, "DELETE FROM schema_version")
		}, historyName, 2},
		"old history cannot be migrated": {func(t *testing.T, path string) {
			// 0.6 adds a column to this table
			exec(t, path, "UPDATE schema_version SET curr_version = '0.5'")
			exec(t, path, "DROP TABLE current_executions")
		}, historyName, 2},
		"old visibility has no table": {func(t *testing.T, path string) {
			exec(t, path, "UPDATE visibility_origin SET schema_hash = 'x', server_version = '1.0'")
			exec(t, path, "DROP TABLE executions_visibility")
		}, visibilityName, 1},
		"visibility is a folder": {func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}, visibilityName, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := prepareFiles(t.Context(), dir, time.Now())
			require.NoError(t, err)
			c.damage(t, filepath.Join(dir, c.file))

			s := start(t, dir)
			require.Len(t, s.Notices(), c.notices, s.Notices())
			require.Contains(t, s.Notices()[0], c.file+".damaged-")
			require.Len(t, find(t, dir, c.file+".damaged-*"), 1)
			client := dial(t, s.Address())
			work(t, client)
			runGreet(t, client, "after")
		})
	}
}

// A file that someone holds is not a damaged one.
func TestPrepareFiles_lockedIsNotDamaged(t *testing.T) {
	t.Parallel() // it waits for as long as a lock is waited for
	dir := t.TempDir()
	_, err := prepareFiles(t.Context(), dir, time.Now())
	require.NoError(t, err)
	db, err := openDatabase(filepath.Join(dir, historyName), "rw")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	require.NoError(t, err)

	_, err = prepareFiles(t.Context(), dir, time.Now())
	require.ErrorContains(t, err, "locked")
	require.NotErrorIs(t, err, errBroken)
	require.Empty(t, find(t, dir, "*.damaged-*"))
}
