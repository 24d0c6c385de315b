// Package dir keeps backup sets in a folder of this host: the local copies, or a mounted disk or share.
//
// Files are 0600, the folder 0700. A file is written under a partial name of its own, flushed, read back from the disk and
// only then given its final name, by a rename that cannot replace another file.
package dir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
)

// Config names the folder.
type Config struct {
	Path  string // absolute; created with its parents when absent
	Owner string // node's name; marks partial files, so that Sweep spares those of others
	Limit int64  // bytes a second that are written; 0 is no limit

	StallAfter time.Duration // of a Foreign folder: nothing moved for so long is ErrStalled; 0 is DefaultStallAfter
}

// DefaultStallAfter is long enough for a share that is merely busy.
const DefaultStallAfter = 2 * time.Minute

// Store is a folder.
type Store struct {
	cfg     Config
	foreign bool // see Foreign
	// files that name the mount points there should be, and those there are
	fstab, mounts string

	moved func()               // called whenever something moved
	flush func(*os.File) error // to the disk
}

var _ store.Store = (*Store)(nil)

// New checks the settings. It touches nothing.
func New(cfg Config) (*Store, error) {
	var errs []error
	if !filepath.IsAbs(cfg.Path) {
		errs = append(errs, fmt.Errorf("path %q is not absolute", cfg.Path))
	}
	errs = append(errs, store.CheckOwner(cfg.Owner))
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("open dir store: %w", err)
	}
	cfg.Path = filepath.Clean(cfg.Path)
	return &Store{cfg: cfg, fstab: "/etc/fstab", mounts: "/proc/self/mounts", moved: func() {}, flush: (*os.File).Sync}, nil
}

// Kind implements store.Store.
func (s *Store) Kind() string { return "dir" }

// Location implements store.Store.
func (s *Store) Location() string { return s.cfg.Path }

// Path is where the object of that name lies, or would lie.
func (s *Store) Path(name string) string { return filepath.Join(s.cfg.Path, name) }

// Space is the number of bytes that this user can still write to the folder's filesystem, and the filesystem's size. The folder
// need not exist yet.
func (s *Store) Space(ctx context.Context) (free, total int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	at := s.cfg.Path
	for {
		var st unix.Statfs_t
		err := unix.Statfs(at, &st)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			at = filepath.Dir(at)
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("measure free space of %s: %w", at, typed(err))
		}
		return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
	}
}

// Check implements store.Store. It creates the folder when absent, unless it is on a foreign disk.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("check folder %s: %w", s.cfg.Path, typed(err))
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	if _, err := os.ReadDir(s.cfg.Path); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := s.createPartial("check")
	if err != nil {
		return err
	}
	_, err = f.WriteString("check\n")
	return errors.Join(err, s.flush(f), f.Close(), os.Remove(f.Name()))
}

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	f, err := s.open(ctx, name, offset)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, typed(err))
	}
	return f, nil
}

func (s *Store) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), store.CheckName(name)); err != nil {
		return nil, err
	}
	// Only regular files are objects: no link is followed, and a pipe does not block.
	if err := s.reach(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.Path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = store.ErrNotFound
	case offset < 0 || offset > info.Size():
		err = fmt.Errorf("offset %d lies outside of %d bytes", offset, info.Size())
	default:
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &reader{ctx: ctx, f: f, left: info.Size() - offset}, nil
}

// reader gives up with its context, and does not take a file that was cut meanwhile for a complete one.
type reader struct {
	ctx  context.Context
	f    *os.File
	left int64
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.f.Read(p)
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// List implements store.Store. A folder that does not exist yet holds nothing.
func (s *Store) List(ctx context.Context) ([]store.Object, error) {
	var objects []store.Object
	err := s.each(ctx, func(name string, size int64) {
		if name[0] != '.' {
			objects = append(objects, store.Object{Name: name, Size: size})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.cfg.Path, typed(err))
	}
	return objects, nil
}

// each visits the regular files in the order of their names.
func (s *Store) each(ctx context.Context, visit func(name string, size int64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.reach(); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.moved()
		if err := ctx.Err(); err != nil {
			return err
		}
		visit(entry.Name(), info.Size())
	}
	return ctx.Err()
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), store.CheckName(name)); err != nil {
		return fmt.Errorf("delete %q: %w", name, err)
	}
	if err := s.reach(); err != nil {
		return fmt.Errorf("delete %q: %w", name, typed(err))
	}
	if err := ctx.Err(); err != nil { // reaching it may have taken as long as the share was dead
		return fmt.Errorf("delete %q: %w", name, err)
	}
	return s.remove(name)
}

func (s *Store) remove(name string) error {
	err := os.Remove(s.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncFolder(s.cfg.Path)
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", name, typed(err))
	}
	return nil
}

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context) ([]string, error) {
	var found, removed []string
	err := s.each(ctx, func(name string, _ int64) {
		if store.IsPartialOf(s.cfg.Owner, name) {
			found = append(found, name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("sweep %s: %w", s.cfg.Path, typed(err))
	}
	for _, name := range found {
		if err := errors.Join(ctx.Err(), s.remove(name)); err != nil {
			return removed, fmt.Errorf("sweep %s: %w", s.cfg.Path, err)
		}
		s.moved()
		removed = append(removed, name)
	}
	return removed, nil
}

// createPartial makes an empty file that only this attempt writes to: an attempt that lost its worker may still run beside
// its successor.
func (s *Store) createPartial(name string) (*os.File, error) {
	tag := make([]byte, 6)
	if _, err := rand.Read(tag); err != nil {
		return nil, err
	}
	return os.OpenFile(s.Path(store.PartialName(s.cfg.Owner, hex.EncodeToString(tag), name)),
		os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// typed adds the store's word for the system's error.
func typed(err error) error {
	switch {
	case errors.Is(err, unix.ESTALE), errors.Is(err, unix.EHOSTDOWN), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOTCONN):
		return fmt.Errorf("%w: %w; mount the disk or share again", store.ErrNoBucket, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w; free space there or point the setting elsewhere", store.ErrFull, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: %w; the folder must belong to the user that runs the worker", store.ErrDenied, err)
	}
	return err
}
