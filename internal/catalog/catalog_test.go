package catalog_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

var (
	owner = catalog.Owner{Node: "node-1", Network: "mainnet"}
	other = catalog.Owner{Node: "node-2", Network: "mainnet"}
	start = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
)

// cutting is a store whose n-th changing call, and all after it, fail: as when the process is killed there.
type cutting struct {
	*dir.Store
	left int
}

var errCut = errors.New("cut")

func (c *cutting) cut() error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return nil
}

func (c *cutting) Put(ctx context.Context, name string, f store.File, progress func(int64)) error {
	if err := c.cut(); err != nil {
		return err
	}
	return c.Store.Put(ctx, name, f, progress)
}

func (c *cutting) Adopt(ctx context.Context, f store.File, name string) error {
	if err := c.cut(); err != nil {
		return err
	}
	return c.Store.Adopt(ctx, f, name)
}

func (c *cutting) Delete(ctx context.Context, name string) error {
	if err := c.cut(); err != nil {
		return err
	}
	return c.Store.Delete(ctx, name)
}

// set makes the files of a set in a folder of their own.
type set struct {
	manifest backupset.Manifest
	file     store.File
	folder   string
}

func (s set) path(file string) string { return filepath.Join(s.folder, file) }

func newSet(t *testing.T, who catalog.Owner, at time.Time) set {
	t.Helper()
	s := set{folder: t.TempDir()}
	id := backupset.NewID(at)
	s.manifest = backupset.Manifest{Format: 1, Set: id, Node: who.Node, Network: who.Network, SealedAt: at, Verdict: backupset.Pass}
	for role, db := range map[backupset.Role]string{backupset.Validator: "validator", backupset.Participant: "participant"} {
		c := backupset.Component{Role: role, Database: db, Codec: backupset.Gzip, File: backupset.DumpName(db, id, backupset.Gzip, backupset.Unencrypted)}
		data := []byte(fmt.Sprintf("%s of %s at %s", db, who.Node, id))
		sum := sha256.Sum256(data)
		c.Size, c.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
		require.NoError(t, os.WriteFile(s.path(c.File), data, 0o600))
		s.manifest.Components = append(s.manifest.Components, c)
	}
	slices.SortFunc(s.manifest.Components, func(a, b backupset.Component) int { return len(a.File) - len(b.File) })
	var err error
	s.file, err = catalog.WriteManifest(s.path("manifest"), s.manifest)
	require.NoError(t, err)
	return s
}

func newStore(t *testing.T) *dir.Store {
	t.Helper()
	st, err := dir.New(dir.Config{Path: t.TempDir(), Owner: owner.Node})
	require.NoError(t, err)
	return st
}

func names(t *testing.T, s store.Store) []string {
	t.Helper()
	objects, err := s.List(t.Context())
	require.NoError(t, err)
	var all []string
	for _, o := range objects {
		all = append(all, o.Name)
	}
	return all
}

func list(t *testing.T, s store.Store) catalog.Listing {
	t.Helper()
	l, err := catalog.List(t.Context(), s, owner)
	require.NoError(t, err)
	return l
}

// Cut Publish and Adopt after every change: the set is never listed before it is whole, Sweep leaves nothing of it, and the
// same call made again completes it.
func TestPublish_CutAnywhere(t *testing.T) {
	for name, publish := range map[string]func(context.Context, *cutting, set) error{
		"publish": func(ctx context.Context, s *cutting, from set) error {
			return catalog.Publish(ctx, s, from.manifest, from.path, from.file, nil)
		},
		"adopt": func(ctx context.Context, s *cutting, from set) error {
			return catalog.Adopt(ctx, s, from.manifest, from.path, from.file)
		},
	} {
		for after := range 6 {
			for _, then := range []string{"again", "sweep"} {
				t.Run(fmt.Sprintf("%s cut after %d, then %s", name, after, then), func(t *testing.T) {
					s, from := newStore(t), newSet(t, owner, start)
					err := publish(t.Context(), &cutting{s, after}, from)
					if after == 5 {
						require.NoError(t, err, "five changes make a set")
					} else {
						require.ErrorIs(t, err, errCut)
					}
					for _, e := range list(t, s).Sets {
						require.Empty(t, e.Damage)
					}
					if then == "again" {
						require.NoError(t, publish(t.Context(), &cutting{s, 100}, from))
						l := list(t, s)
						require.Len(t, l.Sets, 1)
						require.Empty(t, l.Sets[0].Damage)
						require.Empty(t, l.Open)
						require.Zero(t, l.Foreign)
						return
					}
					_, err = catalog.Sweep(t.Context(), s, owner)
					require.NoError(t, err)
					if after < 4 {
						require.Empty(t, names(t, s))
					} else {
						require.Len(t, names(t, s), 3)
						require.Len(t, list(t, s).Sets, 1)
					}
				})
			}
		}
	}
}

