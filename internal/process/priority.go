package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// What LowPriority sets, see setpriority(2) and ioprio_set(2).
const (
	niceness      = 5
	ioprioProcess = 1         // IOPRIO_WHO_PROCESS
	ioprioLeast   = 2<<13 | 7 // best effort, last in line
)

// LowPriority lets everything else on the host go first, for processor and disk, from now on: the node's own work must not wait for its
// backup. It counts for this process and for the programs that it starts. Priorities are a thread's own on Linux, and a new thread has those of the
// one that made it, so every thread there is gets them.
func LowPriority() error {
	for range 2 { // a thread that was born in between has them from its maker or gets them now
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("lower priority: %w", err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("lower priority: %w", err)
			}
			err = unix.Setpriority(unix.PRIO_PROCESS, id, niceness)
			if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioProcess, uintptr(id), ioprioLeast); errno != 0 && errno != unix.ENOSYS {
				err = errors.Join(err, errno)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it ended since
				return fmt.Errorf("lower priority: %w", err)
			}
		}
	}
	return nil
}

// UseCores bounds the processor cores that this process keeps busy, from now on; 0 is all that there are, and in a container all that it may use.
func UseCores(cores int) {
	if cores == 0 {
		runtime.SetDefaultGOMAXPROCS()
		return
	}
	runtime.GOMAXPROCS(min(cores, runtime.NumCPU()))
}
