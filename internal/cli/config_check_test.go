package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/cli"
	"canton-backup/internal/config"
	"canton-backup/internal/store/prove"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
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

// The key that the how-to recommends against whoever takes over the host.
func TestConfigCheck_KeyThatMayNotDelete(t *testing.T) {
	server := s3server.Start(t)
	forbidding := faultproxy.HTTP(t, server.Addr, func(r *http.Request) http.Handler {
		if r.Method == http.MethodDelete {
			return faultproxy.S3Error(403, "AccessDenied")
		}
		return nil
	})
	code, out, talk := check(t, "BACKUP_TYPE=s3\nS3_ENDPOINT=http://"+forbidding+"\nS3_REGION="+server.Region+"\nS3_BUCKET="+server.Bucket+
		"\nS3_ACCESS_KEY="+server.AccessKey+"\nS3_SECRET_KEY="+server.SecretKey.Reveal()+"\n", "--targets", "--json")
	require.Equal(t, cli.ExitDone, code, out+talk)
	var proofs []struct{ Check, Verdict, Detail string }
	require.NoError(t, json.Unmarshal([]byte(out), &proofs))
	verdicts := map[string]string{}
	for _, p := range proofs {
		verdicts[p.Check] = p.Verdict
	}
	require.Equal(t, map[string]string{
		"reach, list, read, write, delete":                        "WARNING",
		"put and read back":                                       "OK",
		"same content again is success, other content is refused": "OK",
		"wrong content is refused and not shown":                  "OK",
		"cut in the middle shows nothing and goes on later":       "OK",
		"read from the middle":                                    "OK",
		"list and delete by name":                                 "WARNING",
		"clear unfinished files":                                  "WARNING",
		"remove what was put for this":                            "WARNING",
	}, verdicts)

	objects, err := server.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(server.Bucket)})
	require.NoError(t, err)
	var stays int64
	told := proofs[len(proofs)-1].Detail
	for _, o := range objects.Contents {
		stays += aws.ToInt64(o.Size)
		if folder, _, in := strings.Cut(*o.Key, ".scratch/"); in {
			require.Contains(t, told, "s3://"+server.Bucket+"/"+folder+".scratch stays")
		}
	}
	require.Less(t, stays, int64(12<<20))
	uploads, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(server.Bucket)})
	require.NoError(t, err)
	require.Empty(t, uploads.Uploads)
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