// Cut Remove after every change: what is half gone is not listed, and Sweep finishes.
func TestRemove_CutAnywhere(t *testing.T) {
	for after := range 6 {
		t.Run(fmt.Sprintf("cut after %d", after), func(t *testing.T) {
			s, from := newStore(t), newSet(t, owner, start)
			require.NoError(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil))
			err := catalog.Remove(t.Context(), &cutting{s, after}, owner, from.manifest, t.TempDir())
			if after < 5 {
				require.ErrorIs(t, err, errCut)
			} else {
				require.NoError(t, err)
			}
			for _, e := range list(t, s).Sets {
				require.Empty(t, e.Damage, "a listed set is whole")
			}
			_, err = catalog.Sweep(t.Context(), s, owner)
			require.NoError(t, err)
			if after <= 1 {
				require.Len(t, list(t, s).Sets, 1, "the manifest was still there: the set stays")
				require.Len(t, names(t, s), 3)
			} else {
				require.Empty(t, names(t, s))
			}
		})
	}
}

func TestRemove_RefusesForeignSet(t *testing.T) {
	s, from := newStore(t), newSet(t, other, start)
	require.NoError(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil))
	require.Error(t, catalog.Remove(t.Context(), s, owner, from.manifest, t.TempDir()))
	require.Len(t, names(t, s), 3)
}

// Two nodes share a folder, and files of other programs lie in it, some under names like ours.
func TestSweep_SparesWhatIsNotOurs(t *testing.T) {
	s := newStore(t)
	theirs := newSet(t, other, start)
	require.Error(t, catalog.Publish(t.Context(), &cutting{s, 2}, theirs.manifest, theirs.path, theirs.file, nil))
	foreign := []string{"validator_20200101_000000.sql.gz", "backup_20200101_000000.json", "open_20200101_000001.json", "notes.txt"}
	for _, name := range foreign {
		require.NoError(t, os.WriteFile(s.Path(name), []byte("{}"), 0o600))
	}
	before := names(t, s)
	_, err := catalog.Sweep(t.Context(), s, owner)
	require.NoError(t, err)
	require.Equal(t, before, names(t, s))
	l := list(t, s)
	require.Len(t, l.Unreadable, 1)
	require.Equal(t, 4, l.Foreign)
}

// Another program's dump of the same second has the name that ours would get: we refuse, and never come to own it.
func TestPublish_RefusesTakenNames(t *testing.T) {
	s, from := newStore(t), newSet(t, owner, start)
	seed := s.Path(from.manifest.Components[0].File)
	require.NoError(t, os.WriteFile(seed, []byte("made by the old script"), 0o600))
	require.ErrorIs(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil), store.ErrExists)
	_, err := catalog.Sweep(t.Context(), s, owner)
	require.NoError(t, err)
	require.FileExists(t, seed)

	// The other node's set of the same second.
	s = newStore(t)
	theirs := newSet(t, other, start)
	require.NoError(t, catalog.Publish(t.Context(), s, theirs.manifest, theirs.path, theirs.file, nil))
	before := names(t, s)
	require.ErrorIs(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil), store.ErrExists)
	_, err = catalog.Sweep(t.Context(), s, owner)
	require.NoError(t, err)
	require.Equal(t, before, names(t, s))
}

