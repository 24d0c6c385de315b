package dir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
)

// refusedEverywhere asserts that no method does anything, or takes an absent disk for an empty one.
func refusedEverywhere(t *testing.T, s *Foreign) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(source, []byte("x"), 0o600))
	file := store.File{Path: source, Size: 1, SHA256: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
	require.ErrorIs(t, s.Check(t.Context()), store.ErrNoBucket)
	require.ErrorIs(t, s.Put(t.Context(), "x", file, nil), store.ErrNoBucket)
	require.ErrorIs(t, s.Delete(t.Context(), "x"), store.ErrNoBucket)
	_, err := s.Open(t.Context(), "x", 0)
	require.ErrorIs(t, err, store.ErrNoBucket)
	_, err = s.List(t.Context())
	require.ErrorIs(t, err, store.ErrNoBucket)
	_, err = s.Sweep(t.Context())
	require.ErrorIs(t, err, store.ErrNoBucket)
}

func TestForeign_FolderIsNeverCreated(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "absent", "sets")
	s, err := NewForeign(Config{Path: folder, Owner: "n"})
	require.NoError(t, err)
	refusedEverywhere(t, s)
	require.NoDirExists(t, filepath.Dir(folder))
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, s.Check(t.Context()))
}

// The folder may exist on the disk below, from a day when the share was not mounted.
func TestForeign_UnmountedDiskIsNotFilled(t *testing.T) {
	point := filepath.Join(t.TempDir(), "my disk")
	folder := filepath.Join(point, "sets")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(folder, link))
	fstab := filepath.Join(t.TempDir(), "fstab")
	escaped := filepath.Dir(point) + `/my\040disk`
	require.NoError(t, os.WriteFile(fstab, []byte("# a comment /x\nUUID=1 / ext4 defaults 0 1\n\nnas:/export "+escaped+"/ nfs noauto 0 0\nUUID=2 none swap sw 0 0\n"), 0o600))
	for _, path := range []string{folder, point, link} {
		s, err := NewForeign(Config{Path: path, Owner: "n"})
		require.NoError(t, err)
		s.store.fstab = fstab
		refusedEverywhere(t, s)
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, entries)
	}
	s, err := NewForeign(Config{Path: point, Owner: "n"})
	require.NoError(t, err)
	s.store.fstab = fstab
	require.NoError(t, unix.Mount("tmpfs", point, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(point, 0)) })
	require.NoError(t, s.Check(t.Context()))
}
