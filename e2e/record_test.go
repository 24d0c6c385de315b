package e2e_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"

	"canton-backup/testbed"
	"canton-backup/workflows"
)

var record = flag.Bool("record", false, "record histories for the replay tests in workflows/testdata/histories")

// generation ends the names of what is recorded from now on. Change it with each release whose runs take other steps than the last one's.
const generation = "_2"

// Record the histories that workflows/replay_test.go replays:
//
//	go test ./e2e -run TestRecordHistories -record
//
// Do it on the commit that is released, never on a branch that changes a workflow: the point is that new code replays what old
// code did. Older files stay; give new ones new names.
func TestRecordHistories(t *testing.T) {
	if !*record {
		return
	}
	h := newHost(t, newNode(t, testbed.Options{}))
	h.s3()
	h.rsync()
	w := h.startWorker()
	c := h.temporal()
	saveOne := func(name, id, runID string) {
		t.Helper()
		history := &historypb.History{}
		events := c.GetWorkflowHistory(t.Context(), id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			history.Events = append(history.Events, event)
		}
		data, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(history)
		require.NoError(t, err)
		path := filepath.Join("..", "workflows", "testdata", "histories", name+".json")
		if _, err := os.Stat(path); err == nil {
			return // what an earlier version did is what counts
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o644))
	}
	save := func(name string, run client.WorkflowRun) {
		t.Helper()
		saveOne(name+generation, run.GetID(), run.GetRunID())
		saveOne(name+generation+"_node", workflows.LockID(h.settings["NODE_NAME"]), "")
	}
	run := h.start(c, "backup-ok")
	require.NoError(t, run.Get(t.Context(), nil))
	save("backup_ok", run)

	h.copyKey(h.sshd.OtherKey)
	run = h.start(c, "backup-incomplete")
	require.NoError(t, run.Get(t.Context(), nil))
	save("backup_incomplete", run)

	h.copyKey(h.sshd.KeyFile)
	key := h.age()
	run = h.start(c, "backup-caught-up")
	require.NoError(t, run.Get(t.Context(), nil))
	save("backup_caught_up", run)
	h.set("ENCRYPTION", "none", "DECRYPTION_KEY", key)

	h.set("PARTICIPANT_DB", "nowhere")
	run = h.start(c, "backup-failed")
	require.Error(t, run.Get(t.Context(), nil))
	save("backup_failed", run)

	h.set("PARTICIPANT_DB", "")
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "prune", TaskQueue: workflows.Queue(h.settings["NODE_NAME"])}, "Prune", map[string]any{"targets": []string{"r2"}})
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	save("prune_ok", run)

	execute := func(name, workflow string, input map[string]any) client.WorkflowRun {
		t.Helper()
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: name, TaskQueue: workflows.Queue(h.settings["NODE_NAME"])}, workflow, input)
		require.NoError(t, err)
		return run
	}
	run = execute("watch", "Watch", map[string]any{"looks": 1})
	require.NoError(t, run.Get(t.Context(), nil))
	saveOne("watch_ok"+generation, run.GetID(), run.GetRunID())
	run = execute("drill", "Drill", map[string]any{"from": "r2"})
	require.NoError(t, run.Get(t.Context(), nil))
	save("drill_ok", run)
	run = execute("restore", "Restore", map[string]any{"set": "latest", "approved": true})
	require.NoError(t, run.Get(t.Context(), nil))
	save("restore_ok", run)
	run = execute("rollback", "Rollback", map[string]any{})
	require.NoError(t, run.Get(t.Context(), nil))
	save("rollback_ok", run)
	run = execute("drop-old", "DropOld", map[string]any{})
	require.NoError(t, run.Get(t.Context(), nil))
	save("drop_old_ok", run)
	h.shim(t, "docker", `case "$*" in *" up --detach --no-deps postgres-splice") exit 1 ;; esac`)
	w.stop()
	h.startWorker()
	c = h.temporal()
	run = execute("restore-undone", "Restore", map[string]any{"set": "latest", "approved": true})
	require.Error(t, run.Get(t.Context(), nil))
	save("restore_undone", run)
}
