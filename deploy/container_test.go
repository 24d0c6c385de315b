package deploy_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

// buildImage builds the Dockerfile's last stage, which is what runs. The stage before needs an image of Go that may not be to be had: the
// programs of bin/, which the same command built, take its place.
func buildImage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	from, last := bytes.Index(text, []byte("\nFROM golang")), bytes.Index(text, []byte("\nFROM $BASE"))
	require.Greater(t, from, 0)
	require.Greater(t, last, from)
	dir := t.TempDir()
	stand := string(text[:from]) + "\nFROM $BASE AS build\nCOPY out /out\n" + string(text[last:])
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(stand), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "out"), 0o755))
	for _, program := range []string{"canton-backup", unit} {
		data, err := os.ReadFile(filepath.Join("..", "bin", program))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "out", program), data, 0o755))
	}
	tag := "canton-backup-testbed/image:" + strings.ToLower(t.Name())
	_, err = docker(t.Context(), "build", "--quiet", "--label", testbed.OwnerLabel(), "--build-arg", "BASE="+testbed.HostImage(), "--tag", tag, dir)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := docker(context.WithoutCancel(t.Context()), "rmi", "--force", tag)
		require.NoError(t, err)
	})
	return tag
}

// The stage that is not built here names the Go that go.mod wants: the image of Go fetches no other.
func TestDockerfile_goVersion(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	require.NotNil(t, version)
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(text), "FROM golang:"+string(version[1])+"-bookworm AS build")
}

// The image's worker backs up the node of the machine whose engine it was lent, and the command line beside it reaches it.
func TestContainer(t *testing.T) {
	a := newAccount(t)
	image := buildImage(t)
	conf := filepath.Join(a.home, ".canton", "toolkit.conf")
	require.NoError(t, os.WriteFile(conf, []byte(a.settings), 0o600))
	a.own(operator)
	users := filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(users, []byte("ubuntu:x:"+operator+":"+operator+"::"+a.home+":/bin/sh\n"), 0o644)) // ssh insists on a name
	_, group := engine(t)
	id := a.run("--init", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", operator+":"+operator, "--group-add", group,
		"--env", "HOME="+a.home, "-v", users+":/etc/passwd:ro", image)
	eventually(t, "the worker is ready", func() (bool, string) {
		log, _ := docker(t.Context(), "logs", id)
		return strings.Contains(log, "worker is ready"), log
	})
	out, err := docker(t.Context(), "exec", id, "canton-backup", "backup")
	require.NoError(t, err)
	require.Contains(t, out, "pair: PASS")
	require.Contains(t, out, "rsync upload complete")
	require.Contains(t, out, "r2 upload complete")
	out, err = docker(t.Context(), "exec", id, "canton-backup", "status")
	require.NoError(t, err)
	require.Contains(t, out, "worker running")

	_, err = docker(t.Context(), "stop", "--time", "90", id)
	require.NoError(t, err)
	out, err = docker(t.Context(), "inspect", "--format", "{{.State.ExitCode}}", id)
	require.NoError(t, err)
	require.Equal(t, "0", out, "it ended by itself")
}
