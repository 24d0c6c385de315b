package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/notify"
)

// outside stands for an operator's webhook at /hook and for a dead-man's switch at /ping, which no test can have. It keeps what it got.
type outside struct {
	*httptest.Server
	mu     sync.Mutex
	events []notify.Event
	pings  []string
	hangs  bool // at /ping
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		var e notify.Event
		if json.NewDecoder(r.Body).Decode(&e) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events = append(o.events, e)
	})
	mux.HandleFunc("GET /ping/", func(_ http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.pings = append(o.pings, r.URL.RequestURI())
		hangs := o.hangs
		o.mu.Unlock()
		if hangs {
			<-r.Context().Done() // until the other side gives up
		}
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

// forgetAlerts makes the next alert news, for tests that see several of one cause.
func (h *host) forgetAlerts() {
	h.t.Helper()
	require.NoError(h.t, os.Remove(filepath.Join(h.home, ".canton", "logs", "alerts-"+h.settings["NODE_NAME"]+".json")))
}

func (o *outside) got() (events []notify.Event, pings []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events), slices.Clone(o.pings)
}

// The same failure twice is one message on each channel; mended, it is one more for those who asked for it, by the CLI's own runs and the worker's
// alike, since they share what was told.
func TestAlerts_OneStatePerCause(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	o := newOutside(t)
	folder := filepath.Join(t.TempDir(), "target")
	h.target("dir")
	h.set("DIR_PATH", folder, "NOTIFY_URLS", o.URL+"/hook", "PING_URL", o.URL+"/ping/canary-uuid?x=y", "NOTIFY_ON", "failure,recovery")

	tried := h.run("notify", "test")
	require.Equal(t, 0, tried.code, tried.talk)
	require.Len(t, h.telegram.messages(), 1)
	require.Contains(t, h.telegram.messages()[0], "Test of the alerts")

	require.Equal(t, 1, h.run("backup").code, "there is no such folder")
	h.startWorker()
	require.Equal(t, 1, h.run("backup").code)
	require.Contains(t, h.runLog(), "Alert held back: told")
	events, pings := o.got()
	require.Len(t, events, 2)
	require.Equal(t, "trigger", events[1].Event)
	require.Regexp(t, `^Backup/[A-Za-z]+/BucketNotFound$`, events[1].Key)
	require.Len(t, h.telegram.messages(), 2)
	require.Contains(t, h.telegram.messages()[1], "Backup failed: ")
	require.Equal(t, []string{"/ping/canary-uuid/start?x=y", "/ping/canary-uuid/fail?x=y", "/ping/canary-uuid/start?x=y", "/ping/canary-uuid/fail?x=y"}, pings)

	require.NoError(t, os.Mkdir(folder, 0o700))
	for range 2 {
		h.backup()
	}
	events, pings = o.got()
	require.Len(t, events, 3, "one recovery")
	require.Equal(t, "over", events[2].Event)
	require.Contains(t, events[2].Cause, "2 times")
	require.Len(t, h.telegram.messages(), 3)
	require.Contains(t, h.telegram.messages()[2], "Backup works again: ")
	require.Equal(t, []string{"/ping/canary-uuid/start?x=y", "/ping/canary-uuid?x=y"}, pings[6:])
	require.NotContains(t, h.runLog(), "canary-uuid")
	h.tidy()
}

// A dead-man's switch that takes the connection and says nothing: the backup is made, and nobody is bothered.
func TestAlerts_HangingPing(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	o := newOutside(t)
	o.hangs = true
	h.set("PING_URL", o.URL+"/ping/canary-uuid")
	began := time.Now()
	h.backup()
	require.Less(t, time.Since(began), 4*time.Minute)
	_, pings := o.got()
	require.GreaterOrEqual(t, len(pings), 2)
	require.Contains(t, h.runLog(), "⚠ Ping not delivered: ping 127.0.0.1")
	require.NotContains(t, h.runLog(), "canary-uuid")
	require.Empty(t, h.telegram.messages())
	h.tidy()
}

// With a Telegram whose token is dead the other channel is told, the run says which was not, and it ends as it would have.
func TestAlerts_OneDeadChannel(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	o := newOutside(t)
	h.telegram.dead = true
	h.target("dir")
	h.set("DIR_PATH", filepath.Join(t.TempDir(), "nowhere"), "NOTIFY_URLS", o.URL+"/hook")
	require.Equal(t, 1, h.run("backup").code)
	events, _ := o.got()
	require.Len(t, events, 1)
	require.Contains(t, h.runLog(), "✗ Alert not delivered: telegram: ")
	require.NotContains(t, h.runLog(), "canary-bot-token")
	tried := h.run("notify", "test")
	require.Equal(t, 1, tried.code)
	require.Contains(t, tried.out, "telegram: FAILED — ")
	require.Contains(t, tried.out, ": OK")
}
