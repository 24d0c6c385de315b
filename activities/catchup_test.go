package activities

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

// hurried is a clock that stands for its first two looks and is later by step at each one after.
func hurried(from time.Time, step time.Duration) func() time.Time {
	looks := 0
	return func() time.Time {
		if looks++; looks > 3 {
			from = from.Add(step)
		}
		return from
	}
}

// A target that was away for some runs gets what it missed, newest first, but neither what retention would release there nor another
// node's sets; and the second time there is nothing left to do.
func TestCatchUp_SendsWhatTheTargetMissed(t *testing.T) {
	s := newSealer(t)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(s.host.SettingsFile, []byte("BACKUP_TYPE=rsync\nREMOTE_HOST=h\nREMOTE_PATH=p\nNODE_NAME=n\nNETWORK=testnet\nRETENTION_DAYS=2\nKEEP_LAST=1\n"), 0o600))
	target, err := dir.New(dir.Config{Path: folder, Owner: "n"})
	require.NoError(t, err)
	s.host.Remote = func(config.Settings, config.Kind) (store.Store, error) { return target, nil }
	now := time.Now()
	var ids []backupset.ID
	for _, age := range []time.Duration{10 * 24 * time.Hour, 20 * time.Hour, 10 * time.Hour, 0} {
		in := s.staged(now.Add(-age), "PAR::a::1220")
		_, err := s.seal(in)
		require.NoError(t, err)
		ids = append(ids, in.Set)
	}
	foreign := s.staged(now.Add(-5*time.Hour), "PAR::b::1220")
	_, err = s.seal(foreign)
	require.NoError(t, err)

	// Ten days old, and pinned here.
	settings, err := s.host.settings()
	require.NoError(t, err)
	local, err := s.host.Local(settings)
	require.NoError(t, err)
	own := catalog.Owner{Node: "n", Network: "testnet"}
	here, err := catalog.List(context.Background(), local, own)
	require.NoError(t, err)
	oldest, err := here.Find(string(ids[0]), now)
	require.NoError(t, err)
	released := s.staged(now.Add(-11*24*time.Hour), "PAR::a::1220")
	_, err = s.seal(released)
	require.NoError(t, err)
	require.NoError(t, catalog.Pin(context.Background(), local, own, oldest.Manifest, "before the reset", now, t.TempDir()))

	newest := ids[len(ids)-1]
	var sets *Sets
	_, err = s.env.ExecuteActivity(sets.Upload, UploadInput{Set: newest, Target: config.Rsync})
	require.NoError(t, err)
	catchUp := func() []backupset.ID {
		value, err := s.env.ExecuteActivity(sets.CatchUp, CatchUpInput{Set: newest, Target: config.Rsync})
		require.NoError(t, err)
		var caught CaughtUp
		require.NoError(t, value.Get(&caught))
		return caught.Sets
	}
	s.host.Now = hurried(now, 3*time.Hour) // half of four hours is over after the first
	require.Equal(t, []backupset.ID{ids[2]}, catchUp())
	s.host.Now = time.Now
	require.Equal(t, []backupset.ID{ids[1], ids[0]}, catchUp())
	listing, err := catalog.List(context.Background(), target, catalog.Owner{Node: "n", Network: "testnet"})
	require.NoError(t, err)
	require.Len(t, listing.Sets, 4)
	for _, e := range listing.Sets {
		require.Empty(t, e.Damage)
	}
	require.Equal(t, "before the reset", listing.Sets[3].Pinned)
	require.Empty(t, catchUp())

	// Plain sets stay here where the settings encrypt by now.
	require.NoError(t, os.RemoveAll(folder))
	require.NoError(t, os.MkdirAll(folder, 0o700))
	settings.Encryption.Method = backupset.Age
	here, err = catalog.List(context.Background(), local, catalog.Owner{Node: "n", Network: "testnet"})
	require.NoError(t, err)
	require.Empty(t, Missed(now, here, catalog.Listing{}, settings))
	require.DirExists(t, filepath.Dir(folder))
}
