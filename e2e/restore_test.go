package e2e_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/testbed"
)

// damage is what happens to a node before it is restored.
var damages = map[string]func(t *testing.T, n *testbed.Node){
	"tables dropped": func(t *testing.T, n *testbed.Node) {
		sqlOf(t, n, n.ParticipantDB(), "DROP SCHEMA participant CASCADE")
		sqlOf(t, n, "validator", "DROP TABLE validator.user_wallet_txlog_store")
	},
	"volume deleted": func(t *testing.T, n *testbed.Node) {
		require.NoError(t, n.Stop(t.Context()))
		out, err := exec.CommandContext(t.Context(), "docker", "volume", "rm", n.Volume()).CombinedOutput()
		require.NoError(t, err, string(out))
	},
}

// A node that was damaged comes back with one command: healthy, writing, a pair.
func TestRestore_BringsADamagedNodeBack(t *testing.T) {
	t.Parallel()
	for _, o := range []testbed.Options{{Auth: true, Strict: true}, {Flavour: testbed.Legacy, MigrationID: "4", Strict: true}} {
		name := string(o.Flavour)
		if name == "" {
			name = string(testbed.Current)
		}
		t.Run(name, func(t *testing.T) {
			node := newNode(t, o)
			h := newHost(t, node)
			h.s3()
			id, err := node.ParticipantID(t.Context())
			require.NoError(t, err)
			for name, damage := range damages {
				t.Run(name, func(t *testing.T) {
					set := h.backup()
					damage(t, node)
					r := h.run("restore", string(set), "--yes")
					require.Equal(t, 0, r.code, r.talk)
					h.healthy(id)
					h.tidy()
				})
			}
		})
	}
}

// servicesHealthy asserts that Docker calls participant and validator healthy.
func (h *host) servicesHealthy() {
	h.t.Helper()
	for _, service := range []testbed.Service{testbed.Participant, testbed.Validator} {
		health, err := h.node.Health(h.t.Context(), service)
		require.NoError(h.t, err)
		require.Equal(h.t, "healthy", health, service)
	}
}

// healthy asserts that the node is the participant that it was, healthy, writing, and a pair.
func (h *host) healthy(participant string) {
	h.t.Helper()
	h.servicesHealthy()
	id, err := h.node.ParticipantID(h.t.Context())
	require.NoError(h.t, err)
	require.Equal(h.t, participant, id)
	end, ingested, err := h.node.Offsets(h.t.Context())
	require.NoError(h.t, err)
	require.LessOrEqual(h.t, ingested, end)
	require.Eventually(h.t, func() bool {
		later, _, err := h.node.Offsets(h.t.Context())
		return err == nil && later > end
	}, 30*time.Second, 100*time.Millisecond, "the node writes again")
	require.Equal(h.t, backupset.Pass, h.manifest(h.backup()).Verdict)
}
