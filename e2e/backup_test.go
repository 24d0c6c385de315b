package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/testbed"
)

// The main job: a moving node, a proven pair on two other places, nothing left behind.
func TestBackup_MovingNodeToBothTargets(t *testing.T) {
	for _, flavour := range []testbed.Flavour{testbed.Current, testbed.Legacy} {
		t.Run(string(flavour), func(t *testing.T) {
			node := sharedNode
			if flavour == testbed.Legacy {
				node = newNode(t, testbed.Options{Flavour: flavour, MigrationID: "4"})
			}
			h := newHost(t, node)
			bucket, sshd := h.s3(), h.rsync()
			id := h.backup()

			m := h.manifest(id)
			require.Equal(t, backupset.Pass, m.Verdict, "%+v", m.Checks)
			p, ok := m.Component(backupset.Participant)
			require.True(t, ok)
			require.Equal(t, node.ParticipantDB(), p.Database)
			require.Equal(t, node.Volume(), m.Facts.PostgresVolume)
			require.Equal(t, node.Project, m.Facts.Project)

			sets := h.list()
			require.Len(t, sets, 1)
			require.Equal(t, []string{"local", "r2", "rsync"}, sets[0].Stores)
			require.Empty(t, sets[0].Damage)
			for _, c := range m.Components {
				require.FileExists(t, filepath.Join(sshd.Home, "canton-backups", "testnet", c.File))
				require.FileExists(t, bucket.Path("testnet/"+h.settings["NODE_NAME"]+"/"+c.File))
			}
			r := h.run("verify")
			require.Equal(t, 0, r.code, r.talk)
			require.Equal(t, 9, strings.Count(r.out, ": OK"), r.out)
			require.Empty(t, h.telegram.messages(), "no noise on success")
			h.tidy()

			log, err := os.ReadFile(filepath.Join(h.home, ".canton", "logs", "backup.log"))
			require.NoError(t, err)
			for _, line := range []string{"Starting backup — network: testnet, type: r2,rsync", "PostgreSQL container: " + node.Container("postgres-splice"),
				"Dumping validator DB...", "✓ validator_" + string(id) + ".sql.gz — ", "Dumping participant DB (" + node.ParticipantDB() + ")...",
				"✓ rsync upload complete", "✓ r2 upload complete", "✓ Backup completed successfully"} {
				require.Equal(t, 1, strings.Count(string(log), line), line)
			}
		})
	}
}

func TestVerify_NoticesOneAlteredByte(t *testing.T) {
	h := newHost(t, sharedNode)
	bucket := h.s3()
	m := h.manifest(h.backup())
	path := bucket.Path("testnet/" + h.settings["NODE_NAME"] + "/" + m.Components[1].File)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	r := h.run("verify")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, "r2 "+m.Components[1].File+": FAILED")
	require.Contains(t, r.out, "local "+m.Components[1].File+": OK")

	require.NoError(t, os.Remove(bucket.Path("testnet/"+h.settings["NODE_NAME"]+"/"+backupset.ManifestName(m.Set))))
	r = h.run("verify")
	require.Equal(t, 1, r.code, "the newest set belongs at every target")
	require.Contains(t, r.out, "r2 "+string(m.Set)+": FAILED — the set is not there")
}

func TestCommands_ExitCodes(t *testing.T) {
	h := newHost(t, sharedNode)
	require.Equal(t, 10, h.run("show").code)
	require.Equal(t, 10, h.run("verify", "20200101_000000").code)
	require.Equal(t, 2, h.run("backup", "--nonsense").code)
	require.Equal(t, 2, h.run("nonsense").code)
	require.Equal(t, 2, h.run("list", "too", "many").code)
	require.Equal(t, 2, h.run("config", "init").code, "an existing file stays")
	h.set("RETENTION_DAYS", "often", "COMPRESSION", "arj")
	r := h.run("backup")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.talk, "RETENTION_DAYS=often")
	require.Contains(t, r.talk, "COMPRESSION=arj")
	require.NoError(t, os.Remove(filepath.Join(h.home, ".canton", "toolkit.conf")))
	r = h.run("backup")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.talk, "canton-backup config init")
	require.Equal(t, 0, h.run("config", "init").code)
	require.Equal(t, 0, h.run("config", "check").code)
	require.Equal(t, 0, h.run("version").code)
}
