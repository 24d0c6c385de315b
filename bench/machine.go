package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/testbed"
)

// ticksPerSecond is the unit of the kernel's CPU counters in /proc, the same on every Linux that Go runs on.
const ticksPerSecond = 100

// cpu is processor time used.
type cpu struct {
	client    time.Duration // this process and the ones that it waited for
	container time.Duration // postgres
	machine   time.Duration // everything, the engine, the helper and strangers included
}

func (c cpu) since(before cpu) cpu {
	return cpu{c.client - before.client, c.container - before.container, c.machine - before.machine}
}

// meter reads processor time.
type meter struct {
	usage string        // file of the container's cgroup
	unit  time.Duration // of its number
}

func newMeter(ctx context.Context, container string) (*meter, error) {
	pid, err := output(ctx, exec.CommandContext(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", container))
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("find the container's cgroup: %w", err)
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[0] == "0" && fields[1] == "": // version 2
			if path := filepath.Join("/sys/fs/cgroup", fields[2], "cpu.stat"); readable(path) {
				return &meter{usage: path, unit: time.Microsecond}, nil
			}
		case strings.Contains(","+fields[1]+",", ",cpuacct,"):
			if path := filepath.Join("/sys/fs/cgroup/cpuacct", fields[2], "cpuacct.usage"); readable(path) {
				return &meter{usage: path, unit: time.Nanosecond}, nil
			}
		}
	}
	return nil, errors.New("find the container's cgroup: none counts processor time")
}

func readable(path string) bool {
	_, err := os.ReadFile(path)
	return err == nil
}

func (m *meter) read() (cpu, error) {
	var c cpu
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var use unix.Rusage
		if err := unix.Getrusage(who, &use); err != nil {
			return c, fmt.Errorf("read processor time: %w", err)
		}
		c.client += time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	text, err := os.ReadFile(m.usage)
	if err != nil {
		return c, fmt.Errorf("read processor time: %w", err)
	}
	// Version 2 writes "usage_usec N" first, version 1 the number alone.
	first, _, _ := strings.Cut(string(text), "\n")
	count, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(first), "usage_usec "), 10, 64)
	if err != nil {
		return c, fmt.Errorf("read processor time: %w", err)
	}
	c.container = time.Duration(count) * m.unit
	c.machine, err = machineTime()
	return c, err
}

// machineTime is the time that all processors worked since boot.
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var user, nice, system, idle, wait, irq, softirq int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(user+nice+system+irq+softirq) * time.Second / ticksPerSecond, nil
}

// load is the machine's load averages.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// printFacts says on what machine the figures were taken.
func printFacts(ctx context.Context, out io.Writer, r *rig) error {
	engine, err := r.engine.Ping(ctx)
	if err != nil {
		return err
	}
	postgres, err := r.node.SQL(ctx, "postgres", "SHOW server_version")
	if err != nil {
		return err
	}
	durable, err := r.node.SQL(ctx, "postgres", "SHOW fsync")
	if err != nil {
		return err
	}
	tool, err := output(ctx, exec.CommandContext(ctx, "gzip", "--version"))
	if err != nil {
		return err
	}
	tool, _, _ = strings.Cut(tool, "\n")
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("read kernel version: %w", err)
	}
	fmt.Fprintf(out, "%d cores, %s; Linux %s; Docker %s; PostgreSQL %s, fsync %s, container %s; %s; %s\nload at the start: %s\n\n", runtime.NumCPU(), processor(),
		unix.ByteSliceToString(name.Release[:]), engine, postgres, durable, r.node.Container(testbed.Postgres), tool, runtime.Version(), load())
	return nil
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
