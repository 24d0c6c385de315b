package notify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/internal/deadline"
)

// Mark is when something was told last: the time of an empty file. Setting it needs no space, so that it outlives the process also on a disk
// that is full, where the ledger cannot be written. Where the folder is read-only, a file among the temporary ones stands in.
type Mark struct {
	files []string
	disk  *deadline.Guard
}

// Mark is the ledger's mark. It belongs to this user, as the ledger does.
func (l Ledger) Mark() Mark {
	sum := sha256.Sum256([]byte(l.File)) // one node may have several homes
	spare := fmt.Sprintf("canton-backup-%.64s-%x.mark", filepath.Base(l.File), sum[:8])
	return Mark{files: []string{l.File + ".mark", filepath.Join(os.TempDir(), spare)}, disk: &l.memory().disk}
}

// Prepare makes the file, while there is space for its name.
func (m Mark) Prepare() error {
	return m.bounded(func() error { return eachUntil(m.files, func(path string) error { return touch(path, nil) }) })
}

// Set says that something was told at that time.
func (m Mark) Set(at time.Time) error {
	return m.bounded(func() error { return eachUntil(m.files, func(path string) error { return touch(path, &at) }) })
}

// At is when something was told last; zero when that is not known.
func (m Mark) At() time.Time {
	var last time.Time
	hung := m.disk.Do(diskLimit, func() {
		for _, path := range m.files {
			if f, err := openMark(path, false); err == nil {
				if info, err := f.Stat(); err == nil && info.ModTime().After(last) {
					last = info.ModTime()
				}
				_ = f.Close() // nothing was written
			}
		}
	})
	if hung != nil {
		return time.Time{}
	}
	return last
}

func (m Mark) bounded(f func() error) error {
	var err error
	if m.disk.Do(diskLimit, func() { err = f() }) != nil {
		return errDisk
	}
	return err
}

// eachUntil stops at the first file with which it works.
func eachUntil(files []string, do func(path string) error) error {
	var errs []error
	for _, path := range files {
		err := do(path)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("mark when it was told: %w", errors.Join(errs...))
}

// touch makes the file when it is not there, and sets its time when one is given.
func touch(path string, at *time.Time) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := openMark(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	if at == nil {
		return nil
	}
	return setTime(f, *at)
}

// openMark opens a mark of ours, and follows no link: among the temporary files, others may have put one there. A new one is as old as can be.
func openMark(path string, create bool) (*os.File, error) {
	if create {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			if err := setTime(f, time.Unix(0, 0)); err != nil {
				return nil, errors.Join(err, f.Close(), os.Remove(path))
			}
			return f, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if owner, known := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || !known || int(owner.Uid) != os.Geteuid() {
			err = fmt.Errorf("%s is no file of ours", path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func setTime(f *os.File, at time.Time) error {
	stamp := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), []unix.Timespec{stamp, stamp}, 0)
}
