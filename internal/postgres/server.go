// Package postgres reads a PostgreSQL server that lives in a container with the server's own client programs: queries through
// psql, dumps through pg_dump, both in a helper container beside the server (see docker.Helper for why).
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"canton-backup/internal/docker"
	"canton-backup/internal/secret"
)

// Errors that callers branch on.
var (
	// ErrAuth: the server refuses user or password.
	ErrAuth = errors.New("password refused")
	// ErrUnreachable: nothing listens, or the server is starting, stopping or in recovery.
	ErrUnreachable = errors.New("postgres does not answer")
	// ErrNoDatabase: there is no database of that name.
	ErrNoDatabase = errors.New("no such database")
	// ErrLocked: a table stayed locked for longer than the lock wait; a migration is under way.
	ErrLocked = errors.New("tables are locked")
	// ErrNoSpace: a disk is full.
	ErrNoSpace = errors.New("no space left")
	// ErrStatement: the server refuses a statement that TryJSON sent: a table, column or type is not what the statement takes it for.
	ErrStatement = errors.New("statement failed")
	// ErrLoad: a statement of a dump failed.
	ErrLoad = errors.New("the dump does not load")
	// ErrTruncated: the dump ended without its last line.
	ErrTruncated = errors.New("dump is truncated")
)

// AppPrefix begins the application_name of every session of ours, so that a later run can find what an earlier one left.
const AppPrefix = "canton-backup "

// Server is one PostgreSQL server in a container.
type Server struct {
	Docker    *docker.Client
	Node      string // owner of the helpers
	Container string // id of the server's container
	Image     string // its image id: the client is the server's own version
	User      string
	Password  secret.String
	Folder    string // host folder for the pipe and the password file; its sub folders are made and removed here
	Data      string // host folder on whose disk the server keeps its data, empty when that is not known
}

// Open starts a session on a database. app identifies it among the server's sessions: AppPrefix is put before it.
func (s *Server) Open(ctx context.Context, database, app string) (*Session, error) {
	console, err := s.Console(ctx, database, app)
	if err != nil {
		return nil, err
	}
	session := &Session{Console: console}
	if err := session.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %q: %w", database, err), session.Close())
	}
	return session, nil
}

// Console starts a psql on a database, in which each statement is a transaction of its own. parameters ("name=value") are set for its
// sessions.
func (s *Server) Console(ctx context.Context, database, app string, parameters ...string) (*Console, error) {
	fail := func(err error) error { return fmt.Errorf("open database %q: %w", database, err) }
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return nil, fail(err)
	}
	folder, err := os.MkdirTemp(s.Folder, "session-")
	if err != nil {
		return nil, fail(err)
	}
	// A file, not the environment: whoever may inspect containers reads their environment.
	line := "*:*:*:*:" + strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(s.Password.Reveal()) + "\n"
	if err := os.WriteFile(filepath.Join(folder, "pgpass"), []byte(line), 0o600); err != nil {
		return nil, errors.Join(fail(err), os.RemoveAll(folder))
	}
	options := ""
	for _, p := range append([]string{"lock_timeout=60s", "statement_timeout=0", "idle_in_transaction_session_timeout=0"}, parameters...) {
		options += " -c " + p
	}
	helper, err := s.Docker.Start(ctx, docker.HelperSpec{
		Node: s.Node, Beside: s.Container, Image: s.Image, Folder: folder,
		User: fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
		// The database goes by PGDATABASE: as an argument, a name with "=" would be read as a connection string.
		Env: []string{"PGHOST=127.0.0.1", "PGUSER=" + s.User, "PGDATABASE=" + database, "PGAPPNAME=" + AppPrefix + app,
			"PGPASSFILE=" + docker.HelperFolder + "/pgpass", "PGCONNECT_TIMEOUT=15", "PGCLIENTENCODING=UTF8", "PGOPTIONS=" + strings.TrimSpace(options),
			"LC_ALL=C", "HOME=/tmp", "PSQL_HISTORY=/dev/null"},
		Command: []string{"psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password", "--set=ON_ERROR_STOP=1"},
	})
	if err != nil {
		return nil, errors.Join(fail(err), os.RemoveAll(folder))
	}
	console := newConsole(helper, folder, AppPrefix+app)
	if err := console.send(ctx, "SELECT 1"); err != nil { // psql connects before it reads
		return nil, errors.Join(fail(err), console.Close())
	}
	return console, nil
}

// classify turns the words of psql and pg_dump into our errors: they have no codes on their way out of a process. One place, a
// test for each message.
func classify(stderr string) error {
	text := strings.ToLower(stderr)
	for _, row := range []struct {
		words string
		err   error
	}{
		{"password authentication failed", ErrAuth},
		{"no password supplied", ErrAuth},
		{"no pg_hba.conf entry", ErrAuth},
		{"connection refused", ErrUnreachable},
		{"the database system is", ErrUnreachable},
		{"server closed the connection unexpectedly", ErrUnreachable},
		{"terminating connection due to administrator command", ErrUnreachable},
		{"timeout expired", ErrUnreachable},
		{"could not connect to server", ErrUnreachable},
		{"too many clients", ErrUnreachable},
		{"lock timeout", ErrLocked},
		{"no space left on device", ErrNoSpace},
	} {
		if strings.Contains(text, row.words) {
			return row.err
		}
	}
	if strings.Contains(text, "does not exist") {
		switch {
		case strings.Contains(text, "role \""):
			return ErrAuth
		case strings.Contains(text, "database \""):
			return ErrNoDatabase
		}
	}
	return nil
}

// failure makes an error of a program's complaint.
func failure(action, stderr string, cause error) error {
	if known := classify(stderr); known != nil {
		cause = known
	}
	if stderr = strings.TrimSpace(stderr); stderr == "" {
		return fmt.Errorf("%s: %w", action, cause)
	}
	return fmt.Errorf("%s: %w: %s", action, cause, stderr)
}
