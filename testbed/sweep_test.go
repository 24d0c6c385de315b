package testbed

import (
	"os/exec"
	"testing"

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

	require.NoError(t, maker.Process.Kill())
	_ = maker.Wait()
	mine, kept := volume("mine", self()), volume("kept", "")
	require.NoError(t, SweepDead(ctx))
	require.ElementsMatch(t, []string{mine, kept}, left())

	require.ErrorContains(t, clear(ctx, project), "kept node")
	require.Error(t, Sweep(ctx, ""), "an empty run would match nodes that carry none")
	require.NoError(t, Sweep(ctx, project))
	require.Empty(t, left())
}
