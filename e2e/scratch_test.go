package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/testbed"
)

// scratch is a PostgreSQL server without a network, to load sets into with nothing but stock tools.
type scratch struct {
	t    *testing.T
	name string
}

func newScratch(t *testing.T) *scratch {
	t.Helper()
	s := &scratch{t: t, name: "canton-backup-scratch-" + strconv.Itoa(os.Getpid())}
	s.docker("run", "-d", "--name", s.name, "--network", "none", "--label", "canton-backup.testbed.scratch=1",
		"-e", "POSTGRES_USER=cnadmin", "-e", "POSTGRES_PASSWORD=x", testbed.PostgresImage(testbed.DefaultPostgresMajor), "postgres", "-c", "fsync=off")
	t.Cleanup(func() {
		require.NoError(t, exec.CommandContext(context.Background(), "docker", "rm", "-fv", s.name).Run())
	})
	require.Eventually(t, func() bool {
		return exec.CommandContext(t.Context(), "docker", "exec", s.name, "pg_isready", "-h", "127.0.0.1", "-U", "cnadmin").Run() == nil
	}, time.Minute, 100*time.Millisecond)
	return s
}

func (s *scratch) docker(args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "docker", args...).CombinedOutput()
	require.NoError(s.t, err, "docker %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (s *scratch) psql(database, statement string) string {
	s.t.Helper()
	return s.docker("exec", s.name, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "cnadmin", "-d", database, "-c", statement)
}

// load restores a dump into a new database with gunzip and psql.
func (s *scratch) load(database, file string) {
	s.t.Helper()
	s.psql("postgres", fmt.Sprintf("CREATE DATABASE %q", database))
	line := `gunzip -c "$1" | docker exec -i "$2" psql -Xq -v ON_ERROR_STOP=1 -h 127.0.0.1 -U cnadmin -d "$3" >/dev/null`
	out, err := exec.CommandContext(s.t.Context(), "bash", "-o", "pipefail", "-c", line, "-", file, s.name, database).CombinedOutput()
	require.NoError(s.t, err, string(out))
}

// obeysLaw2 restores a set and compares the two databases by the queries of Splice's documentation, not by the product's code.
func (s *scratch) obeysLaw2(dir string, m backupset.Manifest) {
	s.t.Helper()
	for _, c := range m.Dumps() {
		s.load(string(c.Role), filepath.Join(dir, c.File))
	}
	ingested, err := strconv.ParseInt(s.psql("validator", `SELECT max(('x' || lpad(right(last_ingested_offset, 16), 16, '0'))::bit(64)::bigint)
 FROM validator.store_last_ingested_offsets WHERE migration_id = (SELECT max(migration_id) FROM validator.store_last_ingested_offsets)`), 10, 64)
	require.NoError(s.t, err)
	end, err := strconv.ParseInt(s.psql("participant", "SELECT ledger_end FROM participant.lapi_parameters"), 10, 64)
	require.NoError(s.t, err)
	require.Positive(s.t, ingested)
	require.LessOrEqual(s.t, ingested, end, "set %s", m.Set)
	for _, role := range []string{"validator", "participant"} {
		s.psql("postgres", fmt.Sprintf("DROP DATABASE %q", role))
	}
}
