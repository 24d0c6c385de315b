package dir_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
	"canton-backup/internal/store/storetest"
)

const slowSize = 5<<20 + 3

func TestStore_Contract(t *testing.T) {
	t.Run("our own folder", func(t *testing.T) { contract(t, false) })
	t.Run("a folder on a foreign disk", func(t *testing.T) { contract(t, true) })
}

func contract(t *testing.T, foreignDisk bool) {
	storetest.Run(t, func(t *testing.T) *storetest.Place {
		folder := filepath.Join(t.TempDir(), "it's a folder", "mainnet")
		own, foreign := store.Store(open(t, folder, "node.1")), open(t, folder, "node")
		if foreignDisk {
			require.NoError(t, os.MkdirAll(folder, 0o700))
			var err error
			own, err = dir.NewForeign(dir.Config{Path: folder, Owner: "node.1"})
			require.NoError(t, err)
		}
		return &storetest.Place{
			Store: own, Foreign: foreign, Slow: own, SlowForeign: foreign, SlowSize: slowSize,
			Abandon: func(t *testing.T, slow store.Store, name string, file store.File) {
				owner := "node.1"
				if slow == store.Store(foreign) {
					owner = "node"
				}
				storetest.Kill(t, nil, "PUT_FOLDER="+folder, "PUT_OWNER="+owner, "PUT_NAME="+name, "PUT_PATH="+file.Path, "PUT_SHA256="+file.SHA256)
			},
			Leftovers: func(t *testing.T) []string { return dotFiles(t, folder) },
			PutRaw: func(t *testing.T, name string, data []byte) {
				require.NoError(t, os.MkdirAll(folder, 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o644))
			},
			RawNames: []string{"new\nline", "\xff\xfe", "it's", " "},
			Damage:   func(t *testing.T, name string) { storetest.Damage(t, filepath.Join(folder, name)) },
		}
	})
}

func open(t *testing.T, folder, owner string) *dir.Store {
	t.Helper()
	s, err := dir.New(dir.Config{Path: folder, Owner: owner})
	require.NoError(t, err)
	return s
}

func dotFiles(t *testing.T, folder string) []string {
	entries, err := os.ReadDir(folder)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	var found []string
	for _, e := range entries {
		if e.Name()[0] == '.' && e.Name() != ".hidden" {
			found = append(found, e.Name())
		}
	}
	return found
}

// TestPutUntilKilled is the body of storetest.Kill's process, killed once its Put is half done; in an ordinary run it has nothing to do.
func TestPutUntilKilled(t *testing.T) {
	folder := os.Getenv("PUT_FOLDER")
	if folder == "" {
		return
	}
	info, err := os.Stat(os.Getenv("PUT_PATH"))
	require.NoError(t, err)
	file := store.File{Path: os.Getenv("PUT_PATH"), Size: info.Size(), SHA256: os.Getenv("PUT_SHA256")}
	_ = open(t, folder, os.Getenv("PUT_OWNER")).Put(t.Context(), os.Getenv("PUT_NAME"), file, func(n int64) {
		if n > file.Size/2 {
			storetest.UnderWay()
			select {}
		}
	})
}

func TestNew_ReportsAllErrors(t *testing.T) {
	_, err := dir.New(dir.Config{Path: "relative"})
	require.ErrorContains(t, err, "not absolute")
	require.ErrorContains(t, err, "owner is empty")
}

