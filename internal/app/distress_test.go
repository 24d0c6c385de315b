package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/app"
	"canton-backup/internal/config"
	"canton-backup/internal/temporalserver"
)

// A worker that cannot start tells a human, through whatever of its settings can be read, and not again at every restart.
func TestDistress(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	var got []string
	status := http.StatusOK
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // stands for Telegram's Bot API
		var m struct{ Text string }
		require.NoError(t, json.NewDecoder(r.Body).Decode(&m))
		w.WriteHeader(status)
		if status == http.StatusOK {
			got = append(got, m.Text)
		}
		fmt.Fprintf(w, `{"ok":%t}`, status == http.StatusOK)
	}))
	defer bot.Close()
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=nonsense\nNODE_NAME=n1\nTELEGRAM_BOT_TOKEN=1:a\nTELEGRAM_CHAT_ID=-1\nTELEGRAM_API="+bot.URL+"\n"), 0o600))
	_, err := config.Load(file)
	require.Error(t, err)
	broken := fmt.Errorf("start: %w", err)

	ledger := filepath.Join(home, ".canton", "logs", "alerts-n1.json")
	later := func(d time.Duration) { // all that was told was told so long ago
		data, err := os.ReadFile(ledger)
		require.NoError(t, err)
		stamp := regexp.MustCompile(`"20[0-9-]+T[^"]+"`)
		require.NoError(t, os.Chtimes(ledger+".mark", time.Now().Add(-d), time.Now().Add(-d)))
		require.NoError(t, os.WriteFile(ledger, stamp.ReplaceAll(data, []byte(`"`+time.Now().Add(-d).Format(time.RFC3339Nano)+`"`)), 0o600))
	}
	tell := func(uptime time.Duration, cause error) int {
		before := len(got)
		note, err := app.NewDistress(file).Tell("look", uptime, cause) // each start is a process of its own
		require.NoError(t, err)
		require.Empty(t, note)
		return len(got) - before
	}

	status = http.StatusBadGateway
	_, err = app.NewDistress(file).Tell("look", 0, broken)
	require.Error(t, err)
	status = http.StatusOK
	require.Equal(t, 1, tell(0, broken), "what did not go out is due")
	require.Contains(t, got[0], "Worker failed: n1")
	require.Contains(t, got[0], "BACKUP_TYPE=nonsense")

	for range 3 {
		require.Zero(t, tell(0, broken), "the same cause at once")
		require.Zero(t, tell(0, errors.New("another cause")), "two causes in turn")
		require.Zero(t, tell(time.Hour, broken), "at most one in a quarter of an hour")
	}
	later(time.Hour)
	require.Zero(t, tell(0, broken), "the same cause within hours")
	require.Equal(t, 1, tell(0, errors.New("listen on port 40001: in use")))
	later(time.Hour)
	require.Zero(t, tell(0, errors.New("listen on port 40002: in use")), "only a number differs")
	require.Equal(t, 1, tell(time.Hour, errors.New("listen on port 40003: in use")), "it had worked in between")
	later(7 * time.Hour)
	require.Equal(t, 1, tell(0, errors.New("listen on port 40004: in use")), "still down, hours later")

	require.Contains(t, got[len(got)-1], "Worker failed: n1")
	require.Contains(t, got[len(got)-1], "still: since")

	later(7 * time.Hour)
	require.Zero(t, tell(0, fmt.Errorf("lock: %w", app.ErrWorkerRuns)), "another worker works")
	require.Equal(t, 1, tell(0, temporalserver.ErrInUse), "another node's worker does not")
}

// hook stands for an operator's webhook, and counts what it gets.
func hook(t *testing.T) (address string, got *int) {
	got = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *got++ }))
	t.Cleanup(server.Close)
	return server.URL, got
}

// Where nothing can be written, every restart would be the first: a mark without content keeps the pause, and where no file can be made at all, one among
// the temporary ones does.
func TestDistress_NothingCanBeWritten(t *testing.T) {
	for name, breakIt := range map[string]func(t *testing.T, ledger string){
		"the ledger, as on a full disk": func(t *testing.T, ledger string) {
			require.NoError(t, os.MkdirAll(filepath.Join(ledger, "in the way"), 0o700))
		},
		"its folder, as on a read-only disk": func(t *testing.T, ledger string) {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Dir(ledger)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Dir(ledger), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("HOME", home)
			t.Setenv("TMPDIR", t.TempDir())
			address, got := hook(t)
			file := filepath.Join(home, "toolkit.conf")
			require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n1\nNOTIFY_URLS="+address+"\n"), 0o600))
			breakIt(t, filepath.Join(home, ".canton", "logs", "alerts-n1.json"))
			for i := range 5 {
				restarted := app.NewDistress(file)
				require.NoError(t, restarted.Prepare())
				note, err := restarted.Tell("look", 0, errors.New("no space left on device"))
				require.NoError(t, err, "the alert went out")
				require.Equal(t, i == 0, note != "", note)
			}
			require.Equal(t, 1, *got)
		})
	}
}

// A channel that is dead keeps no alert from the others, also when the end of an earlier trouble does not reach it.
func TestDistress_OneChannelIsDead(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	address, got := hook(t)
	file := filepath.Join(home, "toolkit.conf")
	conf := "BACKUP_TYPE=skip\nNODE_NAME=n1\nNOTIFY_URLS=" + address + " pagerduty://127.0.0.1:1/0123456789abcdef0123456789abcdef\n"
	require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
	ledger := filepath.Join(home, ".canton", "logs", "alerts-n1.json")
	require.NoError(t, os.MkdirAll(filepath.Dir(ledger), 0o700))
	long := time.Now().Add(-time.Hour).Format(time.RFC3339)
	require.NoError(t, os.WriteFile(ledger, []byte(`{"version":1,"causes":{"Worker/earlier":{"headline":"x","first":"`+long+`","last":"`+long+`","times":1,
		"told":{"pagerduty 127.0.0.1:1":"`+long+`"}}}}`), 0o600))
	note, err := app.NewDistress(file).Tell("look", time.Hour, errors.New("another"))
	require.NoError(t, err, "somebody knows")
	require.Contains(t, note, "pagerduty 127.0.0.1:1: send alert")
	require.Equal(t, 1, *got)
}
