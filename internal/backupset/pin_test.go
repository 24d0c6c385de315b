package backupset_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
)

func TestPin_SaysWhatItMeansOrIsRefused(t *testing.T) {
	m := backupset.Manifest{Set: "20261123_040000", Node: "node-1", Network: "mainnet"}
	pin, err := backupset.NewPin(m, " before the key rotation ", time.Date(2026, 11, 23, 5, 0, 0, 1, time.UTC))
	require.NoError(t, err)
	require.Equal(t, "before the key rotation", pin.Reason)
	data, err := json.Marshal(pin)
	require.NoError(t, err)
	read, err := backupset.DecodePin(data)
	require.NoError(t, err)
	require.Equal(t, pin, read)
	require.True(t, read.Of(m))
	for _, other := range []backupset.Manifest{
		{Set: "20261123_080000", Node: "node-1", Network: "mainnet"}, {Set: m.Set, Node: "node-2", Network: "mainnet"}, {Set: m.Set, Node: "node-1", Network: "testnet"},
	} {
		require.False(t, read.Of(other))
	}

	for _, reason := range []string{"", "  ", "two\nlines", "bell\a", strings.Repeat("x", 501)} {
		_, err := backupset.NewPin(m, reason, time.Now())
		require.Error(t, err, "%q", reason)
	}
	for _, text := range []string{"", "{}", `{"format":1,"set":"x","node":"n","reason":"r"}`, `{"format":1,"set":"20261123_040000","node":"n"}`} {
		_, err := backupset.DecodePin([]byte(text))
		require.Error(t, err, text)
	}
	_, err = backupset.DecodePin([]byte(`{"format":2,"set":"20261123_040000","node":"n","reason":"r"}`))
	require.ErrorIs(t, err, backupset.ErrNewerFormat)

	id, ok := backupset.ParsePinName(backupset.PinName(m.Set))
	require.True(t, ok)
	require.Equal(t, m.Set, id)
	_, ok = backupset.ParsePinName("pin_notes.json")
	require.False(t, ok)
}

func TestManifest_Epoch(t *testing.T) {
	four := int64(4)
	const before, after = "global-domain::12205e3fa1b2c3d4e5f60718293a4b5c6d7e8f90::35-3", "global-domain::12205e3fa1b2c3d4e5f60718293a4b5c6d7e8f90::35-4"
	set := func(participant *backupset.ParticipantEvidence, validator *backupset.ValidatorEvidence) string {
		return backupset.Manifest{Components: []backupset.Component{
			{Role: backupset.Validator, ValidatorEvidence: validator}, {Role: backupset.Participant, ParticipantEvidence: participant}}}.Epoch()
	}
	told := func(ids ...string) *backupset.ParticipantEvidence {
		return &backupset.ParticipantEvidence{Synchronizers: ids}
	}
	migration := &backupset.ValidatorEvidence{MigrationID: &four}
	require.Equal(t, "global-domain::12205e3fa1b2…::35-4", set(told(after), migration))
	require.NotEqual(t, set(told(before), migration), set(told(after), migration), "an upgrade changes the serial alone")
	require.Equal(t, set(told(after, "private::1220::34-0"), nil), set(told("private::1220::34-0", after), nil))
	require.Equal(t, "migration id 4", set(told(), migration), "Canton 3.3 has no physical id")
	require.Equal(t, "migration id 4", set(nil, migration))
	require.Empty(t, set(nil, nil))
	require.Empty(t, set(told(), &backupset.ValidatorEvidence{}))
}
