package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// counting is the control group of a test: two containers, with the process lists that are given.
func counting(t *testing.T, own, other string) *Group {
	t.Helper()
	dir := t.TempDir()
	for name, list := range map[string]string{"own": own, "other": other} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "cgroup.procs"), []byte(list), 0o600))
	}
	return &Group{folder: filepath.Join(dir, "own"), usage: "usage", unit: time.Microsecond}
}

func TestGroup_Time(t *testing.T) {
	g := counting(t, "", "")
	for text, want := range map[string]time.Duration{"usage_usec 1500\nuser_usec 3\n": 1500 * time.Microsecond, "2000\n": 2 * time.Millisecond} {
		require.NoError(t, os.WriteFile(filepath.Join(g.folder, "usage"), []byte(text), 0o600))
		got, err := g.Time()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, os.WriteFile(filepath.Join(g.folder, "usage"), []byte("nr_periods 4\n"), 0o600))
	_, err := g.Time()
	require.Error(t, err)
}

func TestGroups(t *testing.T) {
	second := Group{folder: "/sys/fs/cgroup/docker/1a", usage: "cpu.stat", unit: time.Microsecond}
	first := Group{folder: "/sys/fs/cgroup/cpuacct/docker/1a", usage: "cpuacct.usage", unit: time.Nanosecond}
	for text, want := range map[string][]*Group{
		"0::/docker/1a\n": {&second},
		"12:memory:/docker/1a\n3:cpu,cpuacct:/docker/1a\n0::/\nodd\n": {&first, {folder: "/sys/fs/cgroup", usage: "cpu.stat", unit: time.Microsecond}},
		"5:cpu:/docker/1a\n": nil,
	} {
		require.Equal(t, want, groups(text))
	}
}

func TestGroup_Neighbours(t *testing.T) {
	var found []int
	for _, list := range counting(t, "1\n2\n", "3\n").neighbours() {
		found = append(found, processes(list)...)
	}
	require.ElementsMatch(t, []int{1, 2, 3}, found)
	require.Empty(t, processes(filepath.Join(t.TempDir(), "gone")))
}

// idle is a process that waits for its input, with a child that does too.
func idle(t *testing.T) (pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", "echo on; cat; true")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestDescendants(t *testing.T) {
	pid := idle(t)
	require.Eventually(t, func() bool { return len(descendants(pid, nil)) == 1 }, 10*time.Second, time.Millisecond, "bash has made cat")
	require.Contains(t, descendants(os.Getpid(), nil), pid)
	require.Subset(t, descendants(os.Getpid(), nil), descendants(pid, nil), "of the second generation, too")
	require.Empty(t, descendants(os.Getpid(), []int{os.Getpid()}))
	left := descendants(os.Getpid(), []int{pid})
	require.NotContains(t, left, pid)
	require.NotContains(t, left, descendants(pid, nil)[0], "what descends from an excepted one is excepted")
}

// A process in a container counts unless it was there before, or is one of the server's.
func TestWatch(t *testing.T) {
	g := counting(t, "", "")
	watch := Start(g, os.Getpid())
	without := watch.Stop()
	pid := idle(t)
	memory, err := MemoryOf(pid)
	require.NoError(t, err)
	with := Start(g).Stop()
	require.GreaterOrEqual(t, with-without, memory.Resident/2, "a descendant counts")

	w := &Watch{group: counting(t, strconv.Itoa(pid)+"\n", ""), before: map[int]bool{}}
	require.Equal(t, []int{pid}, w.contained())
	w.before[pid] = true
	require.Empty(t, w.contained())
}

func TestMemory(t *testing.T) {
	own, err := MemoryOf(os.Getpid())
	require.NoError(t, err)
	require.GreaterOrEqual(t, own.Peak, own.Resident)
	require.Positive(t, own.Resident)
	require.Positive(t, resident(os.Getpid()))
	_, err = MemoryOf(0)
	require.Error(t, err)
	require.Zero(t, resident(0))
}

func TestResetPeak(t *testing.T) {
	const much = 200 << 20
	pid := os.Getpid()
	memory, err := unix.Mmap(-1, 0, much, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
	require.NoError(t, err)
	require.NoError(t, unix.Munmap(memory))
	before, err := MemoryOf(pid)
	require.NoError(t, err)
	require.Greater(t, before.Peak, int64(much))
	require.NoError(t, ResetPeak(pid))
	after, err := MemoryOf(pid)
	require.NoError(t, err)
	require.Less(t, after.Peak, before.Peak-much/2)
	require.Error(t, ResetPeak(0))
}

func TestTimes(t *testing.T) {
	require.NoError(t, exec.CommandContext(t.Context(), "bash", "-c", "for ((i = 0; i < 20000; i++)); do :; done").Run())
	for name, read := range map[string]func() (time.Duration, error){"busy": BusyTime, "children": ChildrenTime} {
		got, err := read()
		require.NoError(t, err, name)
		require.Positive(t, got, name)
	}
	_, err := Time(os.Getpid())
	require.NoError(t, err)
	_, err = Time(0)
	require.Error(t, err)
}
