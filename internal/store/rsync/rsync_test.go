package rsync_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/store"
	"canton-backup/internal/store/rsync"
	"canton-backup/internal/store/storetest"
	"canton-backup/internal/testkit/faultproxy"
	"canton-backup/internal/testkit/sshd"
)

const (
	remotePath = `~/sets of o'brien "$HOME" 100%/mainnet`
	slowRate   = 3 << 20 // bytes a second
	slowSize   = 10<<20 + 3
)

func config(server *sshd.Server, port int, owner string) rsync.Config {
	return rsync.Config{
		Host: server.User + "@127.0.0.1", Path: remotePath, Port: port, KeyFile: server.KeyFile, KnownHostsFile: server.KnownHosts, Owner: owner,
	}
}

func open(t testing.TB, cfg rsync.Config) *rsync.Store {
	t.Helper()
	s, err := rsync.New(cfg)
	require.NoError(t, err)
	return s
}

// folder is where remotePath lies on this host.
func folder(server *sshd.Server) string {
	return filepath.Join(server.Home, remotePath[2:])
}

func address(server *sshd.Server) string { return "127.0.0.1:" + strconv.Itoa(server.Port) }

func TestStore_Contract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Place {
		server := sshd.Start(t)
		fast, slow := faultproxy.Start(t, address(server)), faultproxy.Start(t, address(server))
		p := place(t, server, fast, slow)
		p.Sent = func() int64 { return fast.Sent() + slow.Sent() }
		return p
	})
}

// On a line that is slow, pauses and is cut again and again, every sentence of the contract holds as well.
func TestStore_ContractOnABadLine(t *testing.T) {
	cuts := 0
	storetest.Run(t, func(t *testing.T) *storetest.Place {
		server := sshd.Start(t)
		fast, slow := faultproxy.Start(t, address(server)), faultproxy.Start(t, address(server))
		fast.Storm(1<<19, 8<<20)
		t.Cleanup(func() { cuts += fast.Cuts() })
		p := place(t, server, fast, slow)
		p.Store, p.Foreign = storetest.Insist(p.Store), storetest.Insist(p.Foreign)
		p.Slow, p.SlowForeign = storetest.Insist(p.Slow), storetest.Insist(p.SlowForeign)
		return p
	})
	require.Greater(t, cuts, 3, "the line was bad")
}

func place(t *testing.T, server *sshd.Server, fast, slow *faultproxy.TCP) *storetest.Place {
	slow.SetRate(slowRate)
	return &storetest.Place{
		Store:       open(t, config(server, fast.Port(), "node.1")),
		Foreign:     open(t, config(server, fast.Port(), "node")),
		Slow:        open(t, config(server, slow.Port(), "node.1")),
		SlowForeign: open(t, config(server, slow.Port(), "node")), SlowSize: slowSize,
		Abandon: func(t *testing.T, slow store.Store, name string, file store.File) {
			require.Error(t, storetest.Interrupt(t, slow, name, file))
		},
		Leftovers: func(t *testing.T) []string { return dotFiles(t, folder(server)) },
		PutRaw: func(t *testing.T, name string, data []byte) {
			require.NoError(t, os.MkdirAll(folder(server), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(folder(server), name), data, 0o644))
		},
		RawNames: []string{"new\nline", "\xff\xfe", "it's", " ", "-rf", "$(reboot)", "trailing\n"},
		Damage:   func(t *testing.T, name string) { storetest.Damage(t, filepath.Join(folder(server), name)) },
	}
}

func dotFiles(t testing.TB, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	var found []string
	for _, e := range entries {
		if e.Name()[0] == '.' && e.Name() != ".hidden" {
			found = append(found, e.Name())
		}
	}
	return found
}

func TestNew_ReportsAllErrors(t *testing.T) {
	_, err := rsync.New(rsync.Config{Host: "-oProxyCommand=reboot", Path: "", Port: -1, StallAfter: -time.Second})
	for _, part := range []string{"host", "path", "port", "times", "owner"} {
		require.ErrorContains(t, err, part)
	}
	for _, bad := range []string{"", "-x", "user@-x", "host path", "user@host:22", "a@b@c", "user@host;reboot"} {
		_, err := rsync.New(rsync.Config{Host: bad, Path: "x", Owner: "n"})
		require.Error(t, err, bad)
	}
	for good, location := range map[string]string{
		"ubuntu@host": "ubuntu@host:~/x", "host.example.com": "host.example.com:~/x", "u@10.0.0.1": "u@10.0.0.1:~/x",
		"u@::1": "u@[::1]:~/x", "u@[fe80::1%eth0]": "u@[fe80::1%eth0]:~/x",
	} {
		s, err := rsync.New(rsync.Config{Host: good, Path: "~/x", Owner: "n"})
		require.NoError(t, err, good)
		require.Equal(t, location, s.Location())
	}
}

func TestStore_PathsOfEveryKind(t *testing.T) {
	server := sshd.Start(t)
	elsewhere := filepath.Join(t.TempDir(), "it's `elsewhere`")
	for path, want := range map[string]string{
		"~/a b":        filepath.Join(server.Home, "a b"),
		"~":            server.Home,
		"below/home":   filepath.Join(server.Home, "below/home"),
		"-dash":        filepath.Join(server.Home, "-dash"),
		"$(id)/*":      filepath.Join(server.Home, "$(id)/*"),
		elsewhere:      elsewhere,
		"~/ключ/日本":    filepath.Join(server.Home, "ключ/日本"),
		"~/x/../plain": filepath.Join(server.Home, "plain"),
	} {
		t.Run(path, func(t *testing.T) {
			cfg := config(server, server.Port, "node")
			cfg.Path = path
			s := open(t, cfg)
			file := storetest.Bytes(t, "content for "+path)
			require.NoError(t, s.Check(t.Context()))
			require.NoError(t, s.Put(t.Context(), "an object", file, nil))
			storetest.Holds(t, s, "an object", file)
			got, err := os.ReadFile(filepath.Join(want, "an object"))
			require.NoError(t, err)
			require.Equal(t, "content for "+path, string(got))
			require.NoError(t, s.Delete(t.Context(), "an object"))
		})
	}
}

func TestStore_Modes(t *testing.T) {
	server := sshd.Start(t)
	s := open(t, config(server, server.Port, "node"))
	file := storetest.Bytes(t, "x")
	require.NoError(t, os.Chmod(file.Path, 0o644))
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	info, err := os.Stat(folder(server))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(folder(server), "x"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// The limit is rsync's own.
func TestPut_UploadLimit(t *testing.T) {
	server := sshd.Start(t)
	cfg := config(server, server.Port, "node")
	cfg.Limit = 4 << 20
	s := open(t, cfg)
	file := storetest.File(t, 6<<20)
	began := time.Now()
	require.NoError(t, s.Put(t.Context(), "x", file, nil))
	require.Greater(t, time.Since(began), time.Second, "6 MiB at 4 MiB a second")
	storetest.Holds(t, s, "x", file)
}
