package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/testbed"
)

// A set holds the node's identities, asked of the running validator app, encrypted to keys of their own, and gives them out to whoever has the
// private one. When the app is down the set carries the last ones on, and says so; the backup is as good.
func TestBackup_Identities(t *testing.T) {
	t.Parallel()
	n := newNode(t, testbed.Options{Flavour: testbed.Current, Auth: true})
	h := newHost(t, n)
	h.s3()
	own := h.age()
	dumps := h.age()
	h.set("IDENTITIES_RECIPIENTS", publicOf(t, own))
	m := h.manifest(h.backup())
	c, has := m.Component(backupset.Identities)
	require.True(t, has)
	participant, _ := m.Component(backupset.Participant)
	require.Equal(t, participant.ParticipantID(), c.IdentitiesEvidence.ID)
	require.Equal(t, []string{publicOf(t, own)}, c.Recipients)
	require.Equal(t, []string{publicOf(t, dumps)}, participant.Recipients)

	out := filepath.Join(t.TempDir(), "identities.json")
	r := h.run("identities", "--output", out, "--key", dumps)
	require.Equal(t, 12, r.code, r.talk)
	require.NoFileExists(t, out)
	r = h.run("identities", "--output", out, "--key", own, "--store", "r2")
	require.Equal(t, 0, r.code, r.talk)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	var dump struct{ ID string }
	require.NoError(t, json.Unmarshal(data, &dump))
	require.Equal(t, participant.ParticipantID(), dump.ID)
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, n.StopService(t.Context(), testbed.Validator))
	r = h.run("backup", "--json")
	require.Equal(t, 0, r.code, r.talk)
	require.Contains(t, r.out, "IdentitiesStale: IdentitiesUnreachable")
	again, has := h.manifest(backupset.ID(resultSet(t, r.out))).Component(backupset.Identities)
	require.True(t, has)
	require.Equal(t, c.SHA256, again.SHA256)
	require.Equal(t, c.IdentitiesEvidence.TakenAt, again.IdentitiesEvidence.TakenAt)
	require.Len(t, h.telegram.messages(), 1, "the first time")
	require.Contains(t, h.telegram.messages()[0], "IdentitiesStale")
	require.Contains(t, h.run("status").out, "identities STALE")
	require.Equal(t, 0, h.run("backup").code)
	require.Len(t, h.telegram.messages(), 1, "and not again")

	h.set("IDENTITIES", "off")
	r = h.run("backup", "--json")
	require.NotContains(t, r.out, "Identities")
}

func resultSet(t *testing.T, out string) string {
	t.Helper()
	var result struct{ Set string }
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	return result.Set
}
