package temporalcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// postgres is a database server of our own.
type postgres struct {
	process *daemon
	port    int
}

var errNoPostgres = errors.New("no PostgreSQL programs found: apt-get install postgresql")

// startPostgres makes a new database cluster in dir and serves it. It gives up on durability: a test's data may die with
// the machine.
func startPostgres(ctx context.Context, dir, role, password string) (*postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make postgres folder: %w", err)
	}
	passwordFile := filepath.Join(dir, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		return nil, fmt.Errorf("write postgres password: %w", err)
	}
	for _, path := range []string{dir, passwordFile} {
		if owner != nil {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return nil, fmt.Errorf("hand over postgres folder: %w", err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", role, "-A", "scram-sha-256",
		"--pwfile", passwordFile, "-E", "UTF8", "--locale", "C", "--no-sync")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make postgres database: %w: %s", err, tail(out))
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	p := &postgres{port: ports[0]}
	p.process, err = startProcess(program{
		path: filepath.Join(bin, "postgres"),
		args: []string{"-D", data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=" + loopback,
			"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200"},
		dir:   dir,
		log:   filepath.Join(dir, "postgres.log"),
		owner: owner,
		// Postgres waits for its clients on SIGTERM; on SIGINT it sends them away.
		signal: syscall.SIGINT,
	})
	if err != nil {
		return nil, err
	}
	ready := func() error {
		return exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-q", "-h", loopback, "-p", strconv.Itoa(p.port)).Run()
	}
	if err := p.process.await(ctx, "postgres", ready); err != nil {
		return nil, errors.Join(err, p.process.stop())
	}
	return p, nil
}

// postgresBin finds the newest version that Debian installed, else what is on the PATH.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", fmt.Errorf("look for postgres: %w", err)
	}
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errNoPostgres
	}
	return filepath.Dir(path), nil
}

// unprivileged names another user when we are root, because postgres refuses to run as root. It is nil when we are not.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("read ids of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("find a user for postgres: neither postgres nor nobody exists")
}
