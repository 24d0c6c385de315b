package temporalserver

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const testQueue = "test"

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.text = append(l.text, text)
	return nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.text...)
}

// start runs a server in dir and stops it with the test.
func start(t *testing.T, dir string) *Server {
	t.Helper()
	return startWith(t, Options{Dir: dir})
}

func startWith(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	return s
}

func dial(t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func greet(_ workflow.Context, name string) (string, error) { return "hello " + name, nil }

// nap waits on a timer of the server.
func nap(ctx workflow.Context, d time.Duration) (string, error) {
	return "slept", workflow.Sleep(ctx, d)
}

func work(t *testing.T, c client.Client) {
	t.Helper()
	w := worker.New(c, testQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(greet, workflow.RegisterOptions{Name: "Greet"})
	w.RegisterWorkflowWithOptions(nap, workflow.RegisterOptions{Name: "Nap"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

func runGreet(t *testing.T, c client.Client, id string) {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: testQueue}, "Greet", "node")
	require.NoError(t, err)
	var answer string
	require.NoError(t, run.Get(t.Context(), &answer))
	require.Equal(t, "hello node", answer)
}

func testPort(t *testing.T) int {
	t.Helper()
	port, err := freePort()
	require.NoError(t, err)
	return port
}

func TestStart_fresh(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a ?%41 folder")
	log := &lines{}
	began := time.Now()
	s := startWith(t, Options{Dir: dir, Port: testPort(t), UIPort: testPort(t), Logger: slog.New(log)})
	t.Logf("up after %v", time.Since(began))
	require.Empty(t, s.Notices())
	c := dial(t, s.Address())
	work(t, c)
	runGreet(t, c, "first")
	t.Logf("first workflow done after %v", time.Since(began))

	t.Run("ui", func(t *testing.T) {
		reply, err := http.Get(s.UIURL())
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, http.StatusOK, reply.StatusCode)
	})
	t.Run("permissions", func(t *testing.T) {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		var names []string
		for _, e := range entries {
			info, err := e.Info()
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), e.Name())
			names = append(names, e.Name())
		}
		require.Contains(t, names, historyName)
		require.Contains(t, names, visibilityName+"-wal")
	})
	t.Run("retention", func(t *testing.T) {
		ns, err := client.NewNamespaceClient(client.Options{HostPort: s.Address()})
		require.NoError(t, err)
		defer ns.Close()
		found, err := ns.Describe(t.Context(), DefaultNamespace)
		require.NoError(t, err)
		require.Equal(t, DefaultRetention, found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	})
	require.Empty(t, log.all())
}

func TestStart_onlyLoopback(t *testing.T) {
	s := startWith(t, Options{Dir: t.TempDir(), UIPort: testPort(t)})
	own := ownListeners(t)
	require.GreaterOrEqual(t, len(own), 5) // the API, three services, the UI
	for _, ip := range own {
		require.True(t, ip.IsLoopback(), "%v listens beyond this host", ip)
	}
	require.NoError(t, s.Stop())
}

func TestStart_restartKeepsHistory(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := dial(t, s.Address())
	work(t, c)
	runGreet(t, c, "kept")
	require.NoError(t, s.Stop())

	s = startWith(t, Options{Dir: dir, Retention: 48 * time.Hour})
	require.Empty(t, s.Notices())
	c = dial(t, s.Address())
	var answer string
	require.NoError(t, c.GetWorkflow(t.Context(), "kept", "").Get(t.Context(), &answer))
	require.Equal(t, "hello node", answer)
	ns, err := client.NewNamespaceClient(client.Options{HostPort: s.Address()})
	require.NoError(t, err)
	defer ns.Close()
	found, err := ns.Describe(t.Context(), DefaultNamespace)
	require.NoError(t, err)
	require.Equal(t, 48*time.Hour, found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
}

func TestStart_inUse(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorIs(t, err, ErrInUse)
	var held *InUseError
	require.ErrorAs(t, err, &held)
	require.Equal(t, os.Getpid(), held.PID)
	require.NotEmpty(t, held.Process)
}

func TestStart_portTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	taken := l.Addr().(*net.TCPAddr).Port

	t.Run("api", func(t *testing.T) {
		dir := t.TempDir()
		_, err := Start(t.Context(), Options{Dir: dir, Port: taken})
		require.ErrorIs(t, err, ErrPortTaken)
		require.ErrorContains(t, err, "TEMPORAL_ADDRESS")
		require.NoFileExists(t, filepath.Join(dir, historyName))
		start(t, dir) // the folder was released
	})
	t.Run("ui moves", func(t *testing.T) {
		log := &lines{}
		s := startWith(t, Options{Dir: t.TempDir(), UIPort: taken, Logger: slog.New(log)})
		reply, err := http.Get(s.UIURL())
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, http.StatusOK, reply.StatusCode)
		require.Len(t, log.all(), 1)
		require.Contains(t, log.all()[0], "temporal ui moved")
	})
}

func TestServer_Stop(t *testing.T) {
	log := &lines{}
	s := startWith(t, Options{Dir: t.TempDir(), UIPort: testPort(t), Logger: slog.New(log)})
	began := time.Now()
	require.NoError(t, s.Stop())
	t.Logf("stopped after %v", time.Since(began))
	require.NoError(t, s.Stop())
	require.Empty(t, log.all())
	_, err := net.Dial("tcp", s.Address())
	require.Error(t, err)
	select {
	case err := <-s.Failed():
		require.Fail(t, "a stop was reported as a failure", err)
	default:
	}
}
