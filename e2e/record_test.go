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

	"canton-backup/workflows"
)

var record = flag.Bool("record", false, "record histories for the replay tests in workflows/testdata/histories")

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
	h := newHost(t, sharedNode)
	h.s3()
	h.rsync()
	h.startWorker()
	c := h.temporal()
	save := func(name string, run client.WorkflowRun) {
		t.Helper()
		for suffix, id := range map[string]string{"": run.GetID(), "_node": workflows.LockID(h.settings["NODE_NAME"])} {
			runID := ""
			if suffix == "" {
				runID = run.GetRunID()
			}
			history := &historypb.History{}
			events := c.GetWorkflowHistory(t.Context(), id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			for events.HasNext() {
				event, err := events.Next()
				require.NoError(t, err)
				history.Events = append(history.Events, event)
			}
			data, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(history)
			require.NoError(t, err)
			path := filepath.Join("..", "workflows", "testdata", "histories", name+suffix+".json")
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o644))
		}
	}
	run := h.start(c, "backup-ok")
	require.NoError(t, run.Get(t.Context(), nil))
	save("backup_ok", run)

	h.copyKey(h.sshd.OtherKey)
	run = h.start(c, "backup-incomplete")
	require.NoError(t, run.Get(t.Context(), nil))
	save("backup_incomplete", run)

	h.set("PARTICIPANT_DB", "nowhere")
	run = h.start(c, "backup-failed")
	require.Error(t, run.Get(t.Context(), nil))
	save("backup_failed", run)

	h.set("PARTICIPANT_DB", "")
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "prune", TaskQueue: workflows.Queue(h.settings["NODE_NAME"])}, "Prune", map[string]any{"targets": []string{"r2"}})
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	save("prune_ok", run)
}
