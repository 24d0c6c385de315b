package storetest

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const underWay = "under way\n"

// UnderWay is what TestPutUntilKilled calls once enough of its Put is done.
func UnderWay() { _, _ = os.Stdout.WriteString(underWay) }

// Kill runs the caller's TestPutUntilKilled in a process of its own, with those variables, and kills it with SIGKILL once its Put is under way.
// before runs while it gets there, and may be nil.
func Kill(t *testing.T, before func(), env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPutUntilKilled$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	if before != nil {
		before()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, underWay, line)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

// Damage alters one byte of a file of a hundred or more; its size stays.
func Damage(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, 77)
	require.NoError(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, 77)
	require.NoError(t, err)
}
