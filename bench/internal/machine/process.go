package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of the kernel's CPU counters in /proc, the same on every Linux that Go runs on.
const ticksPerSecond = 100

// process is a line of /proc/<pid>/stat.
type process struct {
	name   string
	parent int
	time   time.Duration // user and system, of its own
}

func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, fmt.Errorf("read process: %w", err)
	}
	// The name stands in brackets and may hold both blanks and brackets.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, errors.New("read process: no name")
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 13 {
		return process{}, errors.New("read process: too few fields")
	}
	parent, err1 := strconv.Atoi(fields[1])
	user, err2 := strconv.ParseInt(fields[11], 10, 64)
	system, err3 := strconv.ParseInt(fields[12], 10, 64)
	return process{string(text[open+1 : end]), parent, time.Duration(user+system) * time.Second / ticksPerSecond}, errors.Join(err1, err2, err3)
}

// Time is the processor time that a running process used so far.
func Time(pid int) (time.Duration, error) {
	p, err := readProcess(pid)
	return p.time, err
}

// ChildrenTime is what the processes used that this one waited for.
func ChildrenTime() (time.Duration, error) { return rusage(unix.RUSAGE_CHILDREN) }

func rusage(who int) (time.Duration, error) {
	var use unix.Rusage
	if err := unix.Getrusage(who, &use); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()), nil
}

// BusyTime is what all processors worked since boot, for all but this process, which only watches.
func BusyTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var user, nice, system, idle, wait, irq, softirq int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	own, err := rusage(unix.RUSAGE_SELF)
	return time.Duration(user+nice+system+irq+softirq)*time.Second/ticksPerSecond - own, err
}

// Memory is what the kernel says of a process, in bytes.
type Memory struct {
	Peak     int64 // most that was resident since it began or ResetPeak
	Resident int64
}

// MemoryOf reads /proc. Not rusage: its peak counts what the parent held when it made the child.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	var m Memory
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		field, known := map[string]*int64{"VmHWM": &m.Peak, "VmRSS": &m.Resident}[key]
		if !known {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("read memory: %w", err)
		}
		*field = kib << 10
	}
	if m.Peak == 0 {
		return Memory{}, errors.New("read memory: the process has none, it is ending")
	}
	return m, nil
}

// ResetPeak makes Memory.Peak begin anew.
func ResetPeak(pid int) error {
	if err := os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak of memory: %w", err)
	}
	return nil
}

// resident is the memory of a process now, none when it has ended.
func resident(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
