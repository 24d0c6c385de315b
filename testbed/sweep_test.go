package testbed

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSweepDead removes what a dead process made, and nothing else.
func TestSweepDead(t *testing.T) {
	ctx := t.Context()
	maker := exec.Command("sleep", "600")
	require.NoError(t, maker.Start())
	dead := owner(maker.Process.Pid)
	require.NotEmpty(t, dead)
	project := "sweep-" + randomHex(4)
	volume := func(name, owner string) string {
		_, err := docker(ctx, "volume", "create", "--label", projectLabel+project, "--label", runLabel+project, "--label", ownerLabel+owner, project+name)
		require.NoError(t, err)
		return project + name
	}
	t.Cleanup(func() {
		_ = exec.Command("docker", "volume", "rm", "-f", project+"dead", project+"mine", project+"kept").Run()
	})
	left := func() []string {
		out, err := docker(ctx, "volume", "ls", "--quiet", "--filter", "label="+runLabel+project)
		require.NoError(t, err)
		return lines(out)
	}

	ofDead := volume("dead", dead)
	require.NoError(t, SweepDead(ctx))
	require.Equal(t, []string{ofDead}, left(), "its maker still runs")
	require.ErrorContains(t, clear(ctx, project), "belongs to the running process")

	// Not waited for: a zombie's node is a dead one's.
	require.NoError(t, maker.Process.Kill())
	t.Cleanup(func() { _ = maker.Wait() })
	require.Eventually(t, func() bool { return !alive(dead) }, 5*time.Second, 10*time.Millisecond)
	mine, kept := volume("mine", self()), volume("kept", "")
	require.NoError(t, SweepDead(ctx))
	require.ElementsMatch(t, []string{mine, kept}, left())

	require.ErrorContains(t, clear(ctx, project), "kept node")
	require.Error(t, Sweep(ctx, ""), "an empty run would match nodes that carry none")
	require.NoError(t, Sweep(ctx, project))
	require.Empty(t, left())
}
