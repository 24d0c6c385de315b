package temporalserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/persistence"
	dbschemas "go.temporal.io/server/schema"
)

const (
	visibilitySchema = "sqlite/v3/visibility/schema.sql"
	visibilityTable  = "executions_visibility"
)

// visibilityOrigin tells which schema a visibility file was made from. The server ships no migrations for SQLite
// visibility although the schema changes between releases, so the text's hash stands in for a version.
type visibilityOrigin struct {
	Hash   string // SHA-256 of the schema's text, hex
	Server string // release of the server that shipped it
}

func ourVisibility() (visibilityOrigin, []string, error) {
	text, err := fs.ReadFile(dbschemas.Assets(), visibilitySchema)
	if err != nil {
		return visibilityOrigin{}, nil, fmt.Errorf("read visibility schema: %w", err)
	}
	statements, err := persistence.LoadAndSplitQueryFromReaders([]io.Reader{bytes.NewReader(text)})
	if err != nil {
		return visibilityOrigin{}, nil, fmt.Errorf("split visibility schema: %w", err)
	}
	sum := sha256.Sum256(text)
	return visibilityOrigin{Hash: hex.EncodeToString(sum[:]), Server: headers.ServerVersion}, statements, nil
}

func readVisibilityOrigin(ctx context.Context, db *database) (visibilityOrigin, error) {
	var o visibilityOrigin
	err := db.QueryRowContext(ctx, "SELECT schema_hash, server_version FROM visibility_origin").Scan(&o.Hash, &o.Server)
	if err != nil {
		return o, db.classify("read origin of", err)
	}
	return o, nil
}

// createVisibility makes an empty file from the shipped schema.
func createVisibility(ctx context.Context, path string) error {
	return createDatabase(path, func(db *database) error {
		return db.inTransaction(ctx, func(tx *sql.Tx) error { return fillVisibility(ctx, tx) })
	})
}

func fillVisibility(ctx context.Context, tx *sql.Tx) error {
	origin, statements, err := ourVisibility()
	if err != nil {
		return err
	}
	statements = append(statements, "CREATE TABLE visibility_origin (schema_hash TEXT NOT NULL, server_version TEXT NOT NULL)")
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("run visibility schema: %w", err)
		}
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO visibility_origin VALUES (?, ?)", origin.Hash, origin.Server)
	return err
}

// rebuildVisibility makes a file from the shipped schema, copies the rows of the one at path into it and puts it in that
// one's place. Every search attribute is a column generated from a JSON text, so the real columns carry all there is.
func rebuildVisibility(ctx context.Context, path string) error {
	return createDatabase(path, func(db *database) error {
		if _, err := db.ExecContext(ctx, "ATTACH DATABASE ? AS old", path); err != nil {
			return db.classify("attach old file to", err)
		}
		err := db.inTransaction(ctx, func(tx *sql.Tx) error {
			if err := fillVisibility(ctx, tx); err != nil {
				return err
			}
			return copyRows(ctx, tx)
		})
		if err != nil {
			return db.classify("fill", err)
		}
		if _, err := db.ExecContext(ctx, "DETACH DATABASE old"); err != nil {
			return db.classify("detach old file from", err)
		}
		return nil
	})
}

// copyRows copies the columns that both releases know.
func copyRows(ctx context.Context, tx *sql.Tx) error {
	ours, err := realColumns(ctx, tx, "main")
	if err != nil {
		return err
	}
	theirs, err := realColumns(ctx, tx, "old")
	if err != nil {
		return err
	}
	var common []string
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			common = append(common, name)
		}
	}
	list := strings.Join(common, ", ")
	_, err = tx.ExecContext(ctx, "INSERT INTO main."+visibilityTable+" ("+list+") SELECT "+list+" FROM old."+visibilityTable)
	return err
}

// realColumns lists the columns that can be written, quoted; generated ones cannot.
func realColumns(ctx context.Context, tx *sql.Tx, database string) ([]string, error) {
	rows, err := tx.QueryContext(ctx,
		"SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden = 0 ORDER BY cid", visibilityTable, database)
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read columns: %w", err)
		}
		names = append(names, `"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	}
	return names, rows.Err()
}
