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

// Console is a psql in a helper container that takes one statement after the other. It is not safe for concurrent use.
type Console struct {
	helper *docker.Helper
	folder string
	app    string
	lines  *bufio.Reader
	marker string
}

func newConsole(helper *docker.Helper, folder, app string) *Console {
	return &Console{helper: helper, folder: folder, app: app, lines: bufio.NewReader(helper.Stdout), marker: "end-of-answer-" + rand.Text()}
}

// Query runs one statement that yields at most one row of one column, and returns it as text.
func (c *Console) Query(ctx context.Context, statement string) (string, error) {
	return c.ask(ctx, statement)
}

// QueryJSON runs one statement that yields one JSON value and decodes it into target.
func (c *Console) QueryJSON(ctx context.Context, statement string, target any) error {
	text, err := c.ask(ctx, statement)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), target); err != nil {
		return fmt.Errorf("query: decode answer: %w", err)
	}
	return nil
}

// TryJSON is QueryJSON for a statement that may fail, and then leaves the console as it was: the error wraps ErrStatement and holds the
// server's words. An answer of another shape than the target's is the same.
func (c *Console) TryJSON(ctx context.Context, statement string, target any) error {
	answer, err := c.tolerate(ctx, statement)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(answer), target); err != nil {
		return fmt.Errorf("query: %w: answer %.60q: %w", ErrStatement, answer, err)
	}
	return nil
}

// tolerate is Query for a statement whose failure does not end the console, nor the transaction that it is in: psql sets a savepoint
// before it, goes back to it by itself, and keeps what the server said.
func (c *Console) tolerate(ctx context.Context, statement string) (string, error) {
	text, err := c.ask(ctx, "\\set ON_ERROR_STOP off\n\\set ON_ERROR_ROLLBACK on\n"+statement+
		"\n;\n\\echo "+c.marker+"-outcome :ERROR :SQLSTATE :LAST_ERROR_MESSAGE\n\\set ON_ERROR_ROLLBACK off\n\\set ON_ERROR_STOP on")
	if err != nil {
		return "", err
	}
	answer, outcome, _ := strings.Cut(text, c.marker+"-outcome ") // a message may have several lines
	answer = strings.TrimSuffix(answer, "\n")
	if said, failed := strings.CutPrefix(outcome, "true "); failed {
		return "", fmt.Errorf("query: %w: %s", ErrStatement, said)
	}
	return answer, nil
}

func (c *Console) send(ctx context.Context, statement string) error {
	_, err := c.ask(ctx, statement)
	return err
}

// answerLimit bounds one question: a paused or wedged server does not answer, and does not hang up either.
const answerLimit = 5 * time.Minute

// ask writes a statement and reads up to the marker that psql echoes behind its answer. Any SQL error ends psql
// (ON_ERROR_STOP), so a missing marker means that its standard error holds the cause.
func (c *Console) ask(ctx context.Context, statement string) (string, error) {
	return c.askWithin(ctx, answerLimit, statement)
}

func (c *Console) askWithin(ctx context.Context, limit time.Duration, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.helper.Stdin.Close() })
	defer stop()
	if _, err := io.WriteString(c.helper.Stdin, statement+"\n;\n\\echo "+c.marker+"\n"); err != nil {
		return "", c.broken(ctx, err)
	}
	var answer []string
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return "", c.broken(ctx, err)
		}
		line = strings.TrimSuffix(line, "\n")
		if line == c.marker {
			return strings.Join(answer, "\n"), nil
		}
		answer = append(answer, line)
	}
}

func (c *Console) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("query: %w", ctx.Err())
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("psql ended")
	}
	return failure("query", c.helper.Stderr(), err)
}

// Position returns where the server's WAL is now, not as of the snapshot.
func (c *Console) Position(ctx context.Context) (backupset.LSN, error) {
	text, err := c.Query(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END")
	return backupset.LSN(text), err
}

// SystemID returns the identifier that initdb gave the server.
func (c *Console) SystemID(ctx context.Context) (string, error) {
	return c.Query(ctx, "SELECT system_identifier FROM pg_control_system()")
}

// EndStrays terminates the sessions that earlier runs of ours left on the server and waits until they are gone. The
// caller holds the node's lock, so no session of ours but this one has work to do. It returns how many there were.
func (c *Console) EndStrays(ctx context.Context) (int, error) {
	// Not pg_stat_activity through this transaction's eyes: its contents are frozen at first look, so drop the cached copy.
	const strays = `FROM pg_stat_activity WHERE application_name LIKE 'canton-backup %%' AND application_name <> %s AND pid <> pg_backend_pid()`
	others := fmt.Sprintf(strays, Literal(c.app))
	ended, err := c.Query(ctx, "SELECT count(pg_terminate_backend(pid)) "+others)
	if err != nil {
		return 0, err
	}
	var count int
	if _, err := fmt.Sscan(ended, &count); err != nil {
		return 0, fmt.Errorf("end stray sessions: %w", err)
	}
	for deadline := time.Now().Add(30 * time.Second); count > 0; {
		if err := c.send(ctx, "SELECT pg_stat_clear_snapshot()"); err != nil {
			return 0, err
		}
		left, err := c.Query(ctx, "SELECT count(*) "+others)
		if err != nil {
			return 0, err
		}
		if left == "0" {
			break
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("end stray sessions: %s of them still run after 30 s", left)
		}
		if err := c.send(ctx, "SELECT pg_sleep(0.1)"); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// Close ends the session and whatever runs for it.
func (c *Console) Close() error {
	return errors.Join(c.helper.Close(), os.RemoveAll(c.folder))
}

// Literal quotes a text as an SQL literal. Identifiers never come from outside, so that nothing else needs quoting.
func Literal(text string) string {
	if strings.Contains(text, `\`) {
		return ` E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + `'`
	}
	return `'` + strings.ReplaceAll(text, `'`, `''`) + `'`
}
