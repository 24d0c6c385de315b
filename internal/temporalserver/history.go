package temporalserver

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"go.temporal.io/server/common/log"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/tools/common/schema"
)

const (
	historySchema = "sqlite/v3/temporal"
	// schemaKey names the row that holds the version. The server's tools use the file's path, and lose the version when
	// the folder moves.
	schemaKey = "main"
)

// createHistory makes a file of our version. It is made under another name first: a file under its own name is complete.
func createHistory(ctx context.Context, path string) error {
	return createDatabase(path, func(db *database) error {
		return db.inTransaction(ctx, func(tx *sql.Tx) error {
			return schema.NewSetupSchemaTask(&versionedDB{ctx: ctx, tx: tx}, &schema.SetupConfig{
				SchemaName:     historySchema,
				InitialVersion: sqliteschema.Version,
			}, log.NewNoopLogger()).Run()
		})
	})
}

// historyVersion reads the schema version of a sound file.
func historyVersion(ctx context.Context, db *database) (string, error) {
	var version string
	err := db.QueryRowContext(ctx,
		"SELECT curr_version FROM schema_version WHERE version_partition = 0 AND db_name = ?", schemaKey).Scan(&version)
	if err != nil {
		return "", db.classify("read version of", err)
	}
	return version, nil
}

// migrateHistory runs the server's own scripts, from the file's version up to ours, in one transaction.
func migrateHistory(ctx context.Context, path string) error {
	db, err := openDatabase(path, "rw")
	if err != nil {
		return err
	}
	err = db.inTransaction(ctx, func(tx *sql.Tx) error {
		return schema.NewUpdateSchemaTask(&versionedDB{ctx: ctx, tx: tx}, &schema.UpdateConfig{
			DBName:        schemaKey,
			SchemaName:    historySchema,
			TargetVersion: sqliteschema.Version,
		}, log.NewNoopLogger()).Run()
	})
	if err != nil {
		err = db.classify("migrate", err)
	}
	return errors.Join(err, db.Close())
}

// versionedDB lets the server's schema tasks work on our connection.
type versionedDB struct {
	ctx context.Context // of the one task that the value serves; the interface has no room for it
	tx  *sql.Tx
}

var _ schema.DB = (*versionedDB)(nil)

const versionTables = `
CREATE TABLE schema_version (
	version_partition INT NOT NULL,
	db_name VARCHAR(255) NOT NULL,
	creation_time DATETIME(6),
	curr_version VARCHAR(64),
	min_compatible_version VARCHAR(64),
	PRIMARY KEY (version_partition, db_name)
);
CREATE TABLE schema_update_history (
	version_partition INT NOT NULL,
	year INT NOT NULL,
	month INT NOT NULL,
	update_time DATETIME(6) NOT NULL,
	description VARCHAR(255),
	manifest_md5 VARCHAR(64),
	new_version VARCHAR(64),
	old_version VARCHAR(64),
	PRIMARY KEY (version_partition, year, month, update_time)
);`

func (d *versionedDB) Exec(stmt string, args ...any) error {
	_, err := d.tx.ExecContext(d.ctx, stmt, args...)
	return err
}

// CreateSchemaVersionTables makes the two tables in the layout that the server's tools use.
func (d *versionedDB) CreateSchemaVersionTables() error { return d.Exec(versionTables) }

func (d *versionedDB) ReadSchemaVersion() (string, error) {
	var version string
	err := d.tx.QueryRowContext(d.ctx,
		"SELECT curr_version FROM schema_version WHERE version_partition = 0 AND db_name = ?", schemaKey).Scan(&version)
	return version, err
}

func (d *versionedDB) UpdateSchemaVersion(version, minimum string) error {
	return d.Exec("REPLACE INTO schema_version (version_partition, db_name, creation_time, curr_version, min_compatible_version)"+
		" VALUES (0, ?, ?, ?, ?)", schemaKey, time.Now().UTC(), version, minimum)
}

func (d *versionedDB) WriteSchemaUpdateLog(from, to, digest, description string) error {
	now := time.Now().UTC()
	return d.Exec("INSERT INTO schema_update_history"+
		" (version_partition, year, month, update_time, description, manifest_md5, new_version, old_version)"+
		" VALUES (0, ?, ?, ?, ?, ?, ?, ?)", now.Year(), int(now.Month()), now, description, digest, to, from)
}

var errNeverDropped = errors.New("history tables are never dropped")

func (d *versionedDB) DropAllTables() error { return errNeverDropped }
func (d *versionedDB) Close()               {}
func (d *versionedDB) Type() string         { return "sql" }
