package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// workplace is the folder of the one benchmark that may run at a time; a second one would spoil both.
type workplace struct {
	dir  string
	lock *os.File
}

// openWorkplace empties the folder of what a killed run left.
func openWorkplace(dir string) (*workplace, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open workplace: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open workplace: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open workplace: another benchmark runs in %s: %w", dir, err), lock.Close())
	}
	w := &workplace{dir: filepath.Join(dir, "run"), lock: lock}
	if err := errors.Join(os.RemoveAll(w.dir), os.MkdirAll(w.dir, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("open workplace: %w", err), lock.Close())
	}
	return w, nil
}

func (w *workplace) close() error { return errors.Join(os.RemoveAll(w.dir), w.lock.Close()) }

// emptied makes a folder, or removes what is in it: the folder itself may be mounted somewhere.
func emptied(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("empty folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("empty folder: %w", err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("empty folder: %w", err)
		}
	}
	return nil
}

// size is the sum of all files below a folder, hidden ones of the top left out: servers keep their own work there.
func size(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if filepath.Dir(path) == dir && strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		sum += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("add up files: %w", err)
	}
	return sum, nil
}
