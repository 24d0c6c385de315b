package e2e_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/testbed/temporalcluster"
)

func TestRun_SecondComerIsBusy(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.startWorker()
	first, second := h.command(t.Context(), "backup"), h.command(t.Context(), "backup")
	var talk bytes.Buffer
	first.Stderr, second.Stderr = &talk, &talk
	require.NoError(t, first.Start())
	require.NoError(t, second.Start())
	_, _ = first.Wait(), second.Wait() // exit codes below
	codes := []int{first.ProcessState.ExitCode(), second.ProcessState.ExitCode()}
	require.ElementsMatch(t, []int{0, 11}, codes, talk.String())
	require.Contains(t, talk.String(), "another run works on node")
	require.Empty(t, h.telegram.messages(), "busy is no alarm")
	require.Len(t, h.list(), 1)
}

// What one process did without a worker, the worker finds in its history.
func TestRun_OneProcessLeavesItsHistoryToTheWorker(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.backup()
	h.startWorker()
	r := h.run("status")
	require.Equal(t, 0, r.code, r.talk)
	require.Contains(t, r.out, "Completed")
	require.Contains(t, r.out, "worker running")
	r = h.run("doctor")
	require.Equal(t, 0, r.code, r.out)
	require.Contains(t, r.out, "schedule: OK — every 4h0m0s")
}

func TestRun_EditBetweenTwoRunsIsLive(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.startWorker()
	require.Equal(t, backupset.Gzip, h.manifest(h.backup()).Components[0].Codec)
	h.set("COMPRESSION", "zstd")
	m := h.manifest(h.backup())
	require.Equal(t, backupset.Zstd, m.Components[0].Codec)
	r := h.run("verify")
	require.Equal(t, 0, r.code, r.talk)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	w := h.startWorker()
	require.Contains(t, h.run("schedule", "show").out, "runs every 4h0m0s")
	require.Equal(t, 0, h.run("schedule", "pause").code)
	w.stop()
	h.set("BACKUP_EVERY", "2h")
	w = h.startWorker()
	require.Contains(t, h.run("schedule", "show").out, "PAUSED", "an operator's pause survives a restart")
	require.Equal(t, 0, h.run("schedule", "resume").code)
	require.Contains(t, h.run("schedule", "show").out, "runs every 2h0m0s", "the new interval holds since the restart")
	h.set("BACKUP_EVERY", "6h")
	require.Equal(t, 0, h.run("schedule", "apply").code)
	require.Contains(t, h.run("schedule", "show").out, "runs every 6h0m0s")
	require.Equal(t, 0, h.run("schedule", "trigger").code)
	require.Eventually(t, func() bool { return len(h.list()) == 1 }, time.Minute, 200*time.Millisecond)
	w.stop()
	r := h.run("schedule", "show")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.talk, "no worker runs on this host")
}

func TestWorker_PortsTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	hold := func(key string) {
		listener, err := net.Listen("tcp", "127.0.0.1:"+h.settings[key])
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, listener.Close()) })
	}
	hold("TEMPORAL_UI_PORT")
	w := h.startWorker()
	require.Contains(t, w.log.String(), h.settings["TEMPORAL_UI_PORT"], "says that the UI moved")
	h.backup()

	second := h.launchWorker()
	require.Eventually(t, second.ended, time.Minute, 20*time.Millisecond)
	require.Contains(t, second.log.String(), "a worker of this node runs already")
	w.stop()

	hold("TEMPORAL_PORT")
	third := h.launchWorker()
	require.Eventually(t, third.ended, time.Minute, 20*time.Millisecond)
	require.NotZero(t, third.cmd.ProcessState.ExitCode())
	require.Contains(t, third.log.String(), h.settings["TEMPORAL_PORT"])
	fourth := h.launchWorker() // as a service manager does
	require.Eventually(t, fourth.ended, time.Minute, 20*time.Millisecond)
	messages := h.telegram.messages()
	require.Len(t, messages, 1, "one alert for a worker that cannot start, none for a second worker")
	require.Contains(t, messages[0], "Step:</b> Worker")
	require.Contains(t, messages[0], h.settings["TEMPORAL_PORT"])
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	interrupt := func(t *testing.T, h *host, when string, times int) (int, string) {
		t.Helper()
		cmd := h.command(t.Context(), "backup")
		talk := &syncBuffer{}
		cmd.Stderr = talk
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return strings.Contains(talk.String(), when) }, time.Minute, 5*time.Millisecond)
		for i := range times {
			if i > 0 {
				require.Eventually(t, func() bool { return strings.Contains(talk.String(), "Press Ctrl-C again") }, time.Minute, 5*time.Millisecond)
			}
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		}
		_ = cmd.Wait() // the code is asserted
		return cmd.ProcessState.ExitCode(), talk.String()
	}
	t.Run("cancels the run of this process", func(t *testing.T) {
		h := newHost(t, sharedNode)
		code, talk := interrupt(t, h, "Starting backup", 1)
		require.Equal(t, 130, code, talk)
		require.Empty(t, h.list())
		require.Empty(t, h.telegram.messages())
		h.tidy()
		h.noSessions()
	})
	t.Run("detaches from the worker's run", func(t *testing.T) {
		h := newHost(t, sharedNode)
		line := faultproxy.Start(t, h.s3().Addr)
		h.set("R2_ENDPOINT", "http://127.0.0.1:"+strconv.Itoa(line.Port()))
		line.SetRate(1 << 20) // so slow that the run is there when the second thought is over
		h.startWorker()
		code, talk := interrupt(t, h, "Syncing to", 1)
		require.Contains(t, talk, "Detached")
		require.Equal(t, 130, code, talk)
		line.SetRate(0)
		require.Eventually(t, func() bool { return len(h.list()) == 1 }, time.Minute, 200*time.Millisecond, "the run goes on")
	})
}

