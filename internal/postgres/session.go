package postgres

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/docker"
)

// Session is one transaction, repeatable read and read only, whose snapshot all its queries and its dump share. It is
// not safe for concurrent use, except that Dump may run while nothing else does.
type Session struct {
	helper   *docker.Helper
	folder   string
	app      string
	lines    *bufio.Reader
	marker   string
	snapshot string
	start    backupset.LSN
}

func newSession(helper *docker.Helper, folder, app string) *Session {
	return &Session{helper: helper, folder: folder, app: app, lines: bufio.NewReader(helper.Stdout), marker: "end-of-answer-" + rand.Text()}
}

// begin opens the transaction and exports its snapshot; from here on the session sees one moment of the database.
func (s *Session) begin(ctx context.Context) error {
	start, err := s.Position(ctx)
	if err != nil {
		return err
	}
	s.start = start
	if err := s.send(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"); err != nil {
		return err
	}
	snapshot, err := s.Query(ctx, "SELECT pg_export_snapshot()")
	if err != nil {
		return err
	}
	s.snapshot = snapshot
	return nil
}

// Start is the server's WAL position just before the snapshot was taken: what the snapshot sees is no older. A position read
// later would prove nothing about its beginning.
func (s *Session) Start() backupset.LSN { return s.start }

// Query runs one statement that yields at most one row of one column, and returns it as text.
func (s *Session) Query(ctx context.Context, statement string) (string, error) {
	return s.ask(ctx, statement)
}

// QueryJSON runs one statement that yields one JSON value and decodes it into target.
func (s *Session) QueryJSON(ctx context.Context, statement string, target any) error {
	text, err := s.ask(ctx, statement)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), target); err != nil {
		return fmt.Errorf("query: decode answer: %w", err)
	}
	return nil
}

// TryJSON is QueryJSON for a statement that may fail, and then leaves the session as it was: the error wraps ErrStatement and holds the
// server's words. An answer of another shape than the target's is the same.
func (s *Session) TryJSON(ctx context.Context, statement string, target any) error {
	// psql sets a savepoint before the statement, goes back to it by itself, and keeps what the server said.
	text, err := s.ask(ctx, "\\set ON_ERROR_STOP off\n\\set ON_ERROR_ROLLBACK on\n"+statement+
		"\n;\n\\echo :ERROR :SQLSTATE :LAST_ERROR_MESSAGE\n\\set ON_ERROR_ROLLBACK off\n\\set ON_ERROR_STOP on")
	if err != nil {
		return err
	}
	lines := strings.Split(text, "\n")
	answer, outcome := strings.Join(lines[:len(lines)-1], "\n"), lines[len(lines)-1]
	if said, failed := strings.CutPrefix(outcome, "true "); failed {
		return fmt.Errorf("query: %w: %s", ErrStatement, said)
	}
	if err := json.Unmarshal([]byte(answer), target); err != nil {
		return fmt.Errorf("query: %w: answer %.60q: %w", ErrStatement, answer, err)
	}
	return nil
}

func (s *Session) send(ctx context.Context, statement string) error {
	_, err := s.ask(ctx, statement)
	return err
}

// answerLimit bounds one question: a paused or wedged server does not answer, and does not hang up either.
const answerLimit = 5 * time.Minute

// ask writes a statement and reads up to the marker that psql echoes behind its answer. Any SQL error ends psql
// (ON_ERROR_STOP), so a missing marker means that its standard error holds the cause.
func (s *Session) ask(ctx context.Context, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.helper.Stdin.Close() })
	defer stop()
	if _, err := io.WriteString(s.helper.Stdin, statement+"\n;\n\\echo "+s.marker+"\n"); err != nil {
		return "", s.broken(ctx, err)
	}
	var answer []string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return "", s.broken(ctx, err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == s.marker {
			return strings.Join(answer, "\n"), nil
		}
		answer = append(answer, line)
	}
}

func (s *Session) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("query: %w", ctx.Err())
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("psql ended")
	}
	return failure("query", s.helper.Stderr(), err)
}

// Position returns where the server's WAL is now, not as of the snapshot.
func (s *Session) Position(ctx context.Context) (backupset.LSN, error) {
	text, err := s.Query(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END")
	return backupset.LSN(text), err
}

// SystemID returns the identifier that initdb gave the server.
func (s *Session) SystemID(ctx context.Context) (string, error) {
	return s.Query(ctx, "SELECT system_identifier FROM pg_control_system()")
}

// EndStrays terminates the sessions that earlier runs of ours left on the server and waits until they are gone. The
// caller holds the node's lock, so no session of ours but this one has work to do. It returns how many there were.
func (s *Session) EndStrays(ctx context.Context) (int, error) {
	// Not pg_stat_activity through this transaction's eyes: its contents are frozen at first look, so drop the cached copy.
	const strays = `FROM pg_stat_activity WHERE application_name LIKE 'canton-backup %%' AND application_name <> %s AND pid <> pg_backend_pid()`
	others := fmt.Sprintf(strays, Literal(s.app))
	ended, err := s.Query(ctx, "SELECT count(pg_terminate_backend(pid)) "+others)
	if err != nil {
		return 0, err
	}
	var count int
	if _, err := fmt.Sscan(ended, &count); err != nil {
		return 0, fmt.Errorf("end stray sessions: %w", err)
	}
	for deadline := time.Now().Add(30 * time.Second); count > 0; {
		if err := s.send(ctx, "SELECT pg_stat_clear_snapshot()"); err != nil {
			return 0, err
		}
		left, err := s.Query(ctx, "SELECT count(*) "+others)
		if err != nil {
			return 0, err
		}
		if left == "0" {
			break
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("end stray sessions: %s of them still run after 30 s", left)
		}
		if err := s.send(ctx, "SELECT pg_sleep(0.1)"); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// Close ends the session and whatever runs for it.
func (s *Session) Close() error {
	return errors.Join(s.helper.Close(), os.RemoveAll(s.folder))
}

// Literal quotes a text as an SQL literal. Identifiers never come from outside, so that nothing else needs quoting.
func Literal(text string) string {
	if strings.Contains(text, `\`) {
		return ` E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + `'`
	}
	return `'` + strings.ReplaceAll(text, `'`, `''`) + `'`
}
