package uplink_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/uplink"
)

func TestRates(t *testing.T) {
	r := uplink.Rates{File: filepath.Join(t.TempDir(), "logs", "uplink.json"), Lock: &sync.Mutex{}}
	require.Zero(t, r.Slowest([]string{"a"}), "nothing is known")
	require.NoError(t, r.Note("a", 100<<20, 10))
	require.NoError(t, r.Note("b", 100<<20, 1))
	require.EqualValues(t, 10<<20, r.Slowest([]string{"a", "b", "never seen"}))
	require.EqualValues(t, 100<<20, r.Slowest([]string{"b"}))
	require.Zero(t, r.Slowest(nil))
	info, err := os.Stat(r.File)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, r.Note("a", 300<<20, 10))
	require.EqualValues(t, 20<<20, r.Slowest([]string{"a"}), "the newest counts half")
	require.NoError(t, r.Note("a", 1000, 100))
	require.NoError(t, r.Note("a", 100<<20, 0))
	require.EqualValues(t, 20<<20, r.Slowest([]string{"a"}), "what says nothing of the link changes nothing")
}

// A hint that cannot be read is none, and the next upload writes it anew.
func TestRates_Broken(t *testing.T) {
	for _, text := range []string{"", "null", "[]", "{\"a\": \"fast\"}", "{\"a\": -5}", "{\"a\": 1"} {
		r := uplink.Rates{File: filepath.Join(t.TempDir(), "uplink.json"), Lock: &sync.Mutex{}}
		require.NoError(t, os.WriteFile(r.File, []byte(text), 0o600))
		require.Zero(t, r.Slowest([]string{"a"}), text)
		require.NoError(t, r.Note("b", 8<<20, 1))
		require.EqualValues(t, 8<<20, r.Slowest([]string{"b"}), text)
	}
}

// Uploads to several targets end together.
func TestRates_AtTheSameTime(t *testing.T) {
	r := uplink.Rates{File: filepath.Join(t.TempDir(), "uplink.json"), Lock: &sync.Mutex{}}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { _ = r.Note(string(rune('a'+i)), 100<<20, 1) })
	}
	all.Wait()
	for i := range 20 {
		require.EqualValues(t, 100<<20, r.Slowest([]string{string(rune('a' + i))}))
	}
}

func TestRates_CannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, uplink.Rates{File: filepath.Join(file, "uplink.json"), Lock: &sync.Mutex{}}.Note("a", 8<<20, 1), "note upload rate")
}
