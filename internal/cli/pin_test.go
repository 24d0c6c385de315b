package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/cli"
	"canton-backup/internal/config"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

// terminal runs command lines against a folder of sets.
type terminal struct {
	t     *testing.T
	conf  string
	store *dir.Store
}

func newTerminal(t *testing.T, settings string) *terminal {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, k := range config.Keys {
		t.Setenv(k.Name, "")
	}
	term := &terminal{t: t, conf: filepath.Join(home, "toolkit.conf")}
	folder := filepath.Join(home, "sets")
	require.NoError(t, os.WriteFile(term.conf, []byte("NODE_NAME=node-1\nNETWORK=mainnet\nBACKUP_DIR="+folder+"\n"+settings), 0o600))
	var err error
	term.store, err = dir.New(dir.Config{Path: folder, Owner: "node-1"})
	require.NoError(t, err)
	return term
}

func (term *terminal) seal(node string, at time.Time) backupset.ID {
	term.t.Helper()
	folder := term.t.TempDir()
	m := backupset.Manifest{Format: 1, Set: backupset.NewID(at), Node: node, Network: "mainnet", SealedAt: at, Verdict: backupset.Pass}
	for _, role := range []backupset.Role{backupset.Validator, backupset.Participant} {
		content := []byte(role)
		sum := sha256.Sum256(content)
		c := backupset.Component{Role: role, Database: string(role), Codec: backupset.Gzip, File: backupset.DumpName(string(role), m.Set, backupset.Gzip, backupset.Unencrypted),
			Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
		require.NoError(term.t, os.WriteFile(filepath.Join(folder, c.File), content, 0o600))
		m.Components = append(m.Components, c)
	}
	file, err := catalog.WriteManifest(filepath.Join(folder, "manifest"), m)
	require.NoError(term.t, err)
	require.NoError(term.t, catalog.Publish(term.t.Context(), term.store, m, func(name string) string { return filepath.Join(folder, name) }, file, nil))
	return m.Set
}

// run returns the exit code, the data and the talk.
func (term *terminal) run(args ...string) (int, string, string) {
	term.t.Helper()
	var out, talk bytes.Buffer
	code := cli.Main(append([]string{"--conf", term.conf}, args...), cli.Streams{Out: &out, Err: &talk})
	return code, out.String(), talk.String()
}

// must runs a command that has to succeed.
func (term *terminal) must(args ...string) string {
	term.t.Helper()
	code, out, talk := term.run(args...)
	require.Equal(term.t, cli.ExitDone, code, talk)
	return out
}

func TestPin_ShowsEverywhereAndIsObeyed(t *testing.T) {
	term := newTerminal(t, "BACKUP_TYPE=skip\nRETENTION_DAYS=1\nKEEP_LAST=1\n")
	now := time.Now()
	old, newest := string(term.seal("node-1", now.Add(-72*time.Hour))), string(term.seal("node-1", now.Add(-time.Hour)))
	require.Contains(t, term.must("prune"), "delete")

	require.Equal(t, "local "+old+": pinned: before the key rotation\n", term.must("pin", old, "--reason", "before the key rotation"))
	require.Contains(t, term.must("list"), "pinned local: before the key rotation")
	require.Contains(t, term.must("show", old), "local: before the key rotation")
	var shown struct {
		backupset.Manifest
		Pinned map[string]string `json:"pinned"`
	}
	require.NoError(t, json.Unmarshal([]byte(term.must("show", old, "--json")), &shown))
	require.Equal(t, backupset.ID(old), shown.Set)
	require.Equal(t, map[string]string{"local": "before the key rotation"}, shown.Pinned)
	require.NotContains(t, term.must("show", newest, "--json"), `"pinned"`)
	plan := term.must("prune")
	require.NotContains(t, plan, "delete")
	require.Contains(t, plan, "pinned: before the key rotation")

	var results []map[string]string
	require.NoError(t, json.Unmarshal([]byte(term.must("unpin", old, "--json")), &results))
	require.Equal(t, []map[string]string{{"set": old, "store": "local"}}, results)
	require.Contains(t, term.must("prune"), "delete")
	require.Contains(t, term.must("pin", "latest", "--reason", "x"), newest)
}

func TestPin_ExitCodes(t *testing.T) {
	term := newTerminal(t, "BACKUP_TYPE=skip\n")
	old, ours := string(term.seal("node-2", time.Now().Add(-2*time.Hour))), string(term.seal("node-1", time.Now().Add(-time.Hour)))
	term.must("pin", ours, "--reason", "first")
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{cli.ExitUsage, "--reason", []string{"pin", ours}},
		{cli.ExitUsage, "line break", []string{"pin", ours, "--reason", "a\nb"}},
		{cli.ExitUsage, "accepts 1 arg(s)", []string{"pin", "--reason", "x"}},
		{cli.ExitUsage, "no store", []string{"unpin", ours, "--store", "ftp"}},
		{cli.ExitNotFound, "not found", []string{"pin", "20200101_000000", "--reason", "x"}},
		{cli.ExitNotFound, "not found", []string{"unpin", "20200101_000000"}},
		{cli.ExitFailed, "pinned already", []string{"pin", ours, "--reason", "second"}},
		{cli.ExitFailed, "not sealed by this node", []string{"pin", old, "--reason", "x"}},
		{cli.ExitFailed, "not sealed by this node", []string{"unpin", old}},
	} {
		code, _, talk := term.run(c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, talk)
		require.Contains(t, talk, c.says, "%v", c.args)
	}
}

// One of two stores cannot be reached: what could be pinned is, and the exit code says that it is not all.
func TestPin_IncompleteWhenAStoreIsAway(t *testing.T) {
	term := newTerminal(t, "BACKUP_TYPE=rsync\nREMOTE_HOST=u@127.0.0.1\nREMOTE_PORT=1\nREMOTE_PATH=/sets\n")
	set := string(term.seal("node-1", time.Now().Add(-time.Hour)))
	code, out, talk := term.run("pin", set, "--reason", "x")
	require.Equal(t, cli.ExitIncomplete, code, talk)
	require.Equal(t, "local "+set+": pinned: x\n", out)
	objects, err := term.store.List(t.Context())
	require.NoError(t, err)
	require.Contains(t, objects, store.Object{Name: backupset.PinName(backupset.ID(set)), Size: size(t, term.store.Path(backupset.PinName(backupset.ID(set))))})
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}