func TestList_NamesDamage(t *testing.T) {
	s := newStore(t)
	for i := range 3 {
		from := newSet(t, owner, start.Add(time.Duration(i)*time.Hour))
		require.NoError(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil))
		switch c := from.manifest.Components[1]; i {
		case 1:
			require.NoError(t, os.Remove(s.Path(c.File)))
		case 2:
			require.NoError(t, os.Truncate(s.Path(c.File), 3))
		}
	}
	l := list(t, s)
	require.Contains(t, l.Sets[0].Damage, "3 bytes")
	require.Contains(t, l.Sets[1].Damage, "missing")
	require.Empty(t, l.Sets[2].Damage)
	now := start.Add(3 * time.Hour)
	latest, err := l.Find(catalog.Latest, now)
	require.NoError(t, err)
	require.Equal(t, backupset.NewID(start.Add(2*time.Hour)), latest.Manifest.Set, "latest is the newest set, damaged or not")
	good, found := l.LastGood(now)
	require.True(t, found)
	require.Equal(t, backupset.NewID(start), good.Manifest.Set)
	latest, err = l.Find(catalog.Latest, start.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, backupset.NewID(start.Add(time.Hour)), latest.Manifest.Set, "a set dated in the future is not the latest")
	_, found = l.LastGood(start.Add(-time.Hour))
	require.False(t, found)
	_, err = l.Find("20200101_000000", now)
	require.ErrorIs(t, err, store.ErrNotFound)
}

// of gives the set to a participant.
func (s *set) of(t *testing.T, participant string) set {
	t.Helper()
	for i, c := range s.manifest.Components {
		if c.Role == backupset.Participant {
			s.manifest.Components[i].ParticipantEvidence = &backupset.ParticipantEvidence{NodeIDs: []string{participant}}
		}
	}
	var err error
	s.file, err = catalog.WriteManifest(s.path("manifest"), s.manifest)
	require.NoError(t, err)
	return *s
}

// Two hosts of one name share a folder, or one node was onboarded anew: the other participant's sets are not ours to delete.
func TestOwner_Like(t *testing.T) {
	s := newStore(t)
	_, err := owner.LikeNewest(t.Context(), s, start)
	require.ErrorIs(t, err, store.ErrNotFound, "nothing tells which participant we are")

	theirs, cut, ours := newSet(t, owner, start), newSet(t, owner, start.Add(time.Minute)), newSet(t, owner, start.Add(time.Hour))
	theirs.of(t, "PAR::a::1220")
	cut.of(t, "PAR::a::1220")
	ours.of(t, "PAR::b::1220")
	for _, from := range []set{theirs, ours} {
		require.NoError(t, catalog.Publish(t.Context(), s, from.manifest, from.path, from.file, nil))
	}
	require.Error(t, catalog.Publish(t.Context(), &cutting{s, 2}, cut.manifest, cut.path, cut.file, nil)) // one under way
	before := names(t, s)

	own, err := owner.LikeNewest(t.Context(), s, start.Add(2*time.Hour))
	require.NoError(t, err)
	require.ErrorContains(t, catalog.Remove(t.Context(), s, own, theirs.manifest, t.TempDir()), "another participant")
	_, err = catalog.Sweep(t.Context(), s, own)
	require.NoError(t, err)
	require.Equal(t, before, names(t, s))
	l, err := catalog.List(t.Context(), s, own)
	require.NoError(t, err)
	require.Len(t, l.Sets, 2)
	require.True(t, l.Sets[0].Own)
	require.False(t, l.Sets[1].Own)
	wide, err := catalog.List(t.Context(), s, owner)
	require.NoError(t, err)
	narrow, narrowed, err := owner.Narrow(wide, start.Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, own, narrow)
	require.Equal(t, l, narrowed)
	require.True(t, wide.Sets[1].Own, "the listing itself is left as it was")
	require.NoError(t, catalog.Remove(t.Context(), s, own, ours.manifest, t.TempDir()))
	require.Len(t, list(t, s).Sets, 1)
}
