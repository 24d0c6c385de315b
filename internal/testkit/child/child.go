// Package child runs a server as a child process of a test.
package child

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/process"
)

// Start runs the command until the test ends. The kernel kills the child when the test process dies, however it dies. What the child
// prints goes to a file that is shown when the test fails.
func Start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "child.log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p, err := process.Start(cmd)
	require.NoError(t, err, "start %s", cmd.Path)
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.Ended
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s printed:\n%s", filepath.Base(cmd.Path), text[max(0, len(text)-4000):])
		}
	})
}

// The ports of FreePort: below those that the kernel gives to outgoing connections and to servers that name none, so that no such server takes
// one between the choice and its use.
const (
	lowestPort  = 10000
	highestPort = 14999
)

// FreePort is a TCP port of the loopback interface that nobody listens on, and that no other test gets while this one lasts, whatever process it
// runs in.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 10 * (highestPort - lowestPort) {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		reservation, err := net.Listen("unix", fmt.Sprintf("@canton-backup-test-port-%d", port)) // it ends with the process, and leaves no file
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			_ = reservation.Close()
			continue
		}
		require.NoError(t, l.Close())
		t.Cleanup(func() { _ = reservation.Close() })
		return port
	}
	require.Fail(t, "no port is free")
	return 0
}

// WaitPort waits until somebody listens on the port.
func WaitPort(t testing.TB, port int) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}, 20*time.Second, 20*time.Millisecond, "nobody listens on port %d", port)
}

// Find looks for a program in .tools/bin of the repository, then in PATH and the system folders. A missing program fails the test: a
// check that does not run proves nothing.
func Find(t testing.TB, program, howToGet string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..", "..")
	candidates := []string{filepath.Join(root, ".tools", "bin", program)}
	if found, err := exec.LookPath(program); err == nil {
		candidates = append(candidates, found)
	}
	for _, path := range append(candidates, "/usr/sbin/"+program) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	require.Fail(t, "program "+program+" is missing", "get it by: %s", howToGet)
	return ""
}
