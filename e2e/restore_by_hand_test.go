package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

const restoreManual = "../docs/how-to/restore-by-hand.md"

// Law 11: a sealed set and stock tools restore a node. The lines are the manual's own; only the values of its variables are
// ours, as an operator's would be.
func TestRestoreByHand_FollowsTheManual(t *testing.T) {
	for _, c := range []struct {
		name    string
		options testbed.Options
		codec   string
		encrypt func(h *host) (key string)
		last    string // what the operator does at the end
	}{
		{"current bundle then drop", testbed.Options{Flavour: testbed.Current, FillMB: 5}, "gzip", nil, "drop"},
		{"legacy bundle with auth and gpg then undo", testbed.Options{Flavour: testbed.Legacy, MigrationID: "4", Auth: true}, "zstd", func(h *host) string { h.gpg("0"); return "" }, "undo"},
		{"age", testbed.Options{Flavour: testbed.Current}, "gzip", (*host).age, "drop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, c.options)
			h := newHost(t, n)
			h.s3()
			h.set("COMPRESSION", c.codec)
			var key string
			if c.encrypt != nil {
				key = c.encrypt(h)
			}
			id := h.backup()
			for _, database := range []string{testbed.ValidatorDB, n.ParticipantDB()} {
				sqlOf(t, n, database, "CREATE TABLE after_the_backup ()")
			}
			endAtBackup := *h.manifest(id).Components[1].ParticipantEvidence.LedgerEnd
			require.NoError(t, os.RemoveAll(h.backupDir()), "the bucket's copy must do")

			dir := filepath.Join(t.TempDir(), "restore")
			script := manual(t, map[string]string{
				"SET": string(id), "DIR": dir, "KEY": key, "BUNDLE": n.Bundle,
				"R2_ENDPOINT": h.settings["R2_ENDPOINT"], "R2_BUCKET": h.settings["R2_BUCKET"], "R2_ACCESS_KEY": h.settings["R2_ACCESS_KEY"],
				"R2_SECRET_KEY": h.settings["R2_SECRET_KEY"], "NETWORK": h.settings["NETWORK"], "NODE_NAME": h.settings["NODE_NAME"],
			}, "fetch-r2", "step", c.last)
			out := h.shell(script)
			require.Contains(t, out, "validator ingested ")

			end, ingested, err := n.Offsets(t.Context())
			require.NoError(t, err)
			require.LessOrEqual(t, ingested, end, "law 2")
			require.Eventually(t, func() bool {
				now, _, err := n.Offsets(t.Context())
				return err == nil && now > end
			}, time.Minute, 200*time.Millisecond, "the node writes again")
			for _, service := range []testbed.Service{testbed.Postgres, testbed.Participant, testbed.Validator} {
				health, err := n.Health(t.Context(), service)
				require.NoError(t, err)
				require.Equal(t, "healthy", health, service)
			}

			databases := sqlOf(t, n, "postgres", "SELECT string_agg(datname, ' ') FROM pg_database WHERE NOT datistemplate")
			markers := 0
			for _, database := range []string{testbed.ValidatorDB, n.ParticipantDB()} {
				if sqlOf(t, n, database, "SELECT to_regclass('public.after_the_backup') IS NOT NULL") == "t" {
					markers++
				}
			}
			switch c.last {
			case "drop":
				require.Zero(t, markers, "the node has the set's state")
				require.Len(t, strings.Fields(databases), 3, databases)
				require.GreaterOrEqual(t, end, endAtBackup)
			case "undo":
				require.Equal(t, 2, markers, "the node has its old state back")
				require.Contains(t, databases, testbed.ValidatorDB+"_undone_")
				require.Contains(t, databases, n.ParticipantDB()+"_undone_")
			}
			files := inspect(t, n, "{{index .Config.Labels \"com.docker.compose.project.config_files\"}}")
			require.Equal(t, !c.options.Auth, strings.Contains(files, "compose-disable-auth.yaml"), "authentication is what it was")
			h.backup() // of the restored node
		})
	}
}

// A set that was altered on the way must end the manual's session before anything is touched.
func TestRestoreByHand_RefusesAnAlteredDump(t *testing.T) {
	h := newHost(t, sharedNode)
	bucket := h.s3()
	m := h.manifest(h.backup())
	path := bucket.Path(h.settings["NETWORK"] + "/" + h.settings["NODE_NAME"] + "/" + m.Components[1].File)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))

	// The bundle is a folder that holds nothing: reaching step 3 would fail differently.
	script := manual(t, map[string]string{
		"SET": string(m.Set), "DIR": filepath.Join(t.TempDir(), "restore"), "KEY": "", "BUNDLE": t.TempDir(),
		"R2_ENDPOINT": h.settings["R2_ENDPOINT"], "R2_BUCKET": h.settings["R2_BUCKET"], "R2_ACCESS_KEY": h.settings["R2_ACCESS_KEY"],
		"R2_SECRET_KEY": h.settings["R2_SECRET_KEY"], "NETWORK": h.settings["NETWORK"], "NODE_NAME": h.settings["NODE_NAME"],
	}, "fetch-r2", "step")
	out, err := h.tryShell(script)
	require.Error(t, err)
	require.Contains(t, out, m.Components[1].File+": FAILED")
	require.NotContains(t, out, "stop.sh")
}

var (
	block      = regexp.MustCompile("(?ms)^```sh ([a-z0-9-]+)\n(.*?)^```$")
	assignment = regexp.MustCompile(`(?m)^([A-Z0-9_]+)=.*$`)
)

// manual is the script that the manual's blocks of these kinds make, in the order of the page, with the variables' values filled in.
func manual(t *testing.T, values map[string]string, kinds ...string) string {
	t.Helper()
	page, err := os.ReadFile(restoreManual)
	require.NoError(t, err)
	var script strings.Builder
	filled := map[string]bool{}
	seen := map[string]bool{}
	for _, b := range block.FindAllStringSubmatch(string(page), -1) {
		kind, text := b[1], b[2]
		seen[kind] = true
		if kind == "variables" {
			text = assignment.ReplaceAllStringFunc(text, func(line string) string {
				name := assignment.FindStringSubmatch(line)[1]
				require.Contains(t, values, name, "a variable of the manual")
				filled[name] = true
				return name + "='" + values[name] + "'"
			})
			script.WriteString(text)
			continue
		}
		for _, k := range kinds {
			if k == kind {
				script.WriteString(text)
			}
		}
	}
	for name := range values {
		require.True(t, filled[name], "the manual has no variable %s", name)
	}
	for _, kind := range kinds {
		require.True(t, seen[kind], "the manual has no block %q", kind)
	}
	return script.String()
}

// shell runs a script as the operator types it, and returns all that it printed.
func (h *host) shell(script string) string {
	h.t.Helper()
	out, err := h.tryShell(script)
	require.NoError(h.t, err, out)
	return out
}

func (h *host) tryShell(script string) (string, error) {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "manual.sh")
	require.NoError(h.t, os.WriteFile(path, []byte(script), 0o600))
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", path)
	cmd.Env, cmd.WaitDelay = h.environment(), 5*time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func sqlOf(t *testing.T, n *testbed.Node, database, query string) string {
	t.Helper()
	out, err := n.SQL(t.Context(), database, query)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

// inspect reads a field of the validator container as Docker knows it.
func inspect(t *testing.T, n *testbed.Node, format string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "inspect", "--format", format, n.Container(testbed.Validator)).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
