package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/app"
	"canton-backup/internal/config"
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
	settings, err := config.Load(file)
	require.Error(t, err)
	broken := fmt.Errorf("start: %w", err)

	status = http.StatusBadGateway
	require.Error(t, app.Distress(file, "look", broken))
	status = http.StatusOK
	require.NoError(t, app.Distress(file, "look", broken), "what did not go out is due")
	require.Len(t, got, 1)
	require.Contains(t, got[0], "n1")
	require.Contains(t, got[0], "BACKUP_TYPE=nonsense")

	require.NoError(t, app.Distress(file, "look", broken))
	require.Len(t, got, 1, "the same cause at once")
	require.NoError(t, app.Distress(file, "look", errors.New("another cause")))
	require.Len(t, got, 2)
	require.NoError(t, app.Distress(file, "look", fmt.Errorf("lock: %w", app.ErrWorkerRuns)))
	require.Len(t, got, 2, "another worker works")

	mark := filepath.Join(home, ".canton", "logs", "worker-down")
	require.NoError(t, os.Chtimes(mark, time.Time{}, time.Now().Add(-7*time.Hour)))
	require.NoError(t, app.Distress(file, "look", errors.New("another cause")))
	require.Len(t, got, 3, "still down, hours later")
	require.NoError(t, app.Relief(settings))
	require.NoError(t, app.Relief(settings), "nothing to forget")
	require.NoError(t, app.Distress(file, "look", errors.New("another cause")))
	require.Len(t, got, 4, "it had worked in between")
}
