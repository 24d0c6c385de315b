package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/cli"
	"canton-backup/internal/config"
)

func notifyTest(t *testing.T, settings string, args ...string) (code int, out, talk string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, k := range config.Keys {
		t.Setenv(k.Name, "")
	}
	file := filepath.Join(t.TempDir(), "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("NODE_NAME=node-1\nBACKUP_TYPE=skip\n"+settings), 0o600))
	var stdout, stderr bytes.Buffer
	code = cli.Main(append([]string{"notify", "test", "--conf", file}, args...), cli.Streams{Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestNotifyTest(t *testing.T) {
	var got []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // stands for an operator's own webhook
		if r.URL.Path == "/dead/canary" {
			w.WriteHeader(http.StatusGone)
			return
		}
		data, _ := io.ReadAll(r.Body)
		got = append(got, string(data))
	}))
	t.Cleanup(receiver.Close)

	code, out, talk := notifyTest(t, "NOTIFY_URLS="+receiver.URL+"/ops\n")
	require.Equal(t, cli.ExitDone, code, talk)
	require.Equal(t, "webhook "+receiver.Listener.Addr().String()+": OK\n", out)
	var event struct{ Event, Headline string }
	require.NoError(t, json.Unmarshal([]byte(got[0]), &event))
	require.Equal(t, "test", event.Event)
	require.Equal(t, "Test of the alerts, nothing happened: node-1 (mainnet)", event.Headline)

	code, out, talk = notifyTest(t, "NOTIFY_URLS="+receiver.URL+"/ops\nSLACK_WEBHOOK_URL="+receiver.URL+"/dead/canary\n", "--json")
	require.Equal(t, cli.ExitFailed, code)
	var tried []struct {
		Channel, Error string
		OK             bool
	}
	require.NoError(t, json.Unmarshal([]byte(out), &tried))
	require.Len(t, tried, 2)
	require.Equal(t, "slack", tried[0].Channel)
	require.Contains(t, tried[0].Error, "410 Gone")
	require.True(t, tried[1].OK, "one dead channel does not hide the other")
	require.NotContains(t, out+talk, "canary")

	code, _, talk = notifyTest(t, "")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, talk, "no alert channel")
}
