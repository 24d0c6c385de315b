package temporalserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// folderLock keeps a second process from opening the same SQLite files: each would cache what the other changes. The
// kernel drops the lock when its process dies, however it dies.
type folderLock struct{ file *os.File }

// lockFolder takes the lock or returns an *InUseError.
func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = file.Close() }()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, holderOf(dir, file)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := writeHolder(file); err != nil {
		return nil, errors.Join(fmt.Errorf("write lock file: %w", err), file.Close())
	}
	return &folderLock{file: file}, nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holderOf(dir string, file *os.File) *InUseError {
	held := &InUseError{Dir: dir}
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 32))
	if err != nil {
		return held
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return held
	}
	held.PID = pid
	// The command line may hold what it should not; the program's name is enough to find it.
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		held.Process = strings.TrimSpace(string(name))
	}
	return held
}

// release leaves the file in place: removing it would let two processes lock two files of one name.
func (l *folderLock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release lock file: %w", err)
	}
	return nil
}
