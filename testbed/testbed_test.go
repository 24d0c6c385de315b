package testbed

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUp brings up both flavours and looks at what a backup tool will meet.
func TestUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, participantDB string
		options             Options
	}{
		{"current", "participant", Options{Flavour: Current}},
		{"legacy", "participant-4", Options{Flavour: Legacy, MigrationID: "4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.NoSync = true
			n := Start(t, c.options)
			ctx := t.Context()

			databases, err := n.SQL(ctx, "postgres", "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1")
			require.NoError(t, err)
			require.Equal(t, []string{c.participantDB, ValidatorDB}, lines(databases))
			require.Equal(t, c.participantDB, n.ParticipantDB())
			env, err := docker(ctx, "inspect", "--format", "{{join .Config.Env \"\\n\"}}", n.Container(Participant))
			require.NoError(t, err)
			require.Contains(t, lines(env), "CANTON_PARTICIPANT_POSTGRES_DB="+c.participantDB)
			files, err := docker(ctx, "inspect", "--format", `{{index .Config.Labels "com.docker.compose.project.config_files"}}`, n.Container(Participant))
			require.NoError(t, err)
			require.Contains(t, files, "compose-disable-auth.yaml")
			require.FileExists(t, filepath.Join(n.Dir, ".canton/current/splice-node/docker-compose/validator/start.sh"))

			writes(t, n)
			inOrder(t, n, 25)
			ofOneParticipant(t, n)
		})
	}
}

// writes waits for both databases to move on.
func writes(t *testing.T, n *Node) {
	t.Helper()
	end, ingested, err := n.Offsets(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		laterEnd, laterIngested, err := n.Offsets(t.Context())
		return err == nil && laterEnd > end && laterIngested > ingested
	}, 15*time.Second, 200*time.Millisecond, "ledger end %d, ingested %d do not move", end, ingested)
}

// inOrder reads the pair many times: the validator app must never be ahead.
func inOrder(t *testing.T, n *Node, reads int) {
	t.Helper()
	for range reads {
		end, ingested, err := n.Offsets(t.Context())
		require.NoError(t, err)
		require.LessOrEqual(t, ingested, end)
		require.Positive(t, ingested)
	}
	old, err := n.number(t.Context(), ValidatorDB, `SELECT min(('x' || right(last_ingested_offset, 16))::bit(64)::bigint)
		FROM validator.store_last_ingested_offsets WHERE migration_id < (SELECT max(migration_id) FROM validator.store_last_ingested_offsets)`)
	require.NoError(t, err)
	end, _, err := n.Offsets(t.Context())
	require.NoError(t, err)
	require.Greater(t, old, end, "the migration before must hold an offset that a careless check falls for")
}

