package temporalserver

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

// Earlier versions split each queue into four. What waits in three of them must still be asked for.
func TestPartitions_TasksOfAnEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	history := filepath.Join(dir, historyName)
	parts := func() int {
		n, err := partitions(t.Context(), history)
		require.NoError(t, err)
		return n
	}
	exec := func(statement string) {
		db, err := openDatabase(history, "rw")
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	spread := func(kind string) { // 40 runs and nobody who works: their first tasks wait
		s := start(t, dir)
		c := dial(t, s.Address())
		for i := range 40 {
			_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: fmt.Sprint(kind, i), TaskQueue: testQueue}, "Greet", "node")
			require.NoError(t, err)
		}
		require.NoError(t, s.Stop())
	}
	spread("ours")
	require.Equal(t, 1, parts(), "ours has one part")

	exec("INSERT INTO tasks VALUES (0, CAST('0123456789abcdef/_sys/other/3' AS BLOB), 1, '', '')")
	require.Equal(t, 4, parts(), "a task waits in another part")
	spread("theirs")
	exec("DELETE FROM tasks WHERE task_queue_id = CAST('0123456789abcdef/_sys/other/3' AS BLOB)")
	require.Equal(t, 4, parts(), "the server writes the queue's name as we read it")
	exec("DELETE FROM tasks")
	require.Equal(t, 1, parts())
	exec("INSERT INTO tasks_v2 VALUES (0, CAST('0123456789abcdef/_sys/other/3' AS BLOB), 0, 1, '', '')")
	require.Equal(t, 4, parts(), "one waits in the other table")
}
