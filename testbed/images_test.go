package testbed

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPostgresImage runs the image of every major by itself, as a drill does, and looks for what the official image has.
func TestPostgresImage(t *testing.T) {
	t.Parallel()
	for _, major := range []int{13, 15, 17} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			ctx := t.Context()
			require.NoError(t, Ensure(ctx, major))
			id, err := docker(ctx, "run", "--detach", "--network", "none", "--label", ownerLabel+self(),
				"--env", "POSTGRES_USER="+User, "--env", "POSTGRES_PASSWORD=it's a $ecret", "--env", "POSTGRES_INITDB_ARGS=--no-sync", PostgresImage(major))
			require.NoError(t, err)
			t.Cleanup(func() {
				_, err := docker(context.WithoutCancel(ctx), "rm", "--force", "--volumes", id)
				require.NoError(t, err)
			})
			psql := func(args ...string) (string, error) {
				return docker(ctx, append([]string{"exec", "--env", "PGPASSWORD=it's a $ecret", id, "psql", "-XAtq", "-U", User}, args...)...)
			}
			// Over TCP: the temporary server of the first start has the socket alone.
			require.Eventually(t, func() bool {
				_, err := psql("-h", "127.0.0.1", "-c", "SELECT 1")
				return err == nil
			}, 30*time.Second, 200*time.Millisecond)

			version, err := psql("-c", "SHOW server_version_num")
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(version, strconv.Itoa(major)), version)
			dir, err := psql("-c", "SHOW data_directory")
			require.NoError(t, err)
			require.Equal(t, "/var/lib/postgresql/data", dir)
			super, err := psql("-c", "SELECT rolname FROM pg_roles WHERE rolsuper")
			require.NoError(t, err)
			require.Equal(t, User, super)
			_, err = psql("-c", "CREATE SCHEMA extensions", "-c", "CREATE EXTENSION pgcrypto WITH SCHEMA extensions", "-c", "SELECT extensions.gen_random_bytes(8)")
			require.NoError(t, err)
			last, err := docker(ctx, "exec", id, "bash", "-c", "tail -n 1 $PGDATA/pg_hba.conf")
			require.NoError(t, err)
			require.Regexp(t, `^host all all all (scram-sha-256|md5)$`, last)
			for _, program := range []string{"psql", "pg_dump", "pg_dumpall", "pg_restore", "pg_isready", "initdb", "postgres", "pg_receivewal", "pg_basebackup", "pg_verifybackup", "bash", "gzip", "zstd"} {
				_, err := docker(ctx, "exec", id, "sh", "-c", "command -v "+program)
				require.NoError(t, err, program)
			}
			who, err := docker(ctx, "exec", "--user", "postgres", id, "id", "-u")
			require.NoError(t, err)
			require.Equal(t, "999", who)
		})
	}
	t.Run("unknown", func(t *testing.T) { require.ErrorContains(t, Ensure(t.Context(), 9), "there is no PostgreSQL 9") })
}
