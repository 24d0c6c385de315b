// Package sshd runs a real OpenSSH server on the loopback interface for tests.
package sshd

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/testkit/child"
)

// Server is a running server. Whoever holds KeyFile logs in as the user that runs the test, with Home as home folder.
type Server struct {
	Port       int
	User       string
	Home       string // empty folder; a name that needs quoting
	KeyFile    string // private key that the server accepts
	OtherKey   string // private key that it does not know
	KnownHosts string // names the server's key, for every port of 127.0.0.1
	Bin        string // empty folder, first in the PATH of commands
	Login      string // file whose text the login shell prints before every command; empty at first
	dir        string
}

// Start runs a server of its own for the test.
func Start(t testing.TB) *Server {
	t.Helper()
	program := child.Find(t, "sshd", "apt-get install openssh-server")
	keygen := child.Find(t, "ssh-keygen", "apt-get install openssh-client")
	me, err := user.Current()
	require.NoError(t, err)
	s := &Server{Port: child.FreePort(t), User: me.Username, dir: t.TempDir()}
	at := func(name string) string { return filepath.Join(s.dir, name) }
	s.Home, s.Bin, s.KnownHosts, s.Login = at("home of o'brien"), at("bin"), at("known hosts"), at("login")
	s.KeyFile, s.OtherKey = at("it's a \"key\" 100%"), at("other")
	require.NoError(t, os.Mkdir(s.Home, 0o700))
	require.NoError(t, os.Mkdir(s.Bin, 0o700))
	for _, key := range []string{at("host"), s.KeyFile, s.OtherKey} {
		require.NoError(t, exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", key).Run())
	}
	s.Know(t, at("host.pub"))
	write := func(name, content string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(at(name), []byte(content), mode))
	}
	write("login", "", 0o600)
	s.SetPath(t, s.Bin+":"+os.Getenv("PATH"))
	authorized, err := os.ReadFile(s.KeyFile + ".pub")
	require.NoError(t, err)
	write("authorized", string(authorized), 0o600)
	write("config", strings.Join([]string{
		fmt.Sprintf("Port %d", s.Port), "ListenAddress 127.0.0.1", "HostKey " + at("host"), "PidFile none", "AuthorizedKeysFile " + at("authorized"),
		"UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin yes", "StrictModes no", "UseDNS no",
		"PrintMotd no", "KexAlgorithms curve25519-sha256", "MaxStartups 100", "ForceCommand " + at("shell"), "",
	}, "\n"), 0o600)
	if os.Geteuid() == 0 {
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // sshd run by root wants it; the service makes it at boot
	}
	child.Start(t, exec.Command(program, "-D", "-e", "-f", at("config")))
	child.WaitPort(t, s.Port)
	return s
}

// SetPath sets the PATH of commands from now on.
func (s *Server) SetPath(t testing.TB, path string) {
	t.Helper()
	shell := fmt.Sprintf("#!/bin/sh\ncat %q\nHOME=%q; PATH=%q; export HOME PATH; cd \"$HOME\" || exit 1\nexec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
		s.Login, s.Home, path)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "shell"), []byte(shell), 0o700))
}

// Know writes the public key into KnownHosts, as the only one. The server's own is HostKey.
func (s *Server) Know(t testing.TB, publicKey string) {
	t.Helper()
	public, err := os.ReadFile(publicKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.KnownHosts, []byte("[127.0.0.1]:* "+string(public)), 0o600))
}

// HostKey is the file of the server's public key.
func (s *Server) HostKey() string { return filepath.Join(s.dir, "host.pub") }
