package temporalserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

// childFolder makes this test binary run a server in the folder it names, until it is killed.
const childFolder = "TEMPORALSERVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		s, err := Start(context.Background(), Options{Dir: dir})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("address", s.Address())
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // ends with the parent, however that ends
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startChild runs a server in a process of its own and returns its address and a way to kill it.
func startChild(t *testing.T, dir string) (address string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := osexec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "address ")
	require.True(t, ok, line)
	return address, kill
}

func TestStart_afterKill(t *testing.T) {
	dir := t.TempDir()
	address, kill := startChild(t, dir)
	c := dial(t, address)
	work(t, c)
	runGreet(t, c, "before")
	const pause = 5 * time.Second
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "napping", TaskQueue: testQueue}, "Nap", pause)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the timer is in the history
		about, err := c.DescribeWorkflowExecution(t.Context(), "napping", run.GetRunID())
		return err == nil && about.GetWorkflowExecutionInfo().GetHistoryLength() >= 5
	}, pause, 10*time.Millisecond)

	t.Run("folder is held", func(t *testing.T) {
		_, err := Start(t.Context(), Options{Dir: dir})
		require.ErrorIs(t, err, ErrInUse)
	})
	about, err := c.DescribeWorkflowExecution(t.Context(), "napping", run.GetRunID())
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, about.GetWorkflowExecutionInfo().GetStatus())
	kill()

	began := time.Now()
	s := start(t, dir)
	t.Logf("up after %v", time.Since(began))
	require.Empty(t, s.Notices())
	c = dial(t, s.Address())
	work(t, c)
	var answer string
	require.NoError(t, c.GetWorkflow(t.Context(), "before", "").Get(t.Context(), &answer))
	require.NoError(t, c.GetWorkflow(t.Context(), "napping", "").Get(t.Context(), &answer))
	require.Equal(t, "slept", answer)
}
