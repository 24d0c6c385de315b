// Package seal turns a text (a dump's SQL, the identities' JSON) into the file that is kept, and back: compression, encryption and digests in
// one pass, in bounded memory, never with the text itself on a disk.
package seal

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"canton-backup/internal/backupset"
	"canton-backup/internal/encryption"
)

// Result says what was written.
type Result struct {
	Size        int64  // bytes of the file
	SHA256      string // of the file, lower-case hex
	PlainSize   int64  // bytes of the text
	PlainSHA256 string // of the text
	ZstdLevel   int    // that most of it was packed with, 0 for another codec
}

// Form is how a text is kept.
type Form struct {
	Codec  backupset.Codec        // empty: not compressed
	Levels backupset.Levels       // of zstd
	To     *encryption.Recipients // nil: not encrypted
	Watch  io.Writer              // sees the text as it passes, and must not fail; nil: nobody does
}

// Writer compresses and encrypts text into a file. It is not safe for concurrent use, except for the counters.
type Writer struct {
	file   *os.File
	stored *digest
	cipher io.WriteCloser
	codec  io.WriteCloser
	plain  *digest // of the text, and then to whoever watches
}

// Create makes the file (0600, it must not exist) and starts a stream into it.
func Create(path string, form Form) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create dump file: %w", err)
	}
	w := &Writer{file: file, stored: newDigest(file)}
	w.cipher = nopCloser{w.stored}
	if form.To != nil {
		if w.cipher, err = form.To.Encrypt(w.stored); err != nil {
			return nil, errors.Join(fmt.Errorf("create dump file: %w", err), w.Abort())
		}
	}
	if w.codec, err = compressor(w.cipher, form); err != nil {
		return nil, errors.Join(fmt.Errorf("create dump file: %w", err), w.Abort())
	}
	w.plain = newDigest(cmp.Or[io.Writer](form.Watch, io.Discard))
	return w, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Write takes the next piece of text.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.codec.Write(p)
	return n, errors.Join(err, w.saw(p[:n]))
}

