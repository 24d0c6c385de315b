package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

const why = "before the key rotation"

func published(t *testing.T, s store.Store, who catalog.Owner, at time.Time) set {
	t.Helper()
	from := newSet(t, who, at)
	require.NoError(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil))
	return from
}

func pinned(t *testing.T, s store.Store, m backupset.Manifest, reason string) error {
	t.Helper()
	return catalog.Pin(t.Context(), s, owner, m, reason, start, t.TempDir())
}

func TestPin_KeepsTheSetUntilUnpinned(t *testing.T) {
	s := newStore(t)
	from := published(t, s, owner, start)
	require.NoError(t, pinned(t, s, from.manifest, why))
	l := list(t, s)
	require.Equal(t, why, l.Sets[0].Pinned)
	require.Zero(t, l.Foreign)

	require.NoError(t, pinned(t, s, from.manifest, why), "the same again is success")
	require.ErrorIs(t, pinned(t, s, from.manifest, "another reason"), catalog.ErrPinned)
	require.Error(t, pinned(t, s, from.manifest, "two\nlines"))
	require.ErrorIs(t, catalog.Remove(t.Context(), s, owner, from.manifest, t.TempDir()), catalog.ErrPinned)
	_, err := catalog.Sweep(t.Context(), s, owner)
	require.NoError(t, err)
	require.Len(t, names(t, s), 4, "two dumps, the manifest, the pin")

	require.NoError(t, catalog.Unpin(t.Context(), s, owner, from.manifest))
	require.NoError(t, catalog.Unpin(t.Context(), s, owner, from.manifest), "absent is success")
	require.Empty(t, list(t, s).Sets[0].Pinned)
	require.NoError(t, catalog.Remove(t.Context(), s, owner, from.manifest, t.TempDir()))
	require.Empty(t, names(t, s))
	require.ErrorIs(t, pinned(t, s, from.manifest, why), store.ErrNotFound)
	require.Empty(t, names(t, s), "a pin of nothing does not stay")
}

// Two nodes share a folder: neither pins or unpins the other's sets, and a pin of the other's beside our set does not stop our prune.
func TestPin_OnlyByTheSetsOwner(t *testing.T) {
	s := newStore(t)
	ours, theirs := published(t, s, owner, start), published(t, s, other, start.Add(time.Hour))
	require.ErrorContains(t, pinned(t, s, theirs.manifest, why), "not sealed by this node")
	require.NoError(t, catalog.Pin(t.Context(), s, other, theirs.manifest, why, start, t.TempDir()))
	require.ErrorContains(t, catalog.Unpin(t.Context(), s, owner, theirs.manifest), "not sealed by this node")

	forged := backupset.Pin{Format: 1, Set: ours.manifest.Set, Node: other.Node, Network: other.Network, Reason: why}
	name := backupset.PinName(ours.manifest.Set)
	file, err := catalog.WriteJSON(s.Path(name), forged)
	require.NoError(t, err)
	l := list(t, s)
	require.Equal(t, why, l.Sets[0].Pinned)
	require.Empty(t, l.Sets[1].Pinned)
	require.Equal(t, 1, l.Foreign)
	require.ErrorIs(t, pinned(t, s, ours.manifest, why), store.ErrExists)
	require.NoError(t, catalog.Unpin(t.Context(), s, owner, ours.manifest))
	require.NoError(t, catalog.Remove(t.Context(), s, owner, ours.manifest, t.TempDir()))
	require.FileExists(t, file.Path, "foreign files are never touched")
}

// What is no pin that we can read may be one that a later version wrote, or that the disk damaged.
func TestPin_UnreadableKeeps(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "half": `{"format":1,"set":"2026`, "newer": `{"format":9}`, "no reason": `{"format":1,"set":"20261123_040000","node":"node-1","network":"mainnet"}`,
		"huge": string(make([]byte, 2<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			from := published(t, s, owner, start)
			path := s.Path(backupset.PinName(from.manifest.Set))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			require.Contains(t, list(t, s).Sets[0].Pinned, "cannot be read")
			require.ErrorIs(t, catalog.Remove(t.Context(), s, owner, from.manifest, t.TempDir()), catalog.ErrPinned)
			require.ErrorIs(t, pinned(t, s, from.manifest, why), catalog.ErrPinned)
			require.NoError(t, catalog.Unpin(t.Context(), s, owner, from.manifest))
			require.NoFileExists(t, path)
			require.NoError(t, catalog.Remove(t.Context(), s, owner, from.manifest, t.TempDir()))
		})
	}
}