// The product runs unchanged on a Temporal server that is not the embedded one.
func TestExternalTemporal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "canton-backup-cluster-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) // its PostgreSQL runs as another user
	cluster, err := temporalcluster.Start(ctx, dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = cluster.Stop() })
	h := newHost(t, sharedNode)
	h.s3()
	h.env = []string{"TEMPORAL_ADDRESS=" + cluster.Address()}
	r := h.run("backup")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.talk, "no worker listens on queue canton-backup/"+h.settings["NODE_NAME"])
	w := h.startWorker()
	id := h.backup()
	require.Equal(t, backupset.Pass, h.manifest(id).Verdict)
	require.Contains(t, h.run("schedule", "show").out, "runs every 4h0m0s")
	require.NoDirExists(t, filepath.Join(h.home, ".canton", "temporal"), "no server of our own")
	w.stop()
}

// A secret in every credential, runs that succeed and runs that fail: none of them is found in anything that we write or show.
func TestSecrets_StayHome(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	bucket, server := h.s3(), h.rsync()
	key, err := os.ReadFile(server.KeyFile)
	require.NoError(t, err)
	secrets := map[string]string{
		"bot token": botToken, "bucket secret": bucket.SecretKey.Reveal(), "database password": sharedNode.Password,
		"ssh key": strings.Split(string(key), "\n")[2], "webhook": "canary-hook-path", "webhook password": "canary-hook-password", "chat": "canary-slack-path", "ping": "canary-ping-uuid",
	}
	o := newOutside(t) // it knows only /hook and /ping, so the others are refused
	h.set("NOTIFY_URLS", strings.Replace(o.URL, "http://", "http://user:"+secrets["webhook password"]+"@", 1)+"/"+secrets["webhook"], "SLACK_WEBHOOK_URL", o.URL+"/"+secrets["chat"],
		"PING_URL", o.URL+"/nowhere/"+secrets["ping"])
	for name, s := range secrets {
		require.Greater(t, len(s), 8, name)
	}
	w := h.startWorker()
	watch, stop := context.WithCancel(t.Context())
	argv := make(chan string, 1)
	go func() { argv <- sampleProcesses(watch) }()
	shown := ""
	see := func(r result) { shown += r.out + r.talk }
	see(h.run("backup"))
	for _, args := range [][]string{{"config", "show"}, {"config", "show", "--json"}, {"status"}, {"doctor"}, {"list", "--json"}, {"show"}} {
		see(h.run(args...))
	}
	h.telegram.mu.Lock()
	h.telegram.dead = true
	h.telegram.mu.Unlock()
	h.copyKey(server.OtherKey)
	h.set("R2_BUCKET", "no-such-bucket")
	see(h.run("backup"))
	see(h.run("doctor"))
	see(h.run("notify", "test"))
	stop()
	shown += <-argv + w.log.String()
	w.stop()
	for name, s := range secrets {
		require.NotContains(t, shown, s, name)
	}
	// Temporal's database holds every input, result, error and heartbeat in clear; logs and manifests lie beside it.
	searched := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(h.home, ".canton"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "toolkit.conf" {
			return err
		}
		data, err := os.ReadFile(path)
		for name, s := range secrets {
			require.NotContains(t, string(data), s, "%s in %s", name, path)
		}
		searched++
		return err
	}))
	require.Greater(t, searched, 5)
	require.Contains(t, shown, "[redacted]", "the control: settings were shown")
}

// sampleProcesses collects the arguments and environments of containers' and commands' processes until the context ends.
func sampleProcesses(ctx context.Context) string {
	var all strings.Builder
	seen := map[string]bool{}
	for ctx.Err() == nil {
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err == nil && !seen[string(data)] {
				seen[string(data)] = true
				all.Write(data)
				all.WriteByte('\n')
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	out, err := exec.Command("docker", "ps", "-a", "--no-trunc").Output()
	if err == nil {
		all.Write(out)
	}
	return all.String()
}
