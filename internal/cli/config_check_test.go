package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/cli"
	"canton-backup/internal/config"
	"canton-backup/internal/store/prove"
	"canton-backup/internal/testkit/faultproxy"
)

// check runs `config check` with the settings, and returns exit code and both streams.
func check(t *testing.T, settings string, args ...string) (code int, out, talk string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, k := range config.Keys {
		t.Setenv(k.Name, "")
	}
	file := filepath.Join(t.TempDir(), "toolkit.conf")
	require.NoError(t, os.WriteFile(file, []byte("NODE_NAME=node-1\n"+settings), 0o600))
	var stdout, stderr bytes.Buffer
	code = cli.Main(append([]string{"config", "check", "--conf", file}, args...), cli.Streams{Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestConfigCheck_ProvesTheTargets(t *testing.T) {
	folder := t.TempDir()
	code, out, talk := check(t, "BACKUP_TYPE=dir\nDIR_PATH="+folder+"\n", "--targets", "--json")
	require.Equal(t, cli.ExitDone, code, out+talk)
	var proofs []struct{ Target, Check, Verdict string }
	require.NoError(t, json.Unmarshal([]byte(out), &proofs))
	require.Len(t, proofs, len(prove.Checks())+2)
	for _, p := range proofs {
		require.Equal(t, "OK", p.Verdict, p)
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left")

	forbidding := httptest.NewServer(faultproxy.S3Error(403, "SignatureDoesNotMatch"))
	t.Cleanup(forbidding.Close)
	code, out, _ = check(t, "BACKUP_TYPE=s3,dir\nDIR_PATH="+folder+"\nS3_ENDPOINT="+forbidding.URL+
		"\nS3_BUCKET=bucket\nS3_ACCESS_KEY=key\nS3_SECRET_KEY=canary-secret\n", "--targets")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, out, "s3: reach, list, read, write, delete: FAILED")
	require.Contains(t, out, "dir: put and read back: OK", "one bad target does not hide the other")
	require.NotContains(t, out, "canary-secret")
}

// Without --targets nobody is asked.
func TestConfigCheck_IsOffline(t *testing.T) {
	code, out, talk := check(t, "BACKUP_TYPE=dir\nDIR_PATH=/no/such/folder\n")
	require.Equal(t, cli.ExitDone, code)
	require.Empty(t, out)
	require.Contains(t, talk, "is fine")
	code, out, _ = check(t, "BACKUP_TYPE=dir\nDIR_PATH=/no/such/folder\n", "--targets")
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, out, "no such bucket or folder")
	require.NoDirExists(t, "/no/such/folder")
}