// ReadFrom takes all text of r, as io.Copy asks for it. The text is read to where it is compressed.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	blocks, ok := w.codec.(interface {
		room() []byte
		filled(n int) error
	})
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	for read := int64(0); ; {
		text := blocks.room()
		n, err := r.Read(text)
		read += int64(n)
		if n > 0 { // the block may be gone to be compressed as soon as it is full
			if err := errors.Join(w.saw(text[:n]), blocks.filled(n)); err != nil {
				return read, err
			}
		}
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

func (w *Writer) saw(text []byte) error {
	_, err := w.plain.Write(text)
	return err
}

// Plain returns the bytes of text taken so far. It may be called while Write runs.
func (w *Writer) Plain() int64 { return w.plain.count.Load() }

// Close completes the file and puts it on the disk. After an error the file is gone.
func (w *Writer) Close() (Result, error) {
	err := w.codec.Close()
	if err == nil {
		err = w.cipher.Close()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return Result{}, errors.Join(fmt.Errorf("write dump file: %w", err), w.Abort())
	}
	if err := w.file.Close(); err != nil {
		return Result{}, errors.Join(fmt.Errorf("write dump file: %w", err), os.Remove(w.file.Name()))
	}
	r := Result{Size: w.stored.count.Load(), SHA256: w.stored.sum(), PlainSize: w.plain.count.Load(), PlainSHA256: w.plain.sum()}
	if z, ok := w.codec.(*zstdWriter); ok {
		r.ZstdLevel = z.dial.most()
	}
	return r, nil
}

// Abort gives the file up and removes it.
func (w *Writer) Abort() error {
	if w.codec != nil {
		_ = w.codec.Close() // ends the compressor's goroutines; its output is thrown away
	}
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}

// mostWorkers pack as much, at the highest level, as a server sends. More would take memory and wait.
const mostWorkers = 8

func compressor(w io.Writer, form Form) (io.WriteCloser, error) {
	workers := min(runtime.GOMAXPROCS(0), mostWorkers)
	switch form.Codec {
	case "":
		return nopCloser{w}, nil
	case backupset.Gzip:
		return newGzipWriter(w, workers), nil
	case backupset.Zstd:
		z, err := newZstdWriter(w, workers, form.Levels)
		if err != nil {
			return nil, err // not z: a nil in an interface is none
		}
		return z, nil
	default:
		return nil, fmt.Errorf("codec %q is unknown", form.Codec)
	}
}

// ErrDiffers: a file does not hold what its manifest says.
var ErrDiffers = errors.New("content differs from the manifest")

// Verify reads a stored file from r to its end, decodes it, and compares sizes and digests of both forms with the manifest's.
func Verify(ctx context.Context, r io.Reader, want backupset.Component, key *encryption.Key) error {
	stored := newDigest(io.Discard)
	tee := io.TeeReader(r, stored)
	decoded, err := Decode(ctx, tee, want, key)
	if err != nil {
		// A rotten header looks like one for another key: the digest of the whole tells. Where there is no key at all, nothing was read.
		if !errors.Is(err, encryption.ErrNoKey) {
			if _, drainErr := io.Copy(io.Discard, tee); drainErr != nil {
				return fmt.Errorf("verify %s: %w", want.File, drainErr)
			}
			if differs := stored.isStored(want); differs != nil {
				return fmt.Errorf("%w; it reads as: %v", differs, err)
			}
		}
		return fmt.Errorf("verify %s: %w", want.File, err)
	}
	defer decoded.Close()
	plain := newDigest(io.Discard)
	if _, err := io.Copy(plain, decoded); err != nil {
		return fmt.Errorf("verify %s: %w: %w", want.File, ErrDiffers, err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what stands behind the compressed stream counts too
		return fmt.Errorf("verify %s: %w", want.File, err)
	}
	if err := stored.isStored(want); err != nil {
		return err
	}
	if plain.count.Load() != want.PlainSize || plain.sum() != want.PlainSHA256 {
		return fmt.Errorf("verify %s: %w: decoded text has %d bytes, the manifest says %d", want.File, ErrDiffers, plain.count.Load(), want.PlainSize)
	}
	return nil
}

// VerifyStored is Verify without a look inside: of an encrypted file it proves that it is the one that was made, which is all that can be
// proven where the private key is not.
func VerifyStored(r io.Reader, want backupset.Component) error {
	stored := newDigest(io.Discard)
	if _, err := io.Copy(stored, r); err != nil {
		return fmt.Errorf("verify %s: %w", want.File, err)
	}
	return stored.isStored(want)
}

func (d *digest) isStored(want backupset.Component) error {
	if d.count.Load() != want.Size || d.sum() != want.SHA256 {
		return fmt.Errorf("verify %s: %w: %d bytes, sha256 %s; the manifest says %d, %s", want.File, ErrDiffers, d.count.Load(), d.sum(), want.Size, want.SHA256)
	}
	return nil
}

func decompressor(r io.Reader, codec backupset.Codec) (io.ReadCloser, error) {
	switch codec {
	case "":
		return io.NopCloser(r), nil
	case backupset.Gzip:
		return newGzipReader(r)
	case backupset.Zstd:
		d, err := zstd.NewReader(bufio.NewReaderSize(r, 1<<20), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return nil, fmt.Errorf("codec %q is unknown", codec)
	}
}

// Decode reads the text of a stored file. A file that ends early is an error, not the end of the text. The key is asked for encrypted files
// alone; what it says of them is not ErrDiffers.
func Decode(ctx context.Context, r io.Reader, c backupset.Component, key *encryption.Key) (io.ReadCloser, error) {
	opened := io.NopCloser(r)
	if c.Encryption != backupset.Unencrypted {
		var err error
		if opened, err = key.Open(ctx, r, c); err != nil {
			return nil, fmt.Errorf("decode dump: %w", err)
		}
	}
	text, err := decompressor(opened, c.Codec)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("decode dump: %w: %w", ErrDiffers, err), opened.Close())
	}
	return &decoded{text, opened}, nil
}

// decoded is a text with all that is to be closed behind it.
type decoded struct {
	io.ReadCloser
	opened io.Closer
}

func (d *decoded) Close() error { return errors.Join(d.ReadCloser.Close(), d.opened.Close()) }

// digest passes bytes on, counts them and hashes them.
type digest struct {
	to    io.Writer
	hash  hash.Hash
	count atomic.Int64
}

func newDigest(to io.Writer) *digest { return &digest{to: to, hash: sha256.New()} }

func (d *digest) Write(p []byte) (int, error) {
	n, err := d.to.Write(p)
	d.hash.Write(p[:n])
	d.count.Add(int64(n))
	return n, err
}

func (d *digest) sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }
