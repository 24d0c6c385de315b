package deploy_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/child"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/s3server"
	"canton-backup/internal/testkit/sshd"
	"canton-backup/testbed"
)

// patience is how long tests wait for what takes seconds on a machine that has nothing else to do.
const patience = 3 * time.Minute

// unit is the name of the service and of its program.
const unit = "canton-backup-worker"

// operator is the uid of the account in the containers.
const operator = "1000"

// docker runs a command of the Docker client and returns what it printed, both streams.
func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0", "DOCKER_CLI_HINTS=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// account is an operator's home beside a node, with two targets, that a container can be given.
type account struct {
	t        *testing.T
	home     string
	node     *testbed.Node
	bucket   *faultproxy.TCP // the way to the S3 server
	settings string
}

func newAccount(t *testing.T) *account {
	t.Helper()
	require.NoError(t, testbed.EnsureHost(t.Context()))
	out, err := exec.CommandContext(t.Context(), "make", "-C", "..", "build").CombinedOutput()
	require.NoError(t, err, string(out))
	a := &account{t: t, node: testbed.Start(t, testbed.Options{NoSync: true, FillMB: 40})}
	a.home = a.node.Dir
	server, rsync := s3server.Start(t), sshd.Start(t)
	a.bucket = faultproxy.Start(t, server.Addr)
	ssh := filepath.Join(a.home, ".ssh")
	require.NoError(t, os.MkdirAll(ssh, 0o700))
	for from, to := range map[string]string{rsync.KeyFile: "id_backup", rsync.KnownHosts: "known_hosts"} {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(ssh, to), data, 0o600))
	}
	for key, value := range map[string]string{
		"NODE_NAME": "deploy-" + strconv.Itoa(child.FreePort(t)), "NETWORK": "testnet", "COMPOSE_PROJECT": a.node.Project, "DRILL_EVERY": "off",
		"BACKUP_TYPE": "rsync,r2", "R2_BUCKET": server.Bucket, "R2_ENDPOINT": "http://" + a.bucket.Addr(), "R2_ACCESS_KEY": server.AccessKey,
		"R2_SECRET_KEY": server.SecretKey.Reveal(), "REMOTE_HOST": rsync.User + "@127.0.0.1", "REMOTE_PORT": strconv.Itoa(rsync.Port),
		"REMOTE_PATH": "~/sets", "SSH_KEY": filepath.Join(ssh, "id_backup"),
		"TEMPORAL_PORT": strconv.Itoa(child.FreePort(t)), "TEMPORAL_UI_PORT": strconv.Itoa(child.FreePort(t)),
		"HEALTH_ADDRESS": "127.0.0.1:" + strconv.Itoa(child.FreePort(t)),
	} {
		a.settings += fmt.Sprintf("%s='%s'\n", key, value)
	}
	a.own(operator)
	t.Cleanup(func() { a.own(strconv.Itoa(os.Getuid())) }) // or the folder could not be removed
	return a
}

// own hands the home over, from inside a container: only root may, and that is root.
func (a *account) own(uid string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.t.Context()), time.Minute)
	defer cancel()
	_, err := docker(ctx, "run", "--rm", "--label", testbed.OwnerLabel(), "-v", a.home+":"+a.home, testbed.HostImage(), "chown", "-R", uid, a.home)
	require.NoError(a.t, err)
}

// engine is the socket of the machine's engine, and its group.
func engine(t *testing.T) (socket, group string) {
	t.Helper()
	socket = "/var/run/docker.sock"
	if named, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		socket = named
	}
	info, err := os.Stat(socket)
	require.NoError(t, err)
	return socket, strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Gid), 10)
}

// run starts a container that ends with the test, in the machine's network, with the account's home and the engine in the places where they are.
func (a *account) run(args ...string) string {
	a.t.Helper()
	socket, _ := engine(a.t)
	id, err := docker(a.t.Context(), append([]string{"run", "--detach", "--label", testbed.OwnerLabel(), "--network", "host",
		"-v", socket + ":/run/docker.sock", "-v", a.home + ":" + a.home}, args...)...)
	require.NoError(a.t, err)
	a.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.t.Context()), time.Minute)
		defer cancel()
		if a.t.Failed() {
			logs, _ := docker(ctx, "logs", "--tail", "50", id)
			a.t.Logf("container printed:\n%s", logs)
		}
		_, err := docker(ctx, "rm", "--force", "--volumes", id)
		require.NoError(a.t, err)
	})
	return id
}

// eventually waits until the condition holds, and shows why it does not.
func eventually(t *testing.T, what string, condition func() (bool, string)) {
	t.Helper()
	said, ok := "", false
	require.Eventually(t, func() bool { ok, said = condition(); return ok }, patience, 300*time.Millisecond, what)
	require.True(t, ok, said)
}
