package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// The identity provider gives its client a token that the gate of a node with auth takes, and nobody else.
func TestIssuer(t *testing.T) {
	mux := http.NewServeMux()
	issuer{client: "app", secret: "s3", user: "administrator"}.routes(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	ask := func(id, secret, grant string) (int, string) {
		res, err := http.PostForm(server.URL+"/auth/token", url.Values{"client_id": {id}, "client_secret": {secret}, "grant_type": {grant}, "audience": {"https://v"}})
		require.NoError(t, err)
		defer res.Body.Close()
		var answer map[string]any
		require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
		token, _ := answer["access_token"].(string)
		return res.StatusCode, token
	}
	status, token := ask("app", "s3", "client_credentials")
	require.Equal(t, http.StatusOK, status)
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	require.NoError(t, gate{secret: "s3", audience: "https://v", user: "administrator"}.check(req))
	require.Error(t, gate{secret: unsafeSecret, audience: "https://v", user: "administrator"}.check(req))
	for _, c := range [][3]string{{"app", "", "client_credentials"}, {"app", "wrong", "client_credentials"}, {"other", "s3", "client_credentials"}, {"app", "s3", "password"}} {
		status, token := ask(c[0], c[1], c[2])
		require.GreaterOrEqual(t, status, 400, "%v", c)
		require.Empty(t, token)
	}
}
