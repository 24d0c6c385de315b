package process_test

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/process"
)

// Threads come and go in the parent; the program stays.
func TestStart_OutlivesThreads(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	p, err := process.Start(cmd)
	require.NoError(t, err)

	var threads sync.WaitGroup
	for range 100 {
		threads.Go(func() { // a goroutine that returns locked takes its thread with it
			runtime.LockOSThread()
			require.NoError(t, process.Run(exec.Command("true")))
		})
	}
	threads.Wait()
	select {
	case <-p.Ended:
		require.Fail(t, "the program ended", "%v", p.Wait())
	default:
	}
	require.NoError(t, cmd.Process.Kill())
	require.ErrorContains(t, p.Wait(), "killed")
}

// The kernel ends the program when we are killed.
func TestStart_DiesWithUs(t *testing.T) {
	if os.Getenv("PROCESS_TEST_PARENT") != "" {
		cmd := exec.Command("sleep", "1000")
		_, err := process.Start(cmd)
		require.NoError(t, err)
		println("pid=" + strconv.Itoa(cmd.Process.Pid))
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run", t.Name())
	parent.Env = append(os.Environ(), "PROCESS_TEST_PARENT=1")
	talk, err := parent.StderrPipe()
	require.NoError(t, err)
	_, err = process.Start(parent)
	require.NoError(t, err)
	line := make([]byte, 64)
	n, err := talk.Read(line)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "pid=")))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0))
	require.NoError(t, parent.Process.Kill())
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) }, 10*time.Second, 10*time.Millisecond)
}

// zombie: where nothing reaps orphans, as in a container whose first process is not an init, the dead stay listed.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestStart_MissingProgram(t *testing.T) {
	_, err := process.Start(exec.Command("/nowhere/program"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
