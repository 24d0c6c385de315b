package deploy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/testbed"
)

// machine is a container that has booted systemd, with the repository in /src and the account's user, ubuntu.
type machine struct {
	*account
	id string
}

func boot(t *testing.T) *machine {
	t.Helper()
	m := &machine{account: newAccount(t)}
	_, group := engine(t)
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for _, path := range []string{"install.sh", "systemd/" + unit + ".service", "../Makefile", "../bin/canton-backup", "../bin/" + unit} {
		_, err := os.ReadFile(path) // only for Go's test cache to know of them: the container reads them
		require.NoError(t, err)
	}
	client, err := exec.LookPath("docker")
	require.NoError(t, err)
	plugin, err := docker(t.Context(), "info", "--format", `{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}{{.Path}}{{end}}{{end}}`)
	require.NoError(t, err)
	// systemd wants to write to its own branch of the cgroups, and the unit's sandbox to mount. No more is given: a privileged
	// container is not to be had everywhere.
	m.id = m.run("-v", root+":/src:ro", "-v", client+":/usr/bin/docker:ro", "-v", plugin+":/usr/libexec/docker/cli-plugins/docker-compose:ro",
		"--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		"--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--env", "container=docker", testbed.HostImage(), "sh", "-c",
		"for d in /sys/fs/cgroup /sys/fs/cgroup/systemd; do mount -o remount,bind,rw $d 2>/dev/null; done; exec /lib/systemd/systemd")
	eventually(t, "systemd is up", func() (bool, string) {
		out, _ := docker(t.Context(), "exec", m.id, "systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded"), out
	})
	m.must("groupadd --non-unique --gid " + group + " docker")
	m.must("useradd --uid " + operator + " --home-dir " + m.home + " --shell /bin/bash --groups docker ubuntu")
	return m
}

// sh runs a script as root.
func (m *machine) sh(script string) (string, error) {
	return docker(m.t.Context(), "exec", m.id, "sh", "-c", script)
}

func (m *machine) must(script string) string {
	m.t.Helper()
	out, err := m.sh(script)
	require.NoError(m.t, err)
	return out
}

// as is the beginning of a command of the operator's.
func (m *machine) as() []string {
	return []string{"exec", "--user", "ubuntu", "--env", "HOME=" + m.home, m.id, "canton-backup"}
}

func (m *machine) backup(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	return docker(ctx, append(m.as(), args...)...)
}

func (m *machine) ready(times int) {
	m.t.Helper()
	eventually(m.t, "the worker is ready", func() (bool, string) {
		log := m.must("journalctl --no-pager -o cat -u " + unit)
		return strings.Count(log, "worker is ready") == times, log
	})
}

func (m *machine) pid() string { return m.must("systemctl show -P MainPID " + unit) }

// An operator's way: install, fill in the settings, start, back up, upgrade in the middle of a run, uninstall, install again.
func TestInstall(t *testing.T) {
	m := boot(t)
	_, err := m.sh("make -C /src install")
	require.ErrorContains(t, err, "whose ~/.canton is it?")
	_, err = m.sh("make -C /src install OWNER=nobody-there")
	require.ErrorContains(t, err, "there is no user nobody-there")
	_, err = docker(t.Context(), "exec", "--user", "ubuntu", m.id, "make", "-C", "/src", "install")
	require.ErrorContains(t, err, "run it as root")
	_, err = m.sh("SUDO_USER=root make -C /src install")
	require.ErrorContains(t, err, "the worker would run as root")
	require.Empty(t, m.must("ls /usr/local/bin"), "what was refused left nothing")

	said := m.must("make -C /src install OWNER=ubuntu")
	require.Contains(t, said, "next: edit "+m.home+"/.canton/toolkit.conf")
	require.Equal(t, "755 root /usr/local/bin/canton-backup\n755 root /usr/local/bin/"+unit, m.must("stat -c '%a %U %n' /usr/local/bin/*"))
	require.Equal(t, "600 ubuntu", m.must("stat -c '%a %U' "+m.home+"/.canton/toolkit.conf"))
	require.Equal(t, "ubuntu", m.must("systemctl show -P User "+unit))
	require.Equal(t, "enabled", m.must("systemctl is-enabled "+unit))
	require.Equal(t, "inactive", m.must("systemctl is-active "+unit+" || :"), "nothing runs on settings that nobody has read")

	m.fillIn()
	said = m.must("make -C /src install") // it knows its user, and the settings are good now
	require.Contains(t, said, "canton-backup doctor")
	m.ready(1)
	out, err := m.backup("backup")
	require.NoError(t, err)
	require.Contains(t, out, "pair: PASS", "by way of the sandbox: the engine's socket, the home, ssh and rsync, S3")
	require.Contains(t, out, "rsync upload complete")
	require.Contains(t, out, "r2 upload complete")

	m.upgrade()

	out, err = m.backup("restore", "latest", "--yes")
	require.NoError(t, err, "the node's own scripts run in the sandbox too")
	require.Contains(t, out, "Restore completed successfully, the node is healthy")

	m.must("printf '[Service]\\nUser=ubuntu\\nProtectSystem=strict\\nReadWritePaths=" + m.home + "\\n' >/etc/systemd/system/" + unit + ".service.d/override.conf")
	said = m.must("make -C /src uninstall")
	require.Contains(t, said, "Settings, sets, logs and Temporal's history stay in ~ubuntu/.canton")
	require.Contains(t, said, "your own changes stay")
	require.Empty(t, m.must("ls /usr/local/bin; ls /etc/systemd/system | grep -F canton-backup-worker.service | grep -v '[.]d$'; pgrep -x canton-backup-w || :"))
	require.NotEmpty(t, m.must("ls "+m.home+"/.canton/backups/*.sql.gz"))
	m.must("make -C /src uninstall") // nothing is there: no error

	m.must("SUDO_USER=root make -C /src install") // the drop-in that stayed names the user
	eventually(t, "the worker is ready on the settings that stayed", func() (bool, string) {
		out, err := m.backup("status")
		return err == nil && strings.Contains(out, "worker running"), out
	})
	require.Equal(t, "strict", m.must("systemctl show -P ProtectSystem "+unit), "the operator's own changes hold")
	out, err = m.backup("backup")
	require.NoError(t, err, "as docs/how-to/install.md says how to tie it down further")
	require.Contains(t, out, "r2 upload complete")
}

// Whose worker it is, is found where it stands, and is never root unless somebody said so.
func TestInstall_owner(t *testing.T) {
	root := t.TempDir()
	for path, mode := range map[string]os.FileMode{"install.sh": 0o755, "systemd/" + unit + ".service": 0o644} {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(root, "deploy", filepath.Dir(path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "deploy", path), data, mode))
	}
	require.NoError(t, os.Mkdir(filepath.Join(root, "bin"), 0o755))
	for _, program := range []string{"canton-backup", unit} { // it is only asked for its version
		require.NoError(t, os.WriteFile(filepath.Join(root, "bin", program), []byte("#!/bin/sh\necho canton-backup\n"), 0o755))
	}
	for name, c := range map[string]struct {
		owner, sudo string // of the environment
		dropIns     map[string]string
		want        string // User= that is installed
		refused     string
	}{
		"first install":           {sudo: "alice", want: "alice"},
		"nobody":                  {refused: "whose ~/.canton is it?"},
		"sudo in a root shell":    {sudo: "root", refused: "OWNER=root"},
		"root is meant":           {owner: "root", sudo: "root", want: "root"},
		"upgrade by somebody":     {sudo: "bob", dropIns: map[string]string{"10-owner.conf": "User=alice\n"}, want: "alice"},
		"upgrade of root's":       {sudo: "bob", dropIns: map[string]string{"10-owner.conf": "User=root\n"}, refused: "would run as root"},
		"as the old manual said":  {sudo: "bob", dropIns: map[string]string{"override.conf": "[Service]\nUser = alice\nNice=5\n"}, want: "alice"},
		"both":                    {sudo: "bob", dropIns: map[string]string{"10-owner.conf": "User=carol\n", "override.conf": "User=alice\n"}, want: "alice"},
		"against the old manual":  {owner: "bob", dropIns: map[string]string{"override.conf": "User=alice\n"}, refused: "your own drop-in says User=alice"},
		"a drop-in without users": {owner: "bob", dropIns: map[string]string{"override.conf": "Nice=5\n"}, want: "bob"},
	} {
		t.Run(name, func(t *testing.T) {
			dest := t.TempDir()
			folder := filepath.Join(dest, "etc/systemd/system", unit+".service.d")
			for file, text := range c.dropIns {
				require.NoError(t, os.MkdirAll(folder, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644))
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(root, "deploy", "install.sh"), "install")
			cmd.Env = append(os.Environ(), "DESTDIR="+dest, "OWNER="+c.owner, "SUDO_USER="+c.sudo)
			out, err := cmd.CombinedOutput()
			if c.refused != "" {
				require.Error(t, err)
				require.Contains(t, string(out), c.refused)
				require.NoDirExists(t, filepath.Join(dest, "usr"), "nothing is placed")
				return
			}
			require.NoError(t, err, string(out))
			installed, err := os.ReadFile(filepath.Join(folder, "10-owner.conf"))
			require.NoError(t, err)
			require.Contains(t, string(installed), "\nUser="+c.want+"\n")
		})
	}
}

// fillIn writes the settings as the operator would.
func (m *machine) fillIn() {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "docker", "exec", "-i", m.id, "sh", "-c", "cat >"+m.home+"/.canton/toolkit.conf")
	cmd.Stdin = strings.NewReader(m.settings)
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, string(out))
}

// upgrade installs over a worker that is uploading: the run is taken up by the new worker, whoever follows it sees a good end.
func (m *machine) upgrade() {
	t := m.t
	t.Helper()
	m.bucket.SetRate(2 << 20)
	sent := m.bucket.Sent()
	follow := exec.CommandContext(t.Context(), "docker", append(m.as(), "backup")...)
	var talk strings.Builder
	follow.Stdout, follow.Stderr = &talk, &talk
	require.NoError(t, follow.Start())
	eventually(t, "the upload is under way", func() (bool, string) { return m.bucket.Sent() > sent+4<<20, "" })
	old, inode := m.pid(), m.must("stat -c %i /usr/local/bin/"+unit)
	said := m.must("make -C /src install")
	require.Contains(t, said, "restarting the worker")
	require.NotEqual(t, old, m.pid())
	require.NotEqual(t, inode, m.must("stat -c %i /usr/local/bin/"+unit), "replaced by rename")
	m.bucket.SetRate(0)
	m.ready(2)
	err := follow.Wait()
	require.NoError(t, err, talk.String())
	require.Contains(t, talk.String(), "Backup completed successfully")
	log := m.must("journalctl --no-pager -o cat -u " + unit)
	require.Contains(t, log, "running steps give way")
	require.NotContains(t, log, "timed out", "the worker ended by itself, within the unit's time")
}

// The unit's time to stop is longer than the worker's, and the sandbox stays as tight as it was measured.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile("systemd/" + unit + ".service")
	require.NoError(t, err)
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)s$`).FindSubmatch(text)
	require.NotNil(t, stop)
	seconds, err := strconv.Atoi(string(stop[1]))
	require.NoError(t, err)
	code, err := os.ReadFile("../internal/app/worker.go")
	require.NoError(t, err)
	limit := regexp.MustCompile(`stopLimit += (\d+) \* time\.Second`).FindSubmatch(code)
	require.NotNil(t, limit)
	worker, err := strconv.Atoi(string(limit[1]))
	require.NoError(t, err)
	require.Greater(t, seconds, worker+30, "it takes Temporal down after its steps")

	require.NoError(t, testbed.EnsureHost(t.Context()))
	root, err := filepath.Abs("systemd")
	require.NoError(t, err)
	out, err := docker(t.Context(), "run", "--rm", "--label", testbed.OwnerLabel(), "-v", root+":/unit:ro", testbed.HostImage(),
		"systemd-analyze", "security", "--offline=true", "--no-pager", "/unit/"+unit+".service")
	require.NoError(t, err)
	level := regexp.MustCompile(`exposure level for \S+: ([\d.]+)`).FindStringSubmatch(out)
	require.NotNil(t, level, out)
	exposure, err := strconv.ParseFloat(level[1], 64)
	require.NoError(t, err)
	require.LessOrEqual(t, exposure, 2.5, out)
}
