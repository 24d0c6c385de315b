package e2e_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// One of two targets is down for two runs: each run is good, ends with exit code 3 and alerts, and the first run that finds the target up
// again brings it what it missed.
func TestBackup_TargetCatchesUp(t *testing.T) {
	h := newHost(t, sharedNode)
	h.s3()
	h.rsync()
	key := h.settings["SSH_KEY"]
	data, err := os.ReadFile(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(key, []byte("no key\n"), 0o600))
	for i := range 2 {
		r := h.run("backup")
		require.Equal(t, 3, r.code, r.talk)
		require.Len(t, h.telegram.messages(), i+1)
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
