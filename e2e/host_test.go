package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/process"
	"canton-backup/internal/testkit/child"
	"canton-backup/internal/testkit/s3server"
	"canton-backup/internal/testkit/sshd"
	"canton-backup/testbed"
)

const botToken = "4711:canary-bot-token"

var sharedNode *testbed.Node

// TestMain builds the programs and brings up the node that most tests share: they only read it.
func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "prepare e2e:", err)
		return 1
	}
	if out, err := exec.CommandContext(ctx, "make", "-C", "..", "build").CombinedOutput(); err != nil {
		return fail(fmt.Errorf("%w: %s", err, out))
	}
	if err := testbed.SweepDead(ctx); err != nil {
		return fail(err)
	}
	if err := testbed.Ensure(ctx); err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("", "canton-backup-e2e-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if path := os.Getenv("TEST_REPORT"); path != "" {
		_ = os.Remove(path) // of the run before, if there is one
	}
	sharedNode, err = testbed.Up(ctx, testbed.Options{Dir: dir, NoSync: true, FillMB: 20})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := sharedNode.Down(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "take the node down:", err)
		}
	}()
	return m.Run()
}

// newNode brings up a node that the test may break.
func newNode(t *testing.T, o testbed.Options) *testbed.Node {
	t.Helper()
	o.Dir, o.NoSync = t.TempDir(), true
	n, err := testbed.Up(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Down(context.Background())) })
	return n
}

// host is an operator's account with its own home, settings and ports, beside a node.
type host struct {
	t        *testing.T
	node     *testbed.Node
	home     string
	settings map[string]string
	env      []string
	telegram *telegram
	sshd     *sshd.Server // of rsync
}

// newHost makes an account whose sets stay local. Change settings through set, s3 and rsync.
func newHost(t *testing.T, node *testbed.Node) *host {
	t.Helper()
	h := &host{t: t, node: node, home: t.TempDir(), telegram: newTelegram(t)}
	h.settings = map[string]string{
		"NODE_NAME": quietName(strconv.Itoa(child.FreePort(t)), "testnet"),
		"NETWORK":   "testnet", "COMPOSE_PROJECT": node.Project, "BACKUP_TYPE": "skip", "RETENTION_DAYS": "1",
		"TEMPORAL_PORT": strconv.Itoa(child.FreePort(t)), "TEMPORAL_UI_PORT": strconv.Itoa(child.FreePort(t)), "HEALTH_ADDRESS": "127.0.0.1:" + strconv.Itoa(child.FreePort(t)),
		"TELEGRAM_BOT_TOKEN": botToken, "TELEGRAM_CHAT_ID": "-100", "TELEGRAM_API": h.telegram.URL,
	}
	h.set()
	return h
}

// quietName is a node's name whose watchdog, looking every quarter of an hour at a time that follows from the name, looks next when the test is
// over: each test has it look when the test wants it to.
func quietName(unique, network string) string {
	const every = 15 * 60
	for i := 0; ; i++ {
		name := fmt.Sprintf("e2e-%s-%s-%d", time.Now().UTC().Format("150405"), unique, i)
		hash := fnv.New32a() // as app.offset
		hash.Write([]byte(network + "/" + name))
		if left := (int64(hash.Sum32()%every) - time.Now().Unix()%every + every) % every; left > every-40 && left < every-10 {
			return name
		}
	}
}

// set changes settings, as pairs of key and value, and writes the file. An empty value takes the key out.
func (h *host) set(pairs ...string) {
	h.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		h.settings[pairs[i]] = pairs[i+1]
	}
	var b strings.Builder
	for key, value := range h.settings {
		fmt.Fprintf(&b, "%s='%s'\n", key, value)
	}
	dir := filepath.Join(h.home, ".canton")
	require.NoError(h.t, os.MkdirAll(dir, 0o700))
	require.NoError(h.t, os.WriteFile(filepath.Join(dir, "toolkit.conf"), []byte(b.String()), 0o600))
}

// s3 starts an S3 server of the host's own and makes it the target. address, when given, stands between us and the server.
func (h *host) s3() *s3server.Server {
	h.t.Helper()
	server := s3server.Start(h.t)
	h.target("r2")
	h.set("R2_BUCKET", server.Bucket, "R2_ENDPOINT", "http://"+server.Addr, "R2_ACCESS_KEY", server.AccessKey, "R2_SECRET_KEY", server.SecretKey.Reveal())
	return server
}

// rsync starts an SSH server of the host's own and makes it a target.
func (h *host) rsync() *sshd.Server {
	h.t.Helper()
	server := sshd.Start(h.t)
	h.target("rsync")
	h.trust(server)
	h.set("REMOTE_HOST", server.User+"@127.0.0.1", "REMOTE_PORT", strconv.Itoa(server.Port), "REMOTE_PATH", "~/canton-backups/testnet")
	h.set("SSH_KEY", h.copyKey(server.KeyFile))
	h.sshd = server
	return server
}

func (h *host) target(kind string) {
	if h.settings["BACKUP_TYPE"] == "skip" {
		h.settings["BACKUP_TYPE"] = kind
	} else {
		h.settings["BACKUP_TYPE"] += "," + kind
	}
}

// trust copies the server's known_hosts into the account.
func (h *host) trust(server *sshd.Server) {
	h.t.Helper()
	data, err := os.ReadFile(server.KnownHosts)
	require.NoError(h.t, err)
	require.NoError(h.t, os.MkdirAll(filepath.Join(h.home, ".ssh"), 0o700))
	require.NoError(h.t, os.WriteFile(filepath.Join(h.home, ".ssh", "known_hosts"), data, 0o600))
}

