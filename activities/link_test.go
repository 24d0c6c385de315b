package activities

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/config"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

// An upload leaves the target's rate behind, and the next dump is made for it.
func TestUpload_ShowsTheLink(t *testing.T) {
	s := newSealer(t)
	target, err := dir.New(dir.Config{Path: t.TempDir(), Owner: "n"})
	require.NoError(t, err)
	s.host.Remote = func(config.Settings, config.Kind) (store.Store, error) { return target, nil }
	require.NoError(t, os.WriteFile(s.host.SettingsFile, []byte("BACKUP_TYPE=dir\nDIR_PATH="+t.TempDir()+"\nNODE_NAME=n\nNETWORK=testnet\n"), 0o600))
	settings, err := s.host.settings()
	require.NoError(t, err)
	known := func() int64 { return s.host.link(settings, []Target{{Kind: config.Dir, Location: target.Location()}}) }

	upload := func(in SealInput) {
		t.Helper()
		_, err := s.seal(in)
		require.NoError(t, err)
		var sets *Sets
		_, err = s.env.ExecuteActivity(sets.Upload, UploadInput{Set: in.Set, Target: config.Dir})
		require.NoError(t, err)
	}
	small := s.staged(time.Now().Add(-time.Hour), "PAR::a::1220")
	upload(small)
	require.Zero(t, known(), "a set of some bytes says nothing of the link")

	large := s.staged(time.Now(), "PAR::a::1220")
	content := make([]byte, 8<<20)
	require.NoError(t, os.WriteFile(filepath.Join(stagingOf(settings, large.Set), large.Participant.Staged), content, 0o600))
	large.Participant.Component.Size, large.Participant.Component.SHA256 = int64(len(content)), sum(string(content))
	upload(large)
	require.Positive(t, known())
}

func TestLink(t *testing.T) {
	settings := config.Settings{Home: t.TempDir(), Node: config.Node{Name: "n"}}
	host := &Host{}
	near, far := Target{Location: "dir:/near"}, Target{Location: "s3://far"}
	require.NoError(t, host.rates(settings).Note(near.Location, 100<<20, 1))
	require.NoError(t, host.rates(settings).Note(far.Location, 100<<20, 10))
	for name, c := range map[string]struct {
		limit   int64
		targets []Target
		want    int64
	}{
		"none": {0, nil, 0}, "none, limited": {1 << 20, nil, 0}, "the slowest": {0, []Target{near, far}, 10 << 20}, "the limit is slower": {1 << 20, []Target{near, far}, 1 << 20},
		"the limit is quicker": {50 << 20, []Target{near, far}, 10 << 20}, "new": {0, []Target{{Location: "s3://new"}}, 0}, "new, limited": {1 << 20, []Target{{Location: "s3://new"}}, 1 << 20},
	} {
		settings.Upload.Limit = c.limit
		require.Equal(t, c.want, host.link(settings, c.targets), name)
	}
	require.Equal(t, backupset.Levels{}, Plan{}.Zstd, "a plan of an older program asks for the lowest level")
}