func TestStore_Modes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	s := open(t, folder, "n")
	require.NoError(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil))
	info, err := os.Stat(folder)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(s.Path("x"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestStore_Adopt(t *testing.T) {
	s := open(t, t.TempDir(), "n")
	staging := filepath.Join(s.Location(), "staging")
	require.NoError(t, os.Mkdir(staging, 0o700))
	stage := func(text string) store.File {
		file := storetest.Bytes(t, text)
		path := filepath.Join(staging, "staged")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		file.Path = path
		return file
	}
	file := stage("content")
	require.NoError(t, s.Adopt(t.Context(), file, "x"))
	storetest.Holds(t, s, "x", file)
	require.NoFileExists(t, file.Path)
	info, err := os.Stat(s.Path("x"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, s.Adopt(t.Context(), file, "x"), "repeated after the rename")
	stage("content")
	require.NoError(t, s.Adopt(t.Context(), file, "x"), "repeated between link and removal")
	require.NoFileExists(t, file.Path)

	other := stage("other..")
	require.ErrorIs(t, s.Adopt(t.Context(), other, "x"), store.ErrExists)
	require.FileExists(t, other.Path)
	storetest.Holds(t, s, "x", file)

	other.SHA256 = file.SHA256
	require.ErrorIs(t, s.Adopt(t.Context(), other, "y"), store.ErrCorrupt)
	require.NoError(t, os.Remove(other.Path))
	require.ErrorIs(t, s.Adopt(t.Context(), other, "y"), store.ErrNotFound)
	storetest.Absent(t, s, "y")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Adopt(ctx, stage("z"), "z"), context.Canceled)
}

func TestStore_DiskFull(t *testing.T) {
	small := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=2m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(small, 0)) })
	s := open(t, filepath.Join(small, "sets"), "n")
	free, total, err := s.Space(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2<<20), free)
	require.Equal(t, int64(2<<20), total)
	err = s.Put(t.Context(), "x", storetest.File(t, 3<<20), nil)
	require.ErrorIs(t, err, store.ErrFull)
	storetest.Absent(t, s, "x")
	require.Empty(t, dotFiles(t, s.Location()), "what was half written is gone")
	require.NoError(t, s.Put(t.Context(), "x", storetest.File(t, 1<<20), nil))
	free, _, err = s.Space(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, free, int64(1<<20))

	file := storetest.Bytes(t, "elsewhere")
	require.ErrorIs(t, s.Adopt(t.Context(), file, "y"), unix.EXDEV)
	require.FileExists(t, file.Path)
}

func TestStore_ReadOnlyIsDenied(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", folder, "tmpfs", unix.MS_RDONLY, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(folder, 0)) })
	s := open(t, folder, "n")
	require.ErrorIs(t, s.Check(t.Context()), store.ErrDenied)
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), store.ErrDenied)
}

func TestStore_TakesNoOtherThingForAnObject(t *testing.T) {
	s := open(t, t.TempDir(), "n")
	require.NoError(t, os.Mkdir(s.Path("folder"), 0o700))
	require.NoError(t, os.Symlink("/etc/passwd", s.Path("link")))
	objects, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, objects)
	_, err = s.Open(t.Context(), "folder", 0)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Open(t.Context(), "link", 0)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, s.Put(t.Context(), "folder", storetest.Bytes(t, "x"), nil), store.ErrExists)
	require.ErrorIs(t, s.Put(t.Context(), "link", storetest.Bytes(t, "x"), nil), store.ErrExists)
}

func TestStore_OpenNoticesACutFile(t *testing.T) {
	s := open(t, t.TempDir(), "n")
	require.NoError(t, s.Put(t.Context(), "x", storetest.Bytes(t, strings.Repeat("x", 100)), nil))
	r, err := s.Open(t.Context(), "x", 0)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, os.Truncate(s.Path("x"), 50))
	_, _, err = store.Digest(t.Context(), r)
	require.ErrorContains(t, err, "unexpected EOF")
}

func TestPut_UploadLimit(t *testing.T) {
	s, err := dir.New(dir.Config{Path: t.TempDir(), Owner: "n", Limit: 4 << 20})
	require.NoError(t, err)
	file := storetest.File(t, 2<<20)
	began := time.Now()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.Greater(t, time.Since(began), 400*time.Millisecond, "2 MiB at 4 MiB a second")
	storetest.Holds(t, s, "x", file)
}