func (h *host) copyKey(from string) string {
	h.t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(h.t, err)
	path := filepath.Join(h.home, ".ssh", "id_backup")
	require.NoError(h.t, os.WriteFile(path, data, 0o600))
	return path
}

func (h *host) backupDir() string {
	if dir := h.settings["BACKUP_DIR"]; dir != "" {
		return dir
	}
	return filepath.Join(h.home, ".canton", "backups")
}

// environment is the account's, with nothing of the caller's settings.
func (h *host) environment() []string {
	env := []string{"HOME=" + h.home, "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	if docker := os.Getenv("DOCKER_HOST"); docker != "" {
		env = append(env, "DOCKER_HOST="+docker)
	}
	return append(env, h.env...)
}

// result is how a command ended.
type result struct {
	code int
	out  string
	talk string
}

// run runs a command of canton-backup to its end.
func (h *host) run(args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	require.NoError(h.t, ctx.Err(), "%v hangs: %s", args, talk.String())
	if err != nil {
		require.IsType(h.t, &exec.ExitError{}, err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: strings.TrimSpace(out.String()), talk: talk.String()}
}

func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join("..", "bin", "canton-backup"), args...)
	cmd.Env = h.environment()
	return cmd
}

// backup makes a set that must succeed and returns its id.
func (h *host) backup() backupset.ID {
	h.t.Helper()
	r := h.run("backup")
	require.Equal(h.t, 0, r.code, r.talk)
	id, err := backupset.ParseID(r.out)
	require.NoError(h.t, err)
	return id
}

// listed is the part of `list --json` that tests look at.
type listed struct {
	Set     backupset.ID
	Verdict backupset.Verdict
	Stores  []string
	Damage  []string
	Own     bool
}

func (h *host) list() []listed {
	h.t.Helper()
	r := h.run("list", "--json")
	require.Equal(h.t, 0, r.code, r.talk)
	var sets []listed
	require.NoError(h.t, json.Unmarshal([]byte(r.out), &sets))
	return sets
}

func (h *host) manifest(id backupset.ID) backupset.Manifest {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.backupDir(), backupset.ManifestName(id)))
	require.NoError(h.t, err)
	m, err := backupset.Decode(data)
	require.NoError(h.t, err)
	return m
}

// tidy asserts that nothing unfinished is left: no staging, no partial file, no open set, no helper container.
func (h *host) tidy() {
	h.t.Helper()
	err := filepath.WalkDir(h.backupDir(), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		require.NotContains(h.t, name, "partial", path)
		require.False(h.t, strings.HasPrefix(name, "open_"), path)
		if strings.HasPrefix(filepath.Base(filepath.Dir(path)), ".staging-") {
			require.Fail(h.t, "left in staging: "+path)
		}
		return nil
	})
	if !os.IsNotExist(err) {
		require.NoError(h.t, err)
	}
	require.Empty(h.t, h.helpers(), "helper containers")
}

func (h *host) helpers() []string {
	h.t.Helper()
	out, err := exec.CommandContext(h.t.Context(), "docker", "ps", "-aq", "--filter", "label=canton-backup.helper="+h.settings["NODE_NAME"]).Output()
	require.NoError(h.t, err)
	return strings.Fields(string(out))
}

// worker is a running canton-backup-worker.
type worker struct {
	*process.Process
	h   *host
	cmd *exec.Cmd
	log *syncBuffer
}

// startWorker starts the worker and waits until it works on its queue.
func (h *host) startWorker() *worker {
	h.t.Helper()
	w := h.launchWorker()
	require.Eventually(h.t, func() bool { return strings.Contains(w.log.String(), "worker is ready") || w.ended() }, patience, 20*time.Millisecond)
	require.Contains(h.t, w.log.String(), "worker is ready")
	return w
}

func (h *host) launchWorker() *worker {
	h.t.Helper()
	w := &worker{h: h, cmd: exec.Command(filepath.Join("..", "bin", "canton-backup-worker")), log: &syncBuffer{}}
	w.cmd.Env, w.cmd.Stdout, w.cmd.Stderr = h.environment(), w.log, w.log
	var err error
	w.Process, err = process.Start(w.cmd)
	require.NoError(h.t, err)
	h.t.Cleanup(func() {
		gone := w.ended()
		w.kill()
		if h.t.Failed() {
			text := w.log.String()
			h.t.Logf("worker %d (ended before the test: %t, %v) printed:\n%s", w.cmd.Process.Pid, gone, w.cmd.ProcessState, text[max(0, len(text)-6000):])
		}
	})
	return w
}

func (w *worker) ended() bool {
	select {
	case <-w.Ended:
		return true
	default:
		return false
	}
}

func (w *worker) signal(s os.Signal) {
	if !w.ended() {
		_ = w.cmd.Process.Signal(s) // it may have ended just now
	}
	<-w.Ended
}

func (w *worker) kill() { w.signal(syscall.SIGKILL) }
func (w *worker) stop() { w.signal(syscall.SIGTERM) }

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// telegram stands for the Bot API, which no test can have. It keeps the messages that it accepted.
type telegram struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string
	dead bool
}

func newTelegram(t *testing.T) *telegram {
	t.Helper()
	b := &telegram{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		var m struct {
			Text string `json:"text"`
		}
		if b.dead || r.URL.Path != "/bot"+botToken+"/sendMessage" || json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"ok":false,"description":"Unauthorized"}`))
			return
		}
		b.got = append(b.got, m.Text)
		_, _ = w.Write([]byte(`{"ok":true}`))
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *telegram) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}
