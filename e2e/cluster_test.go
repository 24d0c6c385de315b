package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"canton-backup/internal/backupset"
	"canton-backup/internal/temporalclient"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/testbed"
	"canton-backup/testbed/temporalcluster"
	"canton-backup/workflows"
)

// newCluster starts a Temporal server of its own on a real PostgreSQL.
func newCluster(t *testing.T) *temporalcluster.Cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "canton-backup-cluster-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) // its PostgreSQL runs as another user
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, err := temporalcluster.Start(ctx, dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = cluster.Stop() })
	return cluster
}

// says waits until the worker has printed the text.
func (w *worker) says(text string) {
	w.h.t.Helper()
	require.Eventually(w.h.t, func() bool { return strings.Contains(w.log.String(), text) || w.ended() }, patience, 20*time.Millisecond)
	require.Contains(w.h.t, w.log.String(), text)
}

// A worker that starts before its cluster waits for it, says so, and works once it is there. The operator hears of ten minutes, not of one.
func TestCluster_DownAtStart(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	require.NoError(t, cluster.KillServer())
	h := newHost(t, sharedNode)
	h.env = []string{"TEMPORAL_ADDRESS=" + cluster.Address()}
	w := h.launchWorker()
	w.says("temporal does not answer, trying again")
	require.NotContains(t, w.log.String(), "worker is ready")
	r := h.run("schedule", "show")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.talk, "connect to temporal at "+cluster.Address())

	require.NoError(t, cluster.StartServer(t.Context()))
	w.says("temporal answers again")
	w.says("worker is ready")
	require.Equal(t, backupset.Pass, h.manifest(h.backup()).Verdict)
	require.Empty(t, h.telegram.messages())
	w.stop()

	require.NoError(t, cluster.KillServer())
	w = h.launchWorker()
	w.says("does not answer")
	w.stop()
	require.Zero(t, w.cmd.ProcessState.ExitCode(), "a worker that waits can be stopped: %s", w.log.String())
	require.Empty(t, h.telegram.messages())
}

// The server dies in the middle of a dump and in the middle of an upload, and comes back: the command that follows the run sees a good end.
func TestCluster_LostInMidBackup(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	h := newHost(t, newNode(t, testbed.Options{FillMB: 100}))
	line := faultproxy.Start(t, h.s3().Addr)
	h.set("R2_ENDPOINT", "http://127.0.0.1:"+strconv.Itoa(line.Port()))
	line.SetRate(4 << 20)
	h.env = []string{"TEMPORAL_ADDRESS=" + cluster.Address()}
	w := h.startWorker()

	cmd := h.command(t.Context(), "backup")
	talk := &syncBuffer{}
	cmd.Stderr = talk
	require.NoError(t, cmd.Start())
	h.awaitStaged("participant")
	require.NoError(t, cluster.KillServer())
	require.NoError(t, cluster.StartServer(t.Context()))
	sends := func(bytes int64) {
		goal := line.Sent() + bytes
		require.Eventually(t, func() bool { return line.Sent() > goal }, patience, 20*time.Millisecond)
	}
	sends(4 << 20)
	require.NoError(t, cluster.KillServer())
	sends(20 << 20) // five seconds without an answer to a heartbeat, and the upload goes on
	require.NoError(t, cluster.StartServer(t.Context()))
	line.SetRate(0)
	_ = cmd.Wait() // the code is asserted
	require.Equal(t, 0, cmd.ProcessState.ExitCode(), talk.String())
	sets := h.list()
	require.Len(t, sets, 1)
	require.Equal(t, backupset.Pass, sets[0].Verdict)
	require.Equal(t, []string{"local", "r2"}, sets[0].Stores)
	require.Empty(t, h.telegram.messages())
	require.Equal(t, 1, attempts(t, cluster, h, "Upload"), "the upload was not begun again")
	w.stop()
	h.tidy()
	h.noSessions()
}

// Two nodes on one cluster, one of them without its worker: whoever has the cluster's address sees both, settings file or not.
func TestCluster_StatusOfAll(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	join := func() (*host, *worker) {
		h := newHost(t, sharedNode)
		h.env = []string{"TEMPORAL_ADDRESS=" + cluster.Address()}
		return h, h.startWorker()
	}
	good, _ := join()
	bad, w := join()
	good.backup()
	w.stop()
	require.NoError(t, os.Remove(filepath.Join(bad.home, ".canton", "toolkit.conf")))

	var nodes []struct{ Node, Network, Verdict, Worker, Reason string }
	var r result
	require.Eventually(t, func() bool { // lists are some time behind
		r = bad.run("status", "--all", "--json")
		require.NoError(t, json.Unmarshal([]byte(r.out), &nodes), r.talk)
		return len(nodes) == 2 && nodes[0].Verdict == "FAILED" && nodes[1].Verdict == "OK"
	}, 2*patience, time.Second)
	require.Equal(t, 1, r.code)
	require.Equal(t, bad.settings["NODE_NAME"], nodes[0].Node)
	require.Equal(t, "none", nodes[0].Worker)
	require.Equal(t, good.settings["NODE_NAME"], nodes[1].Node)
	require.Equal(t, "testnet", nodes[1].Network)
	r = bad.run("status", "--all")
	require.Equal(t, 1, r.code)
	require.Regexp(t, `(?m)^FAILED +`+bad.settings["NODE_NAME"]+` .*no worker polls the queue`, r.out)
	require.Regexp(t, `(?m)^OK +`+good.settings["NODE_NAME"]+` +testnet +4h0m0s +Completed \d+m ago`, r.out)
	require.Contains(t, r.out, "2 nodes: 1 OK, 0 WARNING, 1 FAILED")
	require.Contains(t, r.talk, "a node of the fleet is FAILED")
}

// attempts is how often the step was begun in the node's newest run.
func attempts(t *testing.T, cluster *temporalcluster.Cluster, h *host, step string) int {
	t.Helper()
	c, err := temporalclient.Dial(t.Context(), temporalclient.Target{EmbeddedAddress: cluster.Address()})
	require.NoError(t, err)
	defer c.Close()
	events := c.GetWorkflowHistory(t.Context(), workflows.LockID(h.settings["NODE_NAME"]), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	scheduled := int64(0)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == step {
			scheduled = e.GetEventId()
		}
		if started := e.GetActivityTaskStartedEventAttributes(); started != nil && started.GetScheduledEventId() == scheduled {
			return int(started.GetAttempt())
		}
	}
	return 0
}
