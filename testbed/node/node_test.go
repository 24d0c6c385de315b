package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOffsetText pins the form of the offsets, with the example of the real network.
func TestOffsetText(t *testing.T) {
	require.Equal(t, "000000000000385378", offsetText(3691384))
	require.Equal(t, "000000000000000000", offsetText(0))
}

// TestValidatorTarget reads the storage settings as the container gets them.
func TestValidatorTarget(t *testing.T) {
	got, err := validatorTarget("a.b {\n  serverName = \"db\"\n  portNumber = 5432\n  user = \"cnadmin\"\n  password = \"p=$ x\"\n  databaseName = validator\n  currentSchema = validator\n}\n")
	require.NoError(t, err)
	require.Equal(t, target{Host: "db", Port: "5432", User: "cnadmin", Password: "p=$ x", Database: "validator", Schema: "validator"}, got)
	_, err = validatorTarget("")
	require.Error(t, err)
}

// TestMigrationID reads the id where each flavour puts it.
func TestMigrationID(t *testing.T) {
	for _, c := range []struct {
		name, legacy, current string
		want                  int64
	}{
		{"legacy", "x.domain-migration-id = 4", "", 4},
		{"current with -m", "", "7", 7},
		{"current without", "", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("ADDITIONAL_CONFIG_MIGRATION_ID", c.legacy)
			t.Setenv("TESTBED_MIGRATION_ID", c.current)
			id, err := migrationID()
			require.NoError(t, err)
			require.Equal(t, c.want, id)
		})
	}
}

// TestRun_unknownRole refuses what it cannot play.
func TestRun_unknownRole(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"sequencer"}), "unknown")
	require.Error(t, run(t.Context(), nil))
}
