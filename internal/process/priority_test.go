package process_test

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/process"
)

// In a process of its own, since a priority cannot be raised again by just anybody.
func TestLowPriority(t *testing.T) {
	if os.Getenv("LOW_PRIORITY_CHILD") != "" {
		require.NoError(t, process.LowPriority())
		done := make(chan []byte)
		go func() { // of whatever thread
			out, err := exec.Command("sh", "-c", "nice; ionice").Output()
			require.NoError(t, err)
			done <- out
		}()
		_, err := os.Stdout.Write(append([]byte("PRIORITY "), bytes.ReplaceAll(<-done, []byte("\n"), []byte(" "))...))
		require.NoError(t, err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLowPriority$", "-test.v")
	cmd.Env = append(os.Environ(), "LOW_PRIORITY_CHILD=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.True(t, strings.Contains(string(out), "PRIORITY 5 best-effort: prio 7"), string(out))
}

func TestUseCores(t *testing.T) {
	defer process.UseCores(0)
	all := runtime.GOMAXPROCS(0)
	process.UseCores(1)
	require.Equal(t, 1, runtime.GOMAXPROCS(0))
	process.UseCores(10000)
	require.Equal(t, runtime.NumCPU(), runtime.GOMAXPROCS(0), "no more than there are")
	process.UseCores(0)
	require.Equal(t, all, runtime.GOMAXPROCS(0))
}
