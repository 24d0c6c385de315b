package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// Source is a File opened for sending. It digests what is read from it and notices when the file is not, or is no longer,
// the one that was announced.
type Source struct {
	file   File
	f      *os.File
	before os.FileInfo
	digest hash.Hash
	read   int64
}

// OpenSource opens the file. A size other than announced is ErrCorrupt.
func OpenSource(file File) (*Source, error) {
	if raw, err := hex.DecodeString(file.SHA256); err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("open source %s: %q is no SHA-256 in hex", file.Path, file.SHA256)
	}
	f, err := os.Open(file.Path)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", file.Path)
	}
	if err == nil && info.Size() != file.Size {
		err = fmt.Errorf("%w: %s has %d bytes, %d were announced", ErrCorrupt, file.Path, info.Size(), file.Size)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open source: %w", err)
	}
	return &Source{file: file, f: f, before: info, digest: sha256.New()}, nil
}

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	n, err := s.f.Read(p)
	s.digest.Write(p[:n])
	s.read += int64(n)
	return n, err
}

// Section reads a piece of the file, for sending what Read has digested. It may be used beside Read.
func (s *Source) Section(offset, length int64) *io.SectionReader {
	return io.NewSectionReader(s.f, offset, length)
}

// Unchanged returns ErrCorrupt when the file was written to, replaced or removed since it was opened.
func (s *Source) Unchanged() error {
	for _, stat := range []func() (os.FileInfo, error){s.f.Stat, func() (os.FileInfo, error) { return os.Stat(s.file.Path) }} {
		now, err := stat()
		if err != nil {
			return fmt.Errorf("check source: %w: %w", ErrCorrupt, err)
		}
		if !os.SameFile(now, s.before) || now.Size() != s.before.Size() || !now.ModTime().Equal(s.before.ModTime()) {
			return fmt.Errorf("check source: %w: %s changed while it was stored", ErrCorrupt, s.file.Path)
		}
	}
	return nil
}

// Verify returns ErrCorrupt unless everything that was read from the source is the announced content and the file is unchanged.
func (s *Source) Verify() error {
	if got := hex.EncodeToString(s.digest.Sum(nil)); s.read != s.file.Size || got != s.file.SHA256 {
		return fmt.Errorf("check source: %w: read %d bytes with SHA-256 %s from %s, announced were %d with %s",
			ErrCorrupt, s.read, got, s.file.Path, s.file.Size, s.file.SHA256)
	}
	return s.Unchanged()
}

// Close closes the file.
func (s *Source) Close() error { return s.f.Close() }

// Digest reads r to its end and returns the SHA-256 in hex and the number of bytes. It stops when the context ends.
func Digest(ctx context.Context, r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}), make([]byte, 1<<18))
	return hex.EncodeToString(h.Sum(nil)), n, err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
