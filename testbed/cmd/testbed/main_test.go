package main

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

// TestRun walks a node through its life, as the Makefile and people do.
func TestRun(t *testing.T) {
	const project = "testbed-command"
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "home")
	// A kept node has no owner to die: what a killed run of this test left goes here.
	leftover := &testbed.Node{Options: testbed.Options{Project: project}}
	require.NoError(t, leftover.Down(ctx))
	t.Cleanup(func() { require.NoError(t, leftover.Down(context.WithoutCancel(ctx))) })

	say := func(args ...string) string {
		var out bytes.Buffer
		require.NoError(t, run(ctx, append(args, "-dir", dir), &out))
		return out.String()
	}
	require.Contains(t, say("up", "-project", project, "-no-sync", "-flavour", "legacy"), "validator, participant-1")
	n, err := testbed.Load(dir)
	require.NoError(t, err)
	id, err := n.ParticipantID(ctx)
	require.NoError(t, err)

	_, err = testbed.Up(ctx, testbed.Options{Dir: t.TempDir(), Project: project})
	require.ErrorContains(t, err, "kept node", "nobody replaces it by accident")
	require.NoError(t, n.Stop(ctx))
	require.Contains(t, say("up", "-project", project), id, "a second up starts the node that is there")
	say("fill", "-mb", "2")
	require.Contains(t, say("status"), "ledger end")
	say("down")
	require.False(t, n.Exists(ctx))
	require.Error(t, run(ctx, []string{"explode"}, &bytes.Buffer{}))
}
