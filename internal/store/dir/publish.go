package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
)

// step is how much is copied between two looks at the context and two calls of progress.
const step = 1 << 20

// flushEvery is how much of a file goes to a foreign folder between two flushes.
const flushEvery = 32 << 20

// Put implements store.Store. An interrupted Put starts anew: local copies are fast.
func (s *Store) Put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	if err := s.put(ctx, name, file, progress); err != nil {
		return fmt.Errorf("put %q: %w", name, typed(err))
	}
	return nil
}

func (s *Store) put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	if progress == nil {
		progress = func(int64) {}
	}
	if err := errors.Join(ctx.Err(), store.CheckName(name)); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	switch err := s.holds(ctx, name, file); {
	case err == nil:
		progress(file.Size)
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	source, err := store.OpenSource(file)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	partial, err := s.createPartial(name)
	if err != nil {
		return err
	}
	defer os.Remove(partial.Name())
	defer partial.Close()

	if err := s.copyAll(ctx, partial, source, file.Size, progress); err != nil {
		return err
	}
	if err := source.Verify(); err != nil {
		return err
	}
	if err := s.readBack(ctx, partial, file); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.publish(ctx, partial.Name(), name, file); err != nil {
		return err
	}
	progress(file.Size)
	return nil
}

// Adopt publishes a file that already lies on the folder's filesystem, a sub folder say, under name, without copying it: the
// file is digested, flushed and renamed. Like Put it replaces nothing (ErrExists), returns ErrCorrupt when the file is
// not what File says, and may be repeated after a crash: when the file is gone and name holds its content, that is success.
// ErrNotFound when there is neither.
func (s *Store) Adopt(ctx context.Context, file store.File, name string) error {
	if err := s.adopt(ctx, file, name); err != nil {
		return fmt.Errorf("adopt %q: %w", name, typed(err))
	}
	return nil
}

func (s *Store) adopt(ctx context.Context, file store.File, name string) error {
	if err := errors.Join(ctx.Err(), store.CheckName(name)); err != nil {
		return err
	}
	switch err := s.holds(ctx, name, file); {
	case err == nil:
		if os.Remove(file.Path) == nil { // a crash between the two halves of a rename by link left it
			return syncFolder(filepath.Dir(file.Path))
		}
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	f, err := os.OpenFile(file.Path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: neither %s nor the object exists", store.ErrNotFound, file.Path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	if err := s.readBack(ctx, f, file); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.publish(ctx, file.Path, name, file); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file.Path))
}

// holds returns nil when the object has the file's content, ErrNotFound when there is none, else ErrExists.
func (s *Store) holds(ctx context.Context, name string, file store.File) error {
	info, err := os.Lstat(s.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return store.ErrNotFound
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != file.Size {
		return fmt.Errorf("%w: %s", store.ErrExists, s.Path(name))
	}
	f, err := os.Open(s.Path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	sum, size, err := store.Digest(ctx, s.watched(f))
	if err != nil {
		return err
	}
	if size != file.Size || sum != file.SHA256 {
		return fmt.Errorf("%w: %s has SHA-256 %s", store.ErrExists, s.Path(name), sum)
	}
	return nil
}

func (s *Store) copyAll(ctx context.Context, to *os.File, from io.Reader, size int64, progress func(int64)) error {
	limit := store.NewLimiter(s.cfg.Limit)
	buf := make([]byte, limit.Piece(step))
	unflushed := 0
	for done := int64(0); ; {
		n, err := io.ReadFull(from, buf)
		if err := limit.Wait(ctx, n); err != nil {
			return err
		}
		if _, werr := to.Write(buf[:n]); werr != nil {
			return werr
		}
		// What the kernel holds for a slow share could take it longer to flush at the end than a stall may last.
		if unflushed += n; s.foreign && unflushed >= flushEvery {
			unflushed = 0
			if ferr := s.flush(to); ferr != nil {
				return ferr
			}
		}
		s.moved()
		if done += int64(n); done < size {
			progress(done)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readBack flushes f, drops it from the page cache and compares what then comes from the disk with the file.
func (s *Store) readBack(ctx context.Context, f *os.File, file store.File) error {
	if err := s.flush(f); err != nil {
		return err
	}
	s.moved()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // advice: some filesystems do not know it
	sum, size, err := store.Digest(ctx, s.watched(io.NewSectionReader(f, 0, 1<<62)))
	if err != nil {
		return err
	}
	if size != file.Size || sum != file.SHA256 {
		return fmt.Errorf("%w: %s holds %d bytes with SHA-256 %s, expected were %d with %s",
			store.ErrCorrupt, f.Name(), size, sum, file.Size, file.SHA256)
	}
	return nil
}

// watched tells of all that is read.
func (s *Store) watched(r io.Reader) io.Reader { return &watchedReader{r, s.moved} }

type watchedReader struct {
	io.Reader
	moved func()
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.moved()
	return n, err
}

// publish gives the flushed file at path its final name, unless that name is taken: then it is success when it is the same
// content (path goes away), else ErrExists.
func (s *Store) publish(ctx context.Context, path, name string, file store.File) error {
	err := moveNoReplace(path, s.Path(name))
	if errors.Is(err, fs.ErrExist) {
		if err := s.holds(ctx, name, file); err != nil {
			return err
		}
		err = os.Remove(path)
	}
	if errors.Is(err, unix.EXDEV) {
		return fmt.Errorf("%w; the file must lie on the same filesystem as %s", err, s.cfg.Path)
	}
	if err != nil {
		return err
	}
	return syncFolder(s.cfg.Path)
}

// moveNoReplace renames from to to and returns fs.ErrExist when to exists. Filesystems without the flag (NFS, some FUSE) get
// a hard link, which replaces nothing either; those without links as well get a look before the rename.
func moveNoReplace(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	err = moveByLink(from, to)
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return moveByLook(from, to)
}

func moveByLink(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

func moveByLook(from, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fs.ErrExist, err)
	}
	return os.Rename(from, to)
}

// syncFolder makes renames and removals in the folder survive a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: a filesystem that cannot sync folders
		return err
	}
	return nil
}
