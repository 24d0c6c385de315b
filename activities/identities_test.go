package activities

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/identities"
)

// The node cannot be asked: the identities of the newest earlier set of the same participant are carried on as they lie there, byte for byte,
// and the warning says so; where there is none, or a plain one and the settings encrypt by now, the set holds none.
func TestCarryOn_StaleOrMissing(t *testing.T) {
	s := newSealer(t)
	settings, err := s.host.settings()
	require.NoError(t, err)
	now := time.Now()
	taken := now.Add(-3 * time.Hour).UTC().Truncate(time.Second)
	d := &Dumps{s.host}
	step := func(participant string, at time.Time) IdentitiesInput {
		return IdentitiesInput{DumpInput: DumpInput{Set: backupset.NewID(at)}, Participant: participant}
	}
	carry := func(in IdentitiesInput) IdentitiesDump {
		t.Helper()
		settings, err = s.host.settings()
		require.NoError(t, err)
		dump, err := d.carryOn(t.Context(), settings, in, identities.ErrUnreachable)
		require.NoError(t, err)
		return dump
	}
	none := carry(step("PAR::a::1220", now))
	require.Nil(t, none.Dump)
	require.Contains(t, none.Warning, "IdentitiesMissing: IdentitiesUnreachable")
	require.False(t, none.New, "there was none before, either")

	in := s.staged(taken, "PAR::a::1220")
	const text = `{"id":"PAR::a::1220"}`
	file := filepath.Join(stagingOf(settings, in.Set), "identities")
	c := backupset.Component{Role: backupset.Identities, File: backupset.IdentitiesName(in.Set, ""), Size: int64(len(text)), PlainSize: int64(len(text)),
		IdentitiesEvidence: &backupset.IdentitiesEvidence{ID: "PAR::a::1220", Version: "0.6.11", TakenAt: taken, For: in.Set}}
	c.SHA256 = sum(text)
	c.PlainSHA256 = c.SHA256
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	in.Identities = &Dump{Component: c, Staged: "identities"}
	_, err = s.seal(in)
	require.NoError(t, err)

	stale := carry(step("PAR::a::1220", now))
	require.Contains(t, stale.Warning, "IdentitiesStale: IdentitiesUnreachable")
	require.Contains(t, stale.Warning, "3h0m")
	require.True(t, stale.New, "the set before had fresh ones")
	require.Equal(t, in.Set, stale.Dump.Component.IdentitiesEvidence.For)
	require.Equal(t, taken, stale.Dump.Component.IdentitiesEvidence.TakenAt)
	require.Equal(t, c.SHA256, stale.Dump.Component.SHA256)
	data, err := os.ReadFile(filepath.Join(stagingOf(settings, backupset.NewID(now)), stale.Dump.Staged))
	require.NoError(t, err)
	require.Equal(t, text, string(data))

	require.Nil(t, carry(step("PAR::b::1220", now)).Dump, "another participant's")
	require.Nil(t, carry(step("", now)).Dump, "nobody knows whose")

	conf, err := os.ReadFile(s.host.SettingsFile)
	require.NoError(t, err)
	conf = append(conf, "ENCRYPTION=age\nAGE_RECIPIENTS=age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"...)
	require.NoError(t, os.WriteFile(s.host.SettingsFile, conf, 0o600))
	require.Nil(t, carry(step("PAR::a::1220", now)).Dump, "a plain one among encrypted dumps")
}