// ofOneParticipant compares the two databases' words for the node.
func ofOneParticipant(t *testing.T, n *Node) {
	t.Helper()
	id, err := n.ParticipantID(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^PAR::testbed-validator-1::1220[0-9a-f]{64}$`, id)
	stores, err := n.SQL(t.Context(), ValidatorDB, "SELECT DISTINCT descriptor->>'participant' FROM validator.store_descriptors")
	require.NoError(t, err)
	require.Equal(t, id, stores)
}

// TestStart_flags is about what start.sh insists on.
func TestStart_flags(t *testing.T) {
	for _, c := range []struct {
		name    string
		flavour Flavour
		args    []string
		want    string
	}{
		{"no secret", Current, []string{"-s", "http://sv", "-p", "hint-1"}, "Please provide the onboarding secret"},
		{"no sponsor", Current, []string{"-o", "", "-p", "hint-1"}, "address of the sponsoring SV"},
		{"no party hint", Current, []string{"-o", "", "-s", "http://sv"}, "party hint"},
		{"no migration id", Legacy, []string{"-o", "", "-s", "http://sv", "-p", "hint-1"}, "migration id with -m"},
		{"odd migration id", Legacy, []string{"-o", "", "-s", "http://sv", "-p", "hint-1", "-m", "four"}, "must be a number"},
		{"flag of a later bundle", Legacy, []string{"-k", "-o", "", "-s", "http://sv", "-p", "hint-1", "-m", "1"}, "Usage"},
		{"dump without identifier", Current, []string{"-o", "", "-s", "http://sv", "-p", "hint-1", "-i", "/dump"}, "new participant identifier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := Options{Dir: t.TempDir(), Flavour: c.flavour}.resolved()
			require.NoError(t, err)
			n := &Node{Options: o}
			n.Bundle, err = writeBundle(o, "unused", "", "")
			require.NoError(t, err)
			_, err = n.RunScript(t.Context(), "start.sh", c.args...)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestNode_restart walks through stop.sh and start.sh: the volume keeps the node, and an empty secret is enough to come back.
func TestNode_restart(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true})
	ctx := t.Context()
	id, err := n.ParticipantID(ctx)
	require.NoError(t, err)
	end, _, err := n.Offsets(ctx)
	require.NoError(t, err)

	_, err = Up(ctx, Options{Dir: t.TempDir(), Project: "Not A Name"})
	require.ErrorContains(t, err, "no project name")

	require.NoError(t, n.Stop(ctx))
	_, err = docker(ctx, "inspect", n.Container(Participant))
	require.Error(t, err, "stop.sh removes the containers")
	require.True(t, n.Exists(ctx), "stop.sh keeps the volume")

	// A second participant database beside the first is refused.
	_, err = n.RunScript(ctx, "start.sh", "-s", n.Scan, "-c", n.Scan, "-o", "", "-p", n.PartyHint, "-m", "7", "-w")
	require.Error(t, err)
	log, err := n.Logs(ctx, Postgres)
	require.NoError(t, err)
	require.Contains(t, log, "ERROR: Refusing to create participant database 'participant-7' because the following participant database(s) already exist: participant")
	require.NoError(t, n.Stop(ctx))

	// Postgres alone, as people who do not know of PARTICIPANT_DB_NAME start it.
	alone := exec.CommandContext(ctx, "docker", "compose", "up", "-d", "--wait", Postgres)
	alone.Dir = n.Bundle
	_, err = output(ctx, alone)
	require.Error(t, err)
	log, err = n.Logs(ctx, Postgres)
	require.NoError(t, err)
	require.Contains(t, log, "zero-length delimited identifier")
	require.NoError(t, n.Stop(ctx))

	_, err = n.RunScript(ctx, "start.sh", "-s", n.Scan, "-c", n.Scan, "-o", "", "-p", n.PartyHint, "-w")
	require.NoError(t, err)
	again, err := n.ParticipantID(ctx)
	require.NoError(t, err)
	require.Equal(t, id, again)
	later, _, err := n.Offsets(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, later, end)
	writes(t, n)
}

// TestNode_refuses plants what a bad restore leaves behind, and looks for the refusal in the log of the program that must notice.
func TestNode_refuses(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true, Strict: true})
	reverse := "UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '00000000ffffffffff' WHERE store_id = 1 AND migration_id = 1"
	for _, c := range []struct {
		name    string
		db      string
		plant   string
		undo    string
		service Service
		want    string
	}{
		{"two ledger ends", n.ParticipantDB(), "INSERT INTO participant.lapi_parameters SELECT * FROM participant.lapi_parameters",
			"DELETE FROM participant.lapi_parameters WHERE ctid <> (SELECT min(ctid) FROM participant.lapi_parameters)", Participant, "lapi_parameters has 2 rows"},
		{"no ledger end", n.ParticipantDB(), "CREATE TABLE keep AS SELECT * FROM participant.lapi_parameters; DELETE FROM participant.lapi_parameters",
			"INSERT INTO participant.lapi_parameters SELECT * FROM keep; DROP TABLE keep", Participant, "lapi_parameters has 0 rows"},
		{"no identity", n.ParticipantDB(), "CREATE TABLE keep AS SELECT * FROM participant.common_node_id; DELETE FROM participant.common_node_id",
			"INSERT INTO participant.common_node_id SELECT * FROM keep; DROP TABLE keep", Participant, "common_node_id 0"},
		{"another participant", n.ParticipantDB(), "UPDATE participant.common_node_id SET namespace = reverse(namespace)",
			"UPDATE participant.common_node_id SET namespace = reverse(namespace)", Validator, "node identity mismatch"},
		{"another identifier", n.ParticipantDB(), "UPDATE participant.common_node_id SET identifier = reverse(identifier)",
			"UPDATE participant.common_node_id SET identifier = reverse(identifier)", Validator, "node identity mismatch"},
		{"reversed pair", ValidatorDB, reverse, "UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '' WHERE store_id = 1 AND migration_id = 1",
			Validator, "beyond the participant's ledger end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			require.NoError(t, n.StopService(ctx, Validator))
			require.NoError(t, n.StopService(ctx, Participant))
			_, err := n.SQL(ctx, c.db, c.plant)
			require.NoError(t, err)
			before := strings.Count(logs(t, n, c.service), c.want)
			_, err = docker(ctx, "start", n.Container(Participant), n.Container(Validator))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return strings.Count(logs(t, n, c.service), c.want) > before }, 30*time.Second, 200*time.Millisecond)

			_, err = n.SQL(ctx, c.db, c.undo)
			require.NoError(t, err)
			require.NoError(t, n.StartService(ctx, Participant))
			require.NoError(t, n.StartService(ctx, Validator))
			writes(t, n)
		})
	}
}

// TestNode_reversedPairComesUpGreen is the trap for restores: without STRICT, as in reality, nothing complains.
func TestNode_reversedPairComesUpGreen(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true})
	ctx := t.Context()
	require.NoError(t, n.StopService(ctx, Validator))
	_, err := n.SQL(ctx, ValidatorDB, "UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '00000000ffffffffff' WHERE migration_id = 1")
	require.NoError(t, err)
	require.NoError(t, n.StartService(ctx, Validator))
	end, ingested, err := n.Offsets(ctx)
	require.NoError(t, err)
	require.Greater(t, ingested, end)
}

// TestNode_quiet is a fresh node: both offsets are those of the beginning.
func TestNode_quiet(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true, Quiet: true})
	end, ingested, err := n.Offsets(t.Context())
	require.NoError(t, err)
	require.Zero(t, end)
	require.Zero(t, ingested)
}

// TestNode_Fill adds bytes that do not compress, and no fewer than it was told.
func TestNode_Fill(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true})
	size := func() int64 {
		bytes, err := n.number(t.Context(), n.ParticipantDB(), "SELECT pg_database_size(current_database())")
		require.NoError(t, err)
		return bytes
	}
	before := size()
	require.NoError(t, n.Fill(t.Context(), 30))
	require.NoError(t, n.Fill(t.Context(), 10), "a second fill must not meet the first")
	require.Greater(t, size()-before, int64(39_000_000))
	packed, err := docker(t.Context(), "exec", n.Container(Postgres), "bash", "-c", "pg_dump -U "+User+" -t participant.common_sequenced_events "+n.ParticipantDB()+" | gzip -1 | wc -c")
	require.NoError(t, err)
	bytes, err := strconv.ParseInt(packed, 10, 64)
	require.NoError(t, err)
	require.Greater(t, bytes, int64(36_000_000), "hex of random bytes packs to the bytes, not below")
	inOrder(t, n, 3)
}

// TestNode_FillKind adds so much SQL text of each kind, by seed, and Empty takes it away again.
func TestNode_FillKind(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true, Quiet: true})
	ctx := t.Context()
	text := func() int64 {
		size, err := docker(ctx, "exec", n.Container(Postgres), "bash", "-c", "pg_dump -U "+User+" "+n.ParticipantDB()+" | wc -c")
		require.NoError(t, err)
		bytes, err := strconv.ParseInt(size, 10, 64)
		require.NoError(t, err)
		return bytes
	}
	events := func() string {
		sum, err := n.SQL(ctx, n.ParticipantDB(), "SELECT md5(string_agg(md5(sequenced_event), '' ORDER BY ts)) FROM participant.common_sequenced_events")
		require.NoError(t, err)
		return sum
	}
	empty := text()
	for _, kind := range []Kind{Text, Hex, Random, Mixed} {
		require.NoError(t, n.FillKind(ctx, kind, 6, 1))
		require.InEpsilon(t, 6_000_000, text()-empty, 0.03, kind)
		require.NoError(t, n.FillKind(ctx, kind, 3, 2), "a second fill must not meet the first")
		require.InEpsilon(t, 9_000_000, text()-empty, 0.03, kind)
		require.NoError(t, n.Empty(ctx))
		require.InDelta(t, empty, text(), 100)
	}
	require.NoError(t, n.FillKind(ctx, Hex, 3, 7))
	first := events()
	require.NoError(t, n.Empty(ctx))
	require.NoError(t, n.FillKind(ctx, Hex, 3, 7))
	require.Equal(t, first, events(), "the same seed, the same bytes")
}

// TestNode_pause freezes postgres: nothing answers, and all goes on afterwards.
func TestNode_pause(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true})
	ctx := t.Context()
	require.NoError(t, n.Pause(ctx, Postgres))
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, _, err := n.Offsets(short)
	require.Error(t, err)
	require.NoError(t, n.Unpause(ctx, Postgres))
	writes(t, n)
	require.NoError(t, n.KillService(ctx, Participant))
	require.NoError(t, n.StartService(ctx, Participant))
	writes(t, n)
}

// TestNode_identities asks for the dump through nginx, with the right token and with wrong ones.
func TestNode_identities(t *testing.T) {
	t.Parallel()
	open := Start(t, Options{NoSync: true})
	closed := Start(t, Options{NoSync: true, Auth: true})
	for _, c := range []struct {
		name   string
		node   *Node
		secret string
		want   int
	}{
		{"well-known secret", open, "unsafe", http.StatusOK},
		{"wrong secret", open, "guess", http.StatusUnauthorized},
		{"no token", open, "", http.StatusUnauthorized},
		{"auth refuses the well-known secret", closed, "unsafe", http.StatusUnauthorized},
		{"auth takes the client secret", closed, AuthSecret, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, err := c.node.HTTP(t.Context())
			require.NoError(t, err)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/validator/v0/admin/participant/identities", nil)
			require.NoError(t, err)
			req.Host = "wallet.localhost"
			if c.secret != "" {
				req.Header.Set("Authorization", "Bearer "+Token(c.secret))
			}
			res, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, c.want, res.StatusCode)
			if c.want != http.StatusOK {
				return
			}
			var dump struct {
				ID   string           `json:"id"`
				Keys []map[string]any `json:"keys"`
			}
			require.NoError(t, json.NewDecoder(res.Body).Decode(&dump))
			id, err := c.node.ParticipantID(t.Context())
			require.NoError(t, err)
			require.Equal(t, id, dump.ID)
			require.Len(t, dump.Keys, 3)
		})
	}
}

// TestNode_identitiesRestore recovers a node from its dump (-i): a new identifier in the old namespace, on an empty volume.
func TestNode_identitiesRestore(t *testing.T) {
	t.Parallel()
	n := Start(t, Options{NoSync: true})
	ctx := t.Context()
	old, err := n.ParticipantID(ctx)
	require.NoError(t, err)
	dump := filepath.Join(t.TempDir(), "identities.json")
	require.NoError(t, os.WriteFile(dump, []byte(`{"id":"`+old+`","keys":[],"version":"0.7.0"}`), 0o644))
	for dir := filepath.Dir(dump); dir != os.TempDir(); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755), "the container's user is not the test's")
	}
	require.NoError(t, n.Stop(ctx))
	_, err = docker(ctx, "volume", "rm", n.Volume())
	require.NoError(t, err)
	_, err = n.RunScript(ctx, "start.sh", "-s", n.Scan, "-c", n.Scan, "-o", "", "-p", n.PartyHint, "-i", dump, "-P", "second-life", "-w")
	require.NoError(t, err)
	id, err := n.ParticipantID(ctx)
	require.NoError(t, err)
	require.Equal(t, strings.Replace(old, "::testbed-validator-1::", "::second-life::", 1), id)
}

func logs(t *testing.T, n *Node, service Service) string {
	t.Helper()
	log, err := n.Logs(t.Context(), service)
	require.NoError(t, err)
	return log
}

// TestLoad finds a node that another process made.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".canton"), 0o755))
	o, err := Options{Dir: dir, Project: "one"}.resolved()
	require.NoError(t, err)
	made := &Node{Options: o, Bundle: "/b", Scan: "http://s", Password: "p"}
	require.NoError(t, made.save())
	found, err := Load(dir)
	require.NoError(t, err)
	require.Equal(t, made, found)
}
