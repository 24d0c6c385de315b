package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

// The host is lost: the set at the target comes up on another one, whose PostgreSQL is empty and of a later major version. That is the way to upgrade it,
// too.
func TestRestore_OnAFreshHostWithANewerServer(t *testing.T) {
	t.Parallel()
	lost := newNode(t, testbed.Options{Flavour: testbed.Legacy, MigrationID: "4"})
	h := newHost(t, lost)
	bucket := h.s3()
	id, err := lost.ParticipantID(t.Context())
	require.NoError(t, err)
	h.backup()
	require.NoError(t, lost.Stop(t.Context()))

	fresh := newHost(t, newNode(t, testbed.Options{Flavour: testbed.Legacy, MigrationID: "4", PostgresMajor: 17, Strict: true}))
	fresh.set("BACKUP_TYPE", "r2", "R2_BUCKET", bucket.Bucket, "R2_ENDPOINT", "http://"+bucket.Addr, "R2_ACCESS_KEY", bucket.AccessKey, "R2_SECRET_KEY", bucket.SecretKey.Reveal(),
		"NODE_NAME", h.settings["NODE_NAME"])
	r := fresh.run("restore", "latest", "--plan")
	require.Equal(t, 1, r.code, "the participant that lives there is another one")
	require.Contains(t, r.out, "REFUSED node — the set is of "+id)
	r = fresh.run("restore", "latest", "--yes", "--override", "node")
	require.Equal(t, 0, r.code, r.talk)
	require.Contains(t, r.talk, "⚠ Overridden: node")
	fresh.healthy(id)

	// The way back over the versions is closed.
	require.NoError(t, fresh.node.Stop(t.Context()))
	require.NoError(t, lost.Start(t.Context()))
	h.set("BACKUP_DIR", fresh.backupDir())
	r = h.run("restore", "latest", "--from", "local", "--plan")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, "REFUSED server — the set was dumped from PostgreSQL 17")
}

// One half alone: the one that stays must fit.
func TestRestore_OneHalf(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Strict: true})
	h := newHost(t, node)
	id, err := node.ParticipantID(t.Context())
	require.NoError(t, err)
	set := string(h.backup())
	require.NoError(t, err)

	r := h.run("restore", set, "--only", "participant", "--yes")
	require.Equal(t, 1, r.code, r.talk)
	require.Contains(t, r.talk, "the validator is ahead of the participant")
	require.Contains(t, r.talk, "the node runs on its old data")
	h.healthy(id)

	sqlOf(t, node, testbed.ValidatorDB, "DROP TABLE validator.user_wallet_txlog_store")
	r = h.run("restore", set, "--only", "validator", "--yes")
	require.Equal(t, 0, r.code, r.talk)
	require.Equal(t, "1", sqlOf(t, node, testbed.ValidatorDB, "SELECT count(*) FROM pg_tables WHERE tablename = 'user_wallet_txlog_store'"))
	h.healthy(id)
	require.Equal(t, 2, h.run("restore", set, "--only", "both", "--yes").code)
	require.Equal(t, 2, h.run("restore", set, "--override", "everything", "--yes").code)
	require.Equal(t, 2, h.run("restore", set).code, "nobody answers the question")
}
