package backupset_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
)

var update = flag.Bool("update", false, "write golden files anew")

func manifest() backupset.Manifest {
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	id := backupset.NewID(at)
	v, p := pair()
	v.Database, v.Codec, v.Size, v.SHA256 = "validator", backupset.Gzip, 45, strings.Repeat("a", 64)
	p.Database, p.Codec, p.Size, p.SHA256 = "participant-4", backupset.Gzip, 120, strings.Repeat("b", 64)
	v.File, p.File = backupset.DumpName(v.Database, id, v.Codec, backupset.Unencrypted), backupset.DumpName(p.Database, id, p.Codec, backupset.Unencrypted)
	checks, verdict := backupset.Prove(v, p)
	return backupset.Manifest{Format: 1, Set: id, Node: "node-1", Network: "mainnet", SealedAt: at, Program: "canton-backup test",
		Components: []backupset.Component{v, p}, Checks: checks, Verdict: verdict}
}

// The golden file is append-only: every released format must stay readable.
func TestManifest_Golden(t *testing.T) {
	const golden = "testdata/manifest_v1.json"
	got, err := manifest().Encode()
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(got)))
	read, err := backupset.Decode(want)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(manifest(), read))
	require.Equal(t, int64(165), read.Bytes())
}

// What a manifest says decides which files are deleted: one that names anything but its own dumps is refused.
func TestDecode_RefusesForged(t *testing.T) {
	for name, change := range map[string]func(m *backupset.Manifest){
		"path":                        func(m *backupset.Manifest) { m.Components[0].File = "../../etc/passwd" },
		"foreign file":                func(m *backupset.Manifest) { m.Components[0].File = "photos.tar" },
		"other set's file":            func(m *backupset.Manifest) { m.Components[0].File = "validator_20200101_000000.sql.gz" },
		"half a pair":                 func(m *backupset.Manifest) { m.Components = m.Components[:1] },
		"same half twice":             func(m *backupset.Manifest) { m.Components[1] = m.Components[0] },
		"no digest":                   func(m *backupset.Manifest) { m.Components[0].SHA256 = "" },
		"zero bytes":                  func(m *backupset.Manifest) { m.Components[0].Size = 0 },
		"no node":                     func(m *backupset.Manifest) { m.Node = "" },
		"bad id":                      func(m *backupset.Manifest) { m.Set = "20261399_000000" },
		"recipient that is an option": func(m *backupset.Manifest) { m.Components[0].Recipients = []string{"--output=/etc/passwd"} },
		"unknown encryption":          func(m *backupset.Manifest) { m.Components[0].Encryption = "rot13" },
		"unknown codec":               func(m *backupset.Manifest) { m.Components[0].Codec = "lz4" },
		"no format":                   func(m *backupset.Manifest) { m.Format = 0 },
		"newer format":                func(m *backupset.Manifest) { m.Format = backupset.Format + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			m := manifest()
			change(&m)
			data, err := m.Encode()
			require.NoError(t, err)
			_, err = backupset.Decode(data)
			require.Error(t, err)
			if name == "newer format" {
				require.ErrorIs(t, err, backupset.ErrNewerFormat)
			}
		})
	}
	_, err := backupset.Decode([]byte(`{"format":1,`))
	require.Error(t, err)
}

func TestDumpName(t *testing.T) {
	id := backupset.ID("20240115_140002")
	for database, want := range map[string]string{
		"validator":      "validator_20240115_140002.sql.gz",
		"participant-10": "participant-10_20240115_140002.sql.gz",
		`we"ird db`:      "we%22ird%20db_20240115_140002.sql.gz",
		"a/b":            "a%2Fb_20240115_140002.sql.gz",
		"a;b\nc":         "a%3Bb%0Ac_20240115_140002.sql.gz",
		"a%2Fb":          "a%252Fb_20240115_140002.sql.gz",
	} {
		require.Equal(t, want, backupset.DumpName(database, id, backupset.Gzip, backupset.Unencrypted))
	}
	require.Equal(t, "validator_20240115_140002.sql.zst", backupset.DumpName("validator", id, backupset.Zstd, backupset.Unencrypted))
}

func TestNames_RoundTrip(t *testing.T) {
	id := backupset.NewID(time.Date(2026, 11, 23, 4, 5, 6, 0, time.FixedZone("x", 3600)))
	require.Equal(t, backupset.ID("20261123_030506"), id)
	got, ok := backupset.ParseManifestName(backupset.ManifestName(id))
	require.True(t, ok)
	require.Equal(t, id, got)
	got, ok = backupset.ParseIntentName(backupset.IntentName(id))
	require.True(t, ok)
	require.Equal(t, id, got)
	for _, name := range []string{"backup_.json", "backup_x.json", "backup_20261123_030506.json.bak", "open_20261123_030506.json", "validator_20261123_030506.sql.gz"} {
		_, ok := backupset.ParseManifestName(name)
		require.False(t, ok, name)
	}
}
