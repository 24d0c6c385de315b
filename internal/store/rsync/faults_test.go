package rsync_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/sshd"
)

// failsEverywhere asserts that every method fails with want.
func failsEverywhere(t *testing.T, s store.Store, want error) {
	t.Helper()
	require.ErrorIs(t, s.Check(t.Context()), want)
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), want)
	_, err := s.Open(t.Context(), "x", 0)
	require.ErrorIs(t, err, want)
	_, err = s.List(t.Context())
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, s.Delete(t.Context(), "x"), want)
	_, err = s.Sweep(t.Context())
	require.ErrorIs(t, err, want)
}

func TestHostKey_ChangedOrUnknownFailsClosed(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, s.Check(t.Context()))

	server.Know(t, server.OtherKey+".pub")
	failsEverywhere(t, s, store.ErrHostKey)
	require.ErrorContains(t, s.Check(t.Context()), "ssh-keygen -R '[127.0.0.1]:"+strconv.Itoa(server.Port)+"'")

	require.NoError(t, os.WriteFile(server.KnownHosts, nil, 0o600))
	failsEverywhere(t, s, store.ErrHostKey)
	require.ErrorContains(t, s.Check(t.Context()), "ssh-keyscan -p "+strconv.Itoa(server.Port)+" 127.0.0.1 >>")
	known, err := os.ReadFile(server.KnownHosts)
	require.NoError(t, err)
	require.Empty(t, known, "no key is ever trusted by itself")
}

func TestKey_RefusedIsDenied(t *testing.T) {
	server := sshd.Start(t)
	cfg := config(server, server.Port, "node")
	cfg.KeyFile = server.OtherKey
	failsEverywhere(t, open(t, cfg), store.ErrDenied)
	require.ErrorContains(t, open(t, cfg).Check(t.Context()), "ssh-copy-id")
}

func TestPut_StalledLine(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	cfg := config(server, line.Port(), "node")
	cfg.StallAfter = 4 * time.Second
	s := open(t, cfg)
	file := storetest.File(t, slowSize)
	line.StallAfter(3 << 20)
	began := time.Now()
	err := s.Put(t.Context(), "x", file, nil)
	require.ErrorIs(t, err, store.ErrStalled)
	require.Less(t, time.Since(began), 30*time.Second)
	require.Eventually(t, func() bool { return clients(line.Port()) == 0 }, 10*time.Second, 50*time.Millisecond, "rsync and its ssh are gone")

	_, err = s.List(t.Context())
	require.Error(t, err, "a silent host ends too")
	line.Heal()
	s = open(t, config(server, line.Port(), "node")) // a patient one: the machine may be busy
	storetest.Absent(t, s, "x")
	before := line.Sent()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.Less(t, line.Sent()-before, file.Size, "it goes on from there")
	storetest.Holds(t, s, "x", file)
}

func TestPut_CancelledKillsTheWholeGroup(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	line.SetRate(slowRate)
	s := open(t, config(server, line.Port(), "node"))
	began := time.Now()
	require.ErrorIs(t, storetest.Interrupt(t, s, "x", storetest.File(t, slowSize)), context.Canceled)
	require.Less(t, time.Since(began), 10*time.Second)
	require.Eventually(t, func() bool { return clients(line.Port()) == 0 }, 10*time.Second, 50*time.Millisecond)
}

// clients counts the processes of this test that talk to the port.
func clients(port int) int {
	found := 0
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		argv, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(argv), "\x00-p\x00"+strconv.Itoa(port)+"\x00") {
			found++
		}
	}
	return found
}

func TestPut_LineCut(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	s := open(t, config(server, line.Port(), "node"))
	file := storetest.File(t, slowSize)
	line.CutAfter(4<<20, 1)
	require.Error(t, s.Put(t.Context(), "x", file, nil))
	storetest.Absent(t, s, "x")
	before := line.Sent()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.Less(t, line.Sent()-before, file.Size)
	storetest.Holds(t, s, "x", file)
}

// A crash of the remote host can leave zeros where bytes were: the rest is not gone on with.
func TestPut_DamagedRestIsSentAnew(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	line.SetRate(slowRate)
	file := storetest.File(t, slowSize)
	s := open(t, config(server, line.Port(), "node"))
	require.Error(t, storetest.Interrupt(t, s, "x", file))
	line.SetRate(0)
	rests := dotFiles(t, folder(server))
	require.Len(t, rests, 1)
	require.Eventually(t, func() bool { // the remote rsync may still be writing
		info, err := os.Stat(filepath.Join(folder(server), rests[0]))
		return err == nil && info.Size() > 1000
	}, 10*time.Second, 20*time.Millisecond)
	storetest.Damage(t, filepath.Join(folder(server), rests[0]))
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)
}

func TestPut_RemoteDiskFull(t *testing.T) {
	server := sshd.Start(t)
	small := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=2m"))
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return unix.Unmount(small, 0) == nil }, 10*time.Second, 50*time.Millisecond)
	})
	cfg := config(server, server.Port, "node")
	cfg.Path = small + "/sets"
	s := open(t, cfg)
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.File(t, 3<<20), nil), store.ErrFull)
	storetest.Absent(t, s, "x")
	swept, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Len(t, swept, 1)
	file := storetest.File(t, 1<<20)
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)
}

