package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"canton-backup/testbed"
	"canton-backup/workflows"
)

// The doors to a restore beside the command line: the manual's lines for tctl, run by the real one, and an update as the Web UI and the temporal command
// send it. Nothing happens before a human has approved.
func TestRestore_OtherDoorsWaitForApproval(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Strict: true})
	h := newHost(t, node)
	id, err := node.ParticipantID(t.Context())
	require.NoError(t, err)
	h.startWorker()
	h.backup()

	t.Run("tctl", func(t *testing.T) {
		text, err := os.ReadFile("../docs/how-to/restore-from-ui.md")
		require.NoError(t, err)
		lines := regexp.MustCompile(`(?m)^ +(tctl .*)$`).FindAllStringSubmatch(string(text), -1)
		require.Len(t, lines, 4, "start, query, signal, observe")
		tools, err := filepath.Abs("../.tools/bin")
		require.NoError(t, err)
		h.env = append(h.env, "PATH="+tools+":"+os.Getenv("PATH"), "TEMPORAL_CLI_ADDRESS=127.0.0.1:"+h.settings["TEMPORAL_PORT"])
		line := func(i int) string {
			return strings.ReplaceAll(lines[i][1], "canton-backup/validator-1", "canton-backup/"+h.settings["NODE_NAME"])
		}
		started := h.startedAt(t)
		h.shell(line(0))
		require.Eventually(t, func() bool {
			out, err := h.tryShell(line(1))
			return err == nil && strings.Contains(out, "Waiting for approval")
		}, time.Minute, 200*time.Millisecond)
		h.backup() // the lock is free while a human thinks
		require.Equal(t, started, h.startedAt(t), "the node is not touched")
		h.shell(line(2))
		h.shell(line(3))
		require.NotEqual(t, started, h.startedAt(t))
		h.healthy(id)
	})

	t.Run("update", func(t *testing.T) {
		c := h.temporal()
		run := h.restore(c, "by-update", workflows.RestoreInput{Set: "latest"})
		approve := func(by string) error {
			update, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{WorkflowID: run.GetID(), UpdateName: workflows.ApproveName,
				Args: []any{workflows.Approval{By: by}}, WaitForStage: client.WorkflowUpdateStageCompleted})
			if err != nil {
				return err
			}
			return update.Get(t.Context(), nil)
		}
		require.Eventually(t, func() bool {
			err := approve(" ")
			return err != nil && strings.Contains(err.Error(), "say who approves")
		}, time.Minute, 200*time.Millisecond, "an approval by nobody is refused")
		connections := stubbornClient(t, node)
		require.NoError(t, approve("ann"))
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		var result workflows.RestoreResult
		require.NoError(t, run.Get(ctx, &result))
		require.Equal(t, "ann", result.ApprovedBy)
		require.Greater(t, connections(), 2, "before the node stopped, while it was loaded, and on the restored database")
		h.healthy(id)
	})

	t.Run("rollback, and the old databases dropped", func(t *testing.T) {
		before := h.run("status").out
		require.Contains(t, before, "kept   validator_before_")
		sqlOf(t, node, node.ParticipantDB(), "CREATE TABLE participant.mark_of_the_restored (x int)")
		r := h.run("rollback", "--yes")
		require.Equal(t, 0, r.code, r.talk)
		require.Equal(t, "0", sqlOf(t, node, node.ParticipantDB(), "SELECT count(*) FROM pg_tables WHERE tablename = 'mark_of_the_restored'"))
		h.healthy(id)
		require.Contains(t, h.run("status").out, "kept   validator_undone_")
		r = h.run("restore", "--drop-old", "--yes")
		require.Equal(t, 0, r.code, r.talk)
		h.onlyLiveDatabases()
		require.Equal(t, 10, h.run("rollback", "--yes").code, "nothing to go back to")
	})

	t.Run("cancelled on the way", func(t *testing.T) {
		c := h.temporal()
		for _, step := range []string{"Fetch", "StopNode", "Load", "Swap", "StartNode"} {
			run := h.restore(c, "cancel-"+step, workflows.RestoreInput{Set: "latest", Approved: true})
			await(t, c, workflows.LockID(h.settings["NODE_NAME"]), run, step)
			require.NoError(t, c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()))
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			_ = run.Get(ctx, nil) // a cancellation that comes too late cancels nothing
			h.healthy(id)
			require.Equal(t, 0, h.run("restore", "--drop-old", "--yes").code)
			h.onlyLiveDatabases()
		}
		require.Empty(t, h.telegram.messages(), "who cancels knows")
	})
}

// stubbornClient connects to the participant's database, and again whenever it is thrown out, as a connection pool does. The function that it returns ends it
// and tells how often it got in.
func stubbornClient(t *testing.T, n *testbed.Node) (connections func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	count := make(chan int, 1)
	go func() {
		times := 0
		for ctx.Err() == nil {
			out, _ := exec.CommandContext(ctx, "docker", "exec", n.Container(testbed.Postgres), "psql", "-XAtqU", "cnadmin", "-d", n.ParticipantDB(),
				"-c", "SELECT 'in'", "-c", "SELECT pg_sleep(60)").Output() // it is thrown out, or there is no server
			if strings.HasPrefix(string(out), "in") {
				times++
			}
		}
		count <- times
	}()
	return func() int {
		cancel()
		return <-count
	}
}
