package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// nginxVersion is the tag of nginx's image, as the bundle's .env names it.
const nginxVersion = "1.27.1"

// AuthClient and AuthSecret are the validator app's account at the identity provider of a node that was started with Options.Auth. The secret
// signs the admin tokens (HS256) too. Without auth, the signing secret is "unsafe".
const (
	AuthClient = "testbed"
	AuthSecret = "testbed-client-secret"
)

// wellKnownPath is where the identity provider describes itself, at the address of Scan.
const wellKnownPath = "/auth/.well-known/openid-configuration"

// Audience and Admin are the claims of an admin token.
const (
	Audience = "https://validator.example.com"
	Admin    = "administrator"
)

// writeBundle puts the bundle where an operator's toolkit puts it, and returns the folder with start.sh.
func writeBundle(o Options, password, owner, scan string) (string, error) {
	canton := filepath.Join(o.Dir, ".canton")
	node := filepath.Join(canton, o.Flavour.version(), "splice-node")
	dir := filepath.Join(node, "docker-compose", "validator")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("write bundle: %w", err)
	}
	for _, root := range []string{"bundle/common", "bundle/" + string(o.Flavour)} {
		if err := copyFiles(root, dir); err != nil {
			return "", fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(node, "VERSION"), []byte(o.Flavour.version()+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("write bundle: %w", err)
	}
	current := filepath.Join(canton, "current")
	if err := os.Remove(current); err != nil && !os.IsNotExist(err) {
		return "", fmt.Errorf("write bundle: %w", err)
	}
	if err := os.Symlink(o.Flavour.version(), current); err != nil {
		return "", fmt.Errorf("write bundle: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(dotenv(o, password, owner, scan)), 0o600); err != nil {
		return "", fmt.Errorf("write bundle: %w", err)
	}
	return dir, nil
}

// dotenv is the bundle's .env: the real keys, and those that tie the double to its images. The project's name is in it, so that whoever
// runs compose in the folder, the product included, meets this node and no other.
func dotenv(o Options, password, owner, scan string) string {
	values := map[string]string{
		"COMPOSE_PROJECT_NAME":         o.Project,
		"IMAGE_REPO":                   nodeRepository(),
		"POSTGRES_IMAGE":               postgresImage(),
		"SPLICE_POSTGRES_VERSION":      strconv.Itoa(o.PostgresMajor),
		"NGINX_VERSION":                nginxVersion,
		"SPLICE_DB_USER":               User,
		"SPLICE_DB_PASSWORD":           password,
		"SPLICE_DB_SERVER":             "postgres-splice",
		"SPLICE_DB_PORT":               "5432",
		"PARTICIPANT_IDENTIFIER":       "",
		"PARTY_HINT":                   "",
		"AUTH_URL":                     "",
		"AUTH_JWKS_URL":                "",
		"AUTH_WELLKNOWN_URL":           scan + wellKnownPath,
		"VALIDATOR_AUTH_AUDIENCE":      Audience,
		"VALIDATOR_AUTH_CLIENT_ID":     AuthClient,
		"VALIDATOR_AUTH_CLIENT_SECRET": AuthSecret,
		"TARGET_TRAFFIC_THROUGHPUT":    "20000",
		"MIN_TRAFFIC_TOPUP_INTERVAL":   "1m",
		"TESTBED_RUN":                  o.Run,
		"TESTBED_OWNER":                owner,
		"TESTBED_WRITE":                "on",
	}
	if o.Quiet {
		values["TESTBED_WRITE"] = "off"
	}
	if o.Strict {
		values["STRICT"] = "1"
	}
	if o.NoSync {
		values["TESTBED_FSYNC"] = "off"
		values["TESTBED_INITDB_ARGS"] = "--no-sync"
	}
	if o.HTTPPort != 0 {
		values["TESTBED_HTTP_PORT"] = strconv.Itoa(o.HTTPPort)
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, "%s=%s\n", key, values[key])
	}
	return b.String()
}