func TestPut_ReadOnlyIsDenied(t *testing.T) {
	server := sshd.Start(t)
	folder := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", folder, "tmpfs", unix.MS_RDONLY, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(folder, 0)) })
	cfg := config(server, server.Port, "node")
	cfg.Path = folder
	s := open(t, cfg)
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), store.ErrDenied)
	require.ErrorIs(t, s.Check(t.Context()), store.ErrDenied)
}

// What the login shell prints does not end up in objects; Check says that rsync will not bear it.
func TestCheck_NoisyLoginShell(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, s.Put(t.Context(), "x", storetest.Bytes(t, "content"), nil))
	require.NoError(t, os.WriteFile(server.Login, []byte("Welcome!\nsize 3\n"), 0o600))
	storetest.Holds(t, s, "x", storetest.Bytes(t, "content"))
	require.ErrorContains(t, s.Check(t.Context()), "Welcome!")
	require.ErrorContains(t, s.Put(t.Context(), "y", storetest.Bytes(t, "y"), nil), "login shell")
	storetest.Absent(t, s, "y")
}

func TestCheck_NamesAMissingTool(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, os.WriteFile(server.Login, nil, 0o600))
	bare := t.TempDir() // the tools of a host without rsync
	for _, tool := range []string{"sh", "ls", "mkdir", "cat", "sha256sum", "find", "sync", "rm", "wc", "cut"} {
		path, err := exec.LookPath(tool)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bare, tool)))
	}
	server.SetPath(t, bare)
	require.ErrorContains(t, s.Check(t.Context()), `"rsync" is missing`)
	require.ErrorContains(t, s.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil), "install rsync on")
}

// BusyBox and BSD have a find without -printf.
func TestList_WithAPlainFind(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, s.Put(t.Context(), "-a b", storetest.Bytes(t, "12345"), nil))
	want := []store.Object{{Name: "-a b", Size: 5}, {Name: "new\nline", Size: 3}}
	require.NoError(t, os.WriteFile(filepath.Join(folder(server), "new\nline"), []byte("123"), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(folder(server), "link")))
	rest := store.PartialName("node", "1", "x")
	require.NoError(t, os.WriteFile(filepath.Join(folder(server), rest), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(server.Bin, "find"), []byte("#!/bin/sh\necho 'find: unrecognized: -printf' >&2; exit 1\n"), 0o700))
	got, err := s.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
	swept, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{rest}, swept)
}

func TestOpen_LineCutIsNoEOF(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	s := open(t, config(server, line.Port(), "node"))
	require.NoError(t, s.Put(t.Context(), "x", storetest.File(t, 40<<20), nil))
	r, err := s.Open(t.Context(), "x", 0)
	require.NoError(t, err)
	defer r.Close()
	line.CutNow()
	_, _, err = store.Digest(t.Context(), r)
	require.Error(t, err)
}

func TestOpen_StalledLine(t *testing.T) {
	server := sshd.Start(t)
	line := faultproxy.Start(t, address(server))
	cfg := config(server, line.Port(), "node")
	cfg.StallAfter = 3 * time.Second
	s := open(t, cfg)
	patient := open(t, config(server, server.Port, "node")) // the machine may be busy
	require.NoError(t, patient.Put(t.Context(), "x", storetest.File(t, 40<<20), nil))
	r, err := s.Open(t.Context(), "x", 0)
	require.NoError(t, err)
	defer r.Close()
	line.StallAfter(0)
	_, _, err = store.Digest(t.Context(), r)
	require.ErrorIs(t, err, store.ErrStalled)
}

// The name is taken by somebody else between the look at it and the link.
func TestPut_NameTakenMeanwhile(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, os.WriteFile(filepath.Join(server.Bin, "sync"), []byte("#!/bin/sh\nprintf faster >x\n"), 0o700))
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "slower"), nil), store.ErrExists)
	storetest.Holds(t, s, "x", storetest.Bytes(t, "faster"))
	require.Empty(t, dotFiles(t, folder(server)))
}

// exFAT and some shares know no hard links.
func TestPut_RemoteWithoutHardLinks(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, os.WriteFile(filepath.Join(server.Bin, "ln"), []byte("#!/bin/sh\necho 'ln: Operation not permitted' >&2; exit 1\n"), 0o700))
	file := storetest.Bytes(t, "content")
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	storetest.Holds(t, s, "x", file)
	require.ErrorIs(t, s.Put(t.Context(), "x", storetest.Bytes(t, "other"), nil), store.ErrExists)
	require.Empty(t, dotFiles(t, folder(server)))
}

func TestOpen_FileCutMeanwhile(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	require.NoError(t, s.Put(t.Context(), "x", storetest.File(t, 40<<20), nil))
	r, err := s.Open(t.Context(), "x", 0)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, os.Truncate(filepath.Join(folder(server), "x"), 30<<20))
	_, _, err = store.Digest(t.Context(), r)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
