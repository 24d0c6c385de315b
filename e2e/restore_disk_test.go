package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/activities"
	"canton-backup/testbed"
)

// A disk that cannot hold the old databases and the restored ones closes a gate. Who overrides that gate and fills the disk gets the old node back.
func TestRestore_DiskTooSmall(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Quiet: true, FillMB: 100})
	h := newHost(t, node)
	set := h.backup()
	shrink(t, node, 140)
	before, started := h.databases(t), h.startedAt(t)

	r := h.run("restore", string(set), "--yes", "--override", "pair")
	require.Equal(t, 1, r.code, r.talk)
	require.Contains(t, r.talk, "REFUSED disk")
	require.Equal(t, started, h.startedAt(t), "the node was not touched")

	r = h.run("restore", string(set), "--yes", "--override", "pair", "--override", "disk", "--json")
	require.Equal(t, 1, r.code, r.talk)
	require.Contains(t, r.talk, activities.InsufficientSpace, r.talk)
	require.Len(t, h.telegram.messages(), 1, "a refusal is read where it was asked for")
	require.Contains(t, h.telegram.messages()[0], "the node runs on its old data")
	h.servicesHealthy()
	require.Equal(t, before, h.databases(t), "the old databases are what they were")
	h.onlyLiveDatabases()
}

// shrink moves the volume's data to a disk of its own, on which mb MB are free.
func shrink(t *testing.T, n *testbed.Node, mb int) {
	t.Helper()
	run := func(ctx context.Context, script string) string {
		out, err := exec.CommandContext(ctx, "bash", "-euc", script).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	folder := run(t.Context(), "docker volume inspect --format '{{.Mountpoint}}' "+n.Volume())
	require.NoError(t, n.Stop(t.Context()))
	used := run(t.Context(), "du -sm "+folder+" | cut -f1")
	run(t.Context(), fmt.Sprintf("cp -a %[1]s %[1]s.full; mount -t tmpfs -o size=$((%[2]s + %[3]d))m none %[1]s", folder, used, mb))
	t.Cleanup(func() {
		run(context.Background(), fmt.Sprintf("docker rm -f %[2]s >/dev/null; umount %[1]s; rm -rf %[1]s.full", folder, n.Container(testbed.Postgres)))
	})
	run(t.Context(), fmt.Sprintf("chmod --reference=%[1]s.full %[1]s; chown --reference=%[1]s.full %[1]s; cp -a %[1]s.full/. %[1]s/", folder))
	require.NoError(t, n.Start(t.Context()))
}
