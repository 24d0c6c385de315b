package temporalserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blang/semver/v4"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	historyName    = "temporal.db"
	visibilityName = "visibility.db"

	busyTimeout = 10 * time.Second
)

// sidecars are the files SQLite keeps beside a database; what is committed may still lie in the first.
var sidecars = []string{"-wal", "-shm"}

// errBroken marks what no retry and no operator's permission can mend: the file is not a database that we wrote.
var errBroken = errors.New("file is damaged")

// database is one SQLite file opened by us, before the server opens it. The server's own plugin is not used here: it
// keeps every file it ever opened open until the process ends, and these files may have to be renamed.
type database struct {
	*sql.DB
	path string
}

// openDatabase opens path with the given mode, "rw" or "rwc", on one connection.
func openDatabase(path, mode string) (*database, error) {
	query := url.Values{"mode": {mode}, "_pragma": {fmt.Sprintf("busy_timeout=%d", busyTimeout.Milliseconds())}}
	db, err := sql.Open("sqlite", "file:"+uriPath(path)+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &database{DB: db, path: path}, nil
}

// uriPath keeps a folder with a question mark or a percent sign in its name from being read as a SQLite option.
func uriPath(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// check reads the whole file. It returns errBroken when the file is not sound.
func (db *database) check(ctx context.Context) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return db.classify("check", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("check %s: %w: %s", db.path, errBroken, verdict)
	}
	return nil
}

// classify tells a damaged file from a file that cannot be had at the moment. Only the first is set aside: a file that
// another program locks, or a full disk, must not cost the operator the history.
func (db *database) classify(verb string, err error) error {
	var code int
	if s, ok := errors.AsType[*sqlite.Error](err); ok {
		code = s.Code() & 0xff
	}
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT:
		return fmt.Errorf("%s %s: %w", verb, db.path, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s %s: %w", verb, db.path, err)
	}
	return fmt.Errorf("%s %s: %w: %w", verb, db.path, errBroken, err)
}

// copyTo writes a consistent copy, what lies in the write-ahead log included.
func (db *database) copyTo(ctx context.Context, target string) error {
	// SQLite would make the file with the umask's permissions; it accepts an empty one.
	if err := createPrivate(target); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", target); err != nil {
		return db.classify("copy", err)
	}
	return nil
}

// settle moves the write-ahead log into the file and removes it, so that the file can be renamed alone.
func (db *database) settle(ctx context.Context) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode=DELETE").Scan(&mode); err != nil {
		return db.classify("settle", err)
	}
	if mode != "delete" {
		return fmt.Errorf("settle %s: journal mode stays %s", db.path, mode)
	}
	return nil
}

// inTransaction commits when work returns nil. Schema changes are part of it, so a killed migration leaves the old file.
func (db *database) inTransaction(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// createDatabase makes a file under another name, lets fill write into it and puts it in place by rename, so that a file
// under its own name is always complete. What was at path is replaced.
func createDatabase(path string, fill func(*database) error) error {
	fresh := path + ".new"
	if err := discard(fresh); err != nil {
		return err
	}
	if err := createPrivate(fresh); err != nil {
		return err
	}
	db, err := openDatabase(fresh, "rw")
	if err != nil {
		return err
	}
	if err := errors.Join(fill(db), db.Close()); err != nil {
		return fmt.Errorf("create %s: %w", path, errors.Join(err, discard(fresh)))
	}
	return rename(fresh, path)
}

// createPrivate makes an empty file that only its owner reads. SQLite gives its sidecars the same permissions.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// protect narrows the permissions of a database that is there already.
func protect(path string) error {
	for _, suffix := range append([]string{""}, sidecars...) {
		if err := os.Chmod(path+suffix, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("protect %s: %w", path+suffix, err)
		}
	}
	return nil
}

// rename moves a database and its sidecars. The log goes with it: it may hold the newest commits.
func rename(from, to string) error {
	for _, suffix := range append([]string{""}, sidecars...) {
		if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rename %s: %w", from+suffix, err)
		}
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// discard removes what an earlier, killed start left half made.
func discard(path string) error {
	for _, suffix := range append([]string{"", "-journal"}, sidecars...) {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", path+suffix, err)
		}
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// compareVersions orders "0.9" before "0.11". An unreadable version is an error.
func compareVersions(a, b string) (int, error) {
	va, err := semver.ParseTolerant(strings.TrimSpace(a))
	if err != nil {
		return 0, fmt.Errorf("read version %q: %w", a, err)
	}
	vb, err := semver.ParseTolerant(strings.TrimSpace(b))
	if err != nil {
		return 0, fmt.Errorf("read version %q: %w", b, err)
	}
	return va.Compare(vb), nil
}
