package app

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/activities"
	"canton-backup/internal/config"
	"canton-backup/internal/notify"
)

// A worker that has worked for a while ends what was told of its trouble, in the run's log, and once.
func TestWorker_Works(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	messages := 0
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { messages++ })) // stands for an operator's webhook
	t.Cleanup(hook.Close)
	file := filepath.Join(home, "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("BACKUP_TYPE=skip\nNODE_NAME=n1\nNOTIFY_ON=failure,recovery\nNOTIFY_URLS="+hook.URL+"\n"), 0o600))
	settings, err := config.Load(file)
	require.NoError(t, err)
	log, err := openRunLog(settings)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	w := &Worker{Settings: settings, runLog: log, distress: NewDistress(file)}
	text := func() string {
		data, err := os.ReadFile(RunLogFile(settings))
		require.NoError(t, err)
		return string(data)
	}

	require.NoError(t, w.Works(t.Context()))
	require.Empty(t, text(), "there was no trouble")
	note, err := w.distress.Tell("look", 0, errors.New("listen on port 40001: in use"))
	require.NoError(t, err)
	require.Empty(t, note)
	causes, err := notify.Ledger{File: activities.AlertsFile(settings)}.Causes()
	require.NoError(t, err)
	require.Len(t, causes, 1)
	require.Equal(t, "Worker/listen on port #: in use", causes[0].Key)
	for range 2 {
		require.NoError(t, w.Works(t.Context()))
		require.Equal(t, 2, messages)
	}
	require.Regexp(t, `^\[[^\n]+\] ✓ The worker works again\n$`, text())
}
