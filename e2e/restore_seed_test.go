package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

// The restore lines of the customer's guide, run as they stand on a set of ours, break the node and say nothing. They are why a restore here does what it
// does: whoever thinks of making it simpler reads this first.
func TestRestore_TheGuidesLinesBreak(t *testing.T) {
	t.Parallel()
	node := newNode(t, testbed.Options{Auth: true})
	h := newHost(t, node)
	m := h.manifest(h.backup())
	h.env = append(h.env, "PG_CONTAINER="+node.Container("postgres-splice"), "PARTICIPANT_DB="+node.ParticipantDB(), "VALIDATOR_DIR="+node.Bundle,
		"PARTICIPANT_CONTAINER="+node.Container("participant"), "DUMP="+filepath.Join(h.backupDir(), m.Components[1].File))

	t.Run("the start line: refused without -o, and auth is off after it", func(t *testing.T) {
		h.shell(`cd "$VALIDATOR_DIR" && ./stop.sh`)
		start := `cd "$VALIDATOR_DIR" && ./start.sh -s ` + node.Scan + ` -c ` + node.Scan + ` -p ` + node.PartyHint + ` -w`
		out, err := h.tryShell(start)
		require.Error(t, err)
		require.Contains(t, out, "onboarding secret")
		out, err = h.tryShell(start + ` -o ""`)
		require.NoError(t, err, out)
		files := h.shell(`docker inspect -f '{{index .Config.Labels "com.docker.compose.project.config_files"}}' "$PARTICIPANT_CONTAINER"`)
		require.Contains(t, files, "compose-disable-auth.yaml", "the node was made with -a, and is open now")
	})
	t.Run("psql into a populated database: exit 0, and rows twice", func(t *testing.T) {
		require.Equal(t, "1", sqlOf(t, node, node.ParticipantDB(), "SELECT count(*) FROM participant.lapi_parameters"))
		out, err := h.tryShell(`gunzip -c "$DUMP" | docker exec -i "$PG_CONTAINER" psql -U cnadmin -d "$PARTICIPANT_DB" 2>&1 | grep -c ERROR; docker stop "$PARTICIPANT_CONTAINER" >/dev/null`)
		require.NoError(t, err, out)
		require.Regexp(t, `^[0-9]{2,}\n`, out, "errors by the dozen, and no exit code tells")
		require.Equal(t, "2", sqlOf(t, node, node.ParticipantDB(), "SELECT count(*) FROM participant.lapi_parameters"), "a node that has one ledger end too many")
	})
	t.Run("the participant's container is not there to ask", func(t *testing.T) {
		h.shell(`cd "$VALIDATOR_DIR" && ./stop.sh`)
		out, err := h.tryShell(`docker exec "$PARTICIPANT_CONTAINER" bash -c 'echo $CANTON_PARTICIPANT_POSTGRES_DB' 2>/dev/null || echo "participant_0"`)
		require.NoError(t, err)
		require.Equal(t, "participant_0\n", out, "a database that no compose node has")
	})
	t.Run("postgres alone without its variable", func(t *testing.T) {
		h.shell(`cd "$VALIDATOR_DIR" && IMAGE_TAG=$(cat ../../VERSION) docker compose up -d --no-deps postgres-splice 2>&1 || true`)
		require.Eventually(t, func() bool {
			logs, err := node.Logs(t.Context(), testbed.Postgres)
			return err == nil && strings.Contains(logs, "zero-length delimited identifier")
		}, time.Minute, 200*time.Millisecond, "CREATE DATABASE with an empty name")
	})
}
