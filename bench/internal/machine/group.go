// Package machine reads what programs cost: processor time, memory, and on what machine.
package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Group is the control group of a container.
type Group struct {
	folder string
	usage  string        // file with the processor time
	unit   time.Duration // of its number
}

// GroupOf finds the control group of a running container, in either version of the kernel's interface.
func GroupOf(ctx context.Context, container string) (*Group, error) {
	said, err := exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", container).Output()
	if err != nil {
		return nil, fmt.Errorf("find control group of %s: %w", container, err)
	}
	text, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(said)), "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("find control group of %s: %w", container, err)
	}
	for _, g := range groups(string(text)) {
		if _, err := g.Time(); err == nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("find control group of %s: none counts processor time", container)
}

// groups are those of /proc/<pid>/cgroup that may count processor time.
func groups(text string) []*Group {
	var found []*Group
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[0] == "0" && fields[1] == "": // version 2
			found = append(found, &Group{folder: filepath.Join("/sys/fs/cgroup", fields[2]), usage: "cpu.stat", unit: time.Microsecond})
		case strings.Contains(","+fields[1]+",", ",cpuacct,"):
			found = append(found, &Group{folder: filepath.Join("/sys/fs/cgroup/cpuacct", fields[2]), usage: "cpuacct.usage", unit: time.Nanosecond})
		}
	}
	return found
}

// Time is the processor time that was used in the group so far.
func (g *Group) Time() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(g.folder, g.usage))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	// Version 2 writes "usage_usec N" first, version 1 the number alone.
	first, _, _ := strings.Cut(string(text), "\n")
	count, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(first), "usage_usec "), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(count) * g.unit, nil
}

// neighbours are the process lists of all containers of the engine, this one included.
func (g *Group) neighbours() []string {
	lists, _ := filepath.Glob(filepath.Join(filepath.Dir(g.folder), "*", "cgroup.procs")) // the pattern is ours
	return lists
}

// processes reads a process list. A group that has gone has none.
func processes(list string) []int {
	text, err := os.ReadFile(list)
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
