package dir

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"canton-backup/internal/store"
	"canton-backup/internal/store/storetest"
)

// deadShare is a folder with the object "x" whose every method hangs in a system call that listens to no context: the table of mount
// points is a pipe that nobody opens for writing. revive lets those calls return and waits for what was left behind.
func deadShare(t *testing.T, stallAfter time.Duration) (f *Foreign, revive func()) {
	t.Helper()
	f, err := NewForeign(Config{Path: t.TempDir(), Owner: "n", StallAfter: stallAfter})
	require.NoError(t, err)
	require.NoError(t, f.Put(t.Context(), "x", storetest.Bytes(t, "x"), nil))
	pipe := filepath.Join(t.TempDir(), "fstab")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	f.store.fstab = pipe
	return f, func() {
		t.Helper()
		nobodyBehind(t, func() {
			w, err := os.OpenFile(pipe, os.O_RDWR, 0)
			require.NoError(t, err)
			require.NoError(t, w.Close())
		})
	}
}

// nobodyBehind waits for the end of all calls that were left behind.
func nobodyBehind(t *testing.T, push func()) {
	t.Helper()
	require.Eventually(t, func() bool {
		push()
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "dir.try[")
	}, 20*time.Second, 10*time.Millisecond)
}

func files(t *testing.T, f *Foreign) []string {
	t.Helper()
	entries, err := os.ReadDir(f.Location())
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestForeign_DeadShare(t *testing.T) {
	for name, c := range map[string]struct {
		stallAfter, limit time.Duration
		want              error
	}{
		"the context ends": {time.Hour, 50 * time.Millisecond, context.DeadlineExceeded},
		"nothing moves":    {50 * time.Millisecond, time.Hour, store.ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			f, revive := deadShare(t, c.stallAfter)
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			file := storetest.Bytes(t, "y")
			calls := map[string]func() error{
				"Check":  func() error { return f.Check(ctx) },
				"Put":    func() error { return f.Put(ctx, "y", file, nil) },
				"Open":   func() error { _, err := f.Open(ctx, "x", 0); return err },
				"List":   func() error { _, err := f.List(ctx); return err },
				"Delete": func() error { return f.Delete(ctx, "x") },
				"Sweep":  func() error { _, err := f.Sweep(ctx); return err },
			}
			if c.want == store.ErrStalled { // it has no context
				calls["Scratch"] = func() error { _, err := f.Scratch("tag"); return err }
			}
			type answer struct {
				method string
				err    error
			}
			answers := make(chan answer)
			for method, call := range calls {
				go func() { answers <- answer{method, call()} }()
			}
			for range calls {
				a := <-answers
				require.ErrorIs(t, a.err, c.want, a.method)
			}
			revive()
			require.Equal(t, []string{"x"}, files(t, f), "who was told of a failure sees no change later")
		})
	}
}

// The share dies when all bytes are there, and comes back after the caller was told that the Put failed.
func TestForeign_PutThatWasLeftPublishesNothing(t *testing.T) {
	f, err := NewForeign(Config{Path: t.TempDir(), Owner: "n", StallAfter: 100 * time.Millisecond})
	require.NoError(t, err)
	dead := make(chan struct{})
	f.store.flush = func(*os.File) error { <-dead; return nil }
	calls := 0 // -race sees it when somebody counts after Put has returned
	file := storetest.File(t, 3*step)
	err = f.Put(t.Context(), "y", file, func(int64) { calls++ })
	require.ErrorIs(t, err, store.ErrStalled)
	before := calls
	close(dead)
	nobodyBehind(t, func() {})
	require.Equal(t, before, calls)
	require.Empty(t, files(t, f))

	f.store.flush = (*os.File).Sync
	f.store.cfg.StallAfter = DefaultStallAfter
	require.NoError(t, f.Put(t.Context(), "y", file, nil))
	storetest.Holds(t, f, "y", file)
}

// A share may be as slow as it likes, as long as it moves.
func TestForeign_SlowIsNotStalled(t *testing.T) {
	f, err := NewForeign(Config{Path: t.TempDir(), Owner: "n", Limit: 1 << 20, StallAfter: time.Second})
	require.NoError(t, err)
	file := storetest.File(t, 2<<20)
	require.NoError(t, f.Put(t.Context(), "y", file, nil))
	storetest.Holds(t, f, "y", file)
}

func TestForeign_ReadThatWasLeftTouchesNoBuffer(t *testing.T) {
	f, err := NewForeign(Config{Path: t.TempDir(), Owner: "n", StallAfter: 50 * time.Millisecond})
	require.NoError(t, err)
	from, to := io.Pipe()
	r := &foreignReader{ctx: t.Context(), store: f.store, name: "x", from: from}
	buf := make([]byte, 4)
	_, err = r.Read(buf)
	require.ErrorIs(t, err, store.ErrStalled)
	nobodyBehind(t, func() { go func() { _, _ = to.Write([]byte("late")) }() })
	require.Equal(t, make([]byte, 4), buf)
	n, err := r.Read(buf)
	require.Zero(t, n)
	require.True(t, errors.Is(err, store.ErrStalled), "what came meanwhile is lost, and so is the stream")
	require.NoError(t, r.Close())
}
