// Package storetest checks every sentence of the store contract against a store on its real server.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
)

// Place is one empty place (a folder, a bucket) and ways to look at it and act on it behind the store's back.
type Place struct {
	Store   store.Store // under test
	Foreign store.Store // another node's store of the same place

	// Slow is the same place and owner as Store, reached so slowly that a Put of SlowSize bytes reports progress several
	// times before it is done.
	Slow        store.Store
	SlowForeign store.Store // the same for Foreign
	SlowSize    int64

	PartSize int64 // bytes after which the store begins a new part; 0 when it knows no parts

	// Abandon leaves what a Put of slow that was killed in the middle leaves.
	Abandon func(t *testing.T, slow store.Store, name string, file store.File)

	// Leftovers lists unfinished objects of all owners: partial files, open uploads.
	Leftovers func(t *testing.T) []string

	// PutRaw writes a file as a foreign program would; any name the server allows.
	PutRaw func(t *testing.T, name string, data []byte)

	// RawNames are names of foreign files that this place can hold, besides ordinary ones.
	RawNames []string

	// Damage alters one byte of an object where it rests; its size, and what the server remembers of it, stay.
	Damage func(t *testing.T, name string)

	// Sent is the number of bytes that went to the place through Store and Slow so far; nil when nobody counts. A Put of
	// a place that counts must go on where an interrupted one stopped.
	Sent func() int64
}

// File makes a file of random bytes that differs from every other.
func File(t testing.TB, size int64) store.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source file's.bin")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}), size)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	// An old file: one that is changed in the tick of its creation could keep its time stamp.
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, past, past))
	return store.File{Path: path, Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}
}

// Bytes makes a file of the given content.
func Bytes(t testing.TB, content string) store.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	sum := sha256.Sum256([]byte(content))
	return store.File{Path: path, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// Holds asserts that the object is there with the file's content, in List too.
func Holds(t testing.TB, s store.Store, name string, file store.File) {
	t.Helper()
	sum, size := readAll(t, s, name)
	require.Equal(t, file.Size, size, "size of %q", name)
	require.Equal(t, file.SHA256, sum, "digest of %q", name)
	objects, err := s.List(t.Context())
	require.NoError(t, err)
	require.Contains(t, objects, store.Object{Name: name, Size: file.Size})
}

// Absent asserts that neither List nor Open shows the object.
func Absent(t testing.TB, s store.Store, name string) {
	t.Helper()
	_, err := s.Open(t.Context(), name, 0)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NotContains(t, names(t, s), name)
}

func names(t testing.TB, s store.Store) []string {
	t.Helper()
	objects, err := s.List(t.Context())
	require.NoError(t, err)
	names := []string{}
	for _, o := range objects {
		names = append(names, o.Name)
	}
	return names
}

func readAll(t testing.TB, s store.Store, name string) (sum string, size int64) {
	t.Helper()
	r, err := s.Open(t.Context(), name, 0)
	require.NoError(t, err)
	sum, size, err = store.Digest(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return sum, size
}

func content(t testing.TB, s store.Store, name string) string {
	t.Helper()
	r, err := s.Open(t.Context(), name, 0)
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = b.ReadFrom(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return b.String()
}

// Interrupt starts a Put of slow and ends its context once the first bytes arrived. It returns the Put's error.
func Interrupt(t testing.TB, slow store.Store, name string, file store.File) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	return slow.Put(ctx, name, file, func(n int64) {
		if n > 0 {
			cancel()
		}
	})
}