// A pin that cannot be fetched says nothing: neither that the set may go, nor what it is kept for.
func TestPin_NotReadIsAnError(t *testing.T) {
	s := newStore(t)
	from := published(t, s, owner, start)
	require.NoError(t, pinned(t, s, from.manifest, why))
	broken := &hooked{Store: s, failOpen: backupset.PinName(from.manifest.Set)}
	_, err := catalog.List(t.Context(), broken, owner)
	require.ErrorIs(t, err, errCut)
	require.ErrorIs(t, catalog.Remove(t.Context(), broken, owner, from.manifest, t.TempDir()), errCut)
	require.Len(t, list(t, s).Sets, 1)
}

// hooked is a store before whose n-th call something else happens, as when another process is at work.
type hooked struct {
	*dir.Store
	calls    int
	at       int
	hook     func()
	failOpen string
}

func (h *hooked) tick() {
	if h.hook != nil && h.calls == h.at {
		h.hook()
	}
	h.calls++
}

func (h *hooked) Put(ctx context.Context, name string, f store.File, progress func(int64)) error {
	h.tick()
	return h.Store.Put(ctx, name, f, progress)
}

func (h *hooked) Delete(ctx context.Context, name string) error {
	h.tick()
	return h.Store.Delete(ctx, name)
}

func (h *hooked) List(ctx context.Context) ([]store.Object, error) {
	h.tick()
	return h.Store.List(ctx)
}

func (h *hooked) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	h.tick()
	if name == h.failOpen {
		return nil, errCut
	}
	return h.Store.Open(ctx, name, offset)
}

// A whole pin between any two steps of a removal, and a whole removal between any two steps of a pin: a set whose pin succeeded is there,
// and a pin whose set went goes with it.
func TestPin_RacesRemove(t *testing.T) {
	for _, outer := range []string{"remove", "pin"} {
		for at, done := 0, false; !done; at++ {
			t.Run(fmt.Sprintf("other before step %d of %s", at, outer), func(t *testing.T) {
				s := newStore(t)
				m := published(t, s, owner, start).manifest
				var pinErr, removeErr error
				h := &hooked{Store: s, at: at}
				ran := false
				remove := func(s store.Store) { removeErr = catalog.Remove(t.Context(), s, owner, m, t.TempDir()) }
				pin := func(s store.Store) {
					pinErr = catalog.Pin(t.Context(), s, owner, m, why, start, t.TempDir())
				}
				if outer == "remove" {
					h.hook = func() { ran = true; pin(s) }
					remove(h)
				} else {
					h.hook = func() { ran = true; remove(s) }
					pin(h)
				}
				if done = !ran; done {
					return
				}
				_, err := catalog.Sweep(t.Context(), s, owner)
				require.NoError(t, err)
				sets := list(t, s).Sets
				switch {
				case removeErr == nil:
					require.Error(t, pinErr)
					require.Empty(t, names(t, s))
				case errors.Is(removeErr, catalog.ErrPinned):
					require.Len(t, sets, 1)
					require.Equal(t, why, sets[0].Pinned)
					require.Empty(t, sets[0].Damage)
				default:
					t.Fatal(removeErr)
				}
				if pinErr != nil {
					require.True(t, errors.Is(pinErr, catalog.ErrRemoving) || errors.Is(pinErr, store.ErrNotFound), pinErr)
				}
			})
		}
	}
}

// A key that may write and not delete leaves every upload's intent, and its sets can be pinned all the same.
func TestPin_WhereDeletingIsDenied(t *testing.T) {
	s := &writeOnly{newStore(t)}
	from := published(t, s, owner, start)
	require.Contains(t, names(t, s), backupset.IntentName(from.manifest.Set))
	require.NoError(t, pinned(t, s, from.manifest, why))
	require.Equal(t, why, list(t, s).Sets[0].Pinned)
	require.ErrorIs(t, catalog.Unpin(t.Context(), s, owner, from.manifest), store.ErrDenied)
}

// writeOnly is a store whose key may not delete.
type writeOnly struct{ *dir.Store }

func (w *writeOnly) Delete(_ context.Context, name string) error {
	return fmt.Errorf("delete %q: %w", name, store.ErrDenied)
}
