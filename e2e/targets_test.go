package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/testkit/faultproxy"
)

// One of two targets is down for two runs: each run is good and ends with exit code 3, the first one alerts, and the first run that finds the target up
// again brings it what it missed.
func TestBackup_TargetCatchesUp(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	h.s3()
	h.rsync()
	key := h.settings["SSH_KEY"]
	data, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte("no key\n"), 0o600))
	for range 2 {
		r := h.run("backup")
		require.Equal(t, 3, r.code, r.talk)
		require.Len(t, h.telegram.messages(), 1, "the same cause, and told a moment ago")
	}
	require.NoError(t, os.WriteFile(key, data, 0o600))
	r := h.run("backup")
	require.Equal(t, 0, r.code, r.talk)
	require.Contains(t, r.talk, "✓ rsync caught up, 2 set(s)")
	require.NotContains(t, r.talk, "r2 caught up")
	sets := h.list()
	require.Len(t, sets, 3)
	for _, set := range sets {
		require.Len(t, set.Stores, 3, set.Set)
		require.Empty(t, set.Damage)
	}
	require.Equal(t, 0, h.run("verify", string(sets[2].Set)).code)
}

// A key that may write and not delete: backups are good, nothing is lost, and each run says that somebody else has to prune there.
func TestBackup_WriteOnlyKey(t *testing.T) {
	t.Parallel()
	h := newHost(t, sharedNode)
	bucket := h.s3()
	h.set("R2_ENDPOINT", "http://"+faultproxy.HTTP(t, bucket.Addr, func(r *http.Request) http.Handler {
		if r.Method == http.MethodDelete {
			return faultproxy.S3Error(http.StatusForbidden, "AccessDenied")
		}
		return nil
	}))
	h.set("KEEP_LAST", "1")
	ripe := h.agedTwin(h.backup())
	folder := filepath.Dir(bucket.Path(h.settings["NETWORK"] + "/" + h.settings["NODE_NAME"] + "/x"))
	for _, name := range names(t, h.backupDir()) {
		if strings.Contains(name, string(ripe)) {
			data, err := os.ReadFile(filepath.Join(h.backupDir(), name))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
		}
	}
	r := h.run("backup")
	require.Equal(t, 0, r.code, r.talk)
	require.Contains(t, r.talk, "may not delete here")
	require.Empty(t, h.telegram.messages())
	require.Contains(t, names(t, folder), backupset.ManifestName(ripe))
	require.NotContains(t, names(t, h.backupDir()), backupset.ManifestName(ripe))
	require.Contains(t, h.run("doctor").out, "target r2: WARNING")
}
