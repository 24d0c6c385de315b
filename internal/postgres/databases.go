package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrInUse: a database could not be renamed or dropped because clients stay connected to it, or come back at once.
var ErrInUse = errors.New("database is in use")

// Database is one database of the server.
type Database struct {
	Bytes   int64  `json:"bytes"`   // pg_database_size
	Connect bool   `json:"connect"` // connections are allowed
	Locale  string `json:"locale"`  // clause of CREATE DATABASE that gives another one the same encoding and collation
}

// Databases lists all databases but templates and the server's own "postgres".
func (c *Console) Databases(ctx context.Context) (map[string]Database, error) {
	all := map[string]Database{}
	err := c.QueryJSON(ctx, `SELECT coalesce(json_object_agg(datname, json_build_object('bytes', pg_database_size(oid), 'connect', datallowconn,
 'locale', format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(encoding), datcollate, datctype))), '{}')
 FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`, &all)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return all, nil
}

// Create makes an empty database. locale is another one's Database.Locale, or empty for the server's.
func (c *Console) Create(ctx context.Context, name, locale string) error {
	if err := c.send(ctx, "CREATE DATABASE "+Identifier(name)+" TEMPLATE template0 "+locale); err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	return nil
}

// EnsureRoles makes the roles that are missing, without a password and without the right to log in: a dump grants to roles and does not make them.
func (c *Console) EnsureRoles(ctx context.Context, names []string) error {
	for _, name := range names {
		there, err := c.Query(ctx, "SELECT count(*) FROM pg_roles WHERE rolname = "+Literal(name))
		if err == nil && there == "0" {
			err = c.send(ctx, "CREATE ROLE "+Identifier(name)+" NOLOGIN")
		}
		if err != nil {
			return fmt.Errorf("make role %q: %w", name, err)
		}
	}
	return nil
}

// Drop removes a database and whoever is connected to it. Absent is success.
func (c *Console) Drop(ctx context.Context, name string) error {
	all, err := c.Databases(ctx)
	if err != nil {
		return err
	}
	if _, there := all[name]; !there {
		return nil
	}
	err = c.disconnect(ctx, name)
	if err == nil {
		err = c.send(ctx, "DROP DATABASE "+Identifier(name))
	}
	if err != nil {
		return fmt.Errorf("drop database %q: %w", name, err)
	}
	return nil
}

// Rename is a database's old name and its new one. Retire says that nobody shall connect to it under the new one: what lies aside for
// a way back must not be written to.
type Rename struct {
	From, To string
	Retire   bool
}

// RenameAll renames databases in one transaction: all of them or none, whatever happens. Who is connected to them is put out first, and
// kept out meanwhile; a client that will not stay away is ErrInUse, and nothing is changed.
func (c *Console) RenameAll(ctx context.Context, renames []Rename) (err error) {
	fail := func(err error) error { return fmt.Errorf("rename databases: %w", err) }
	before, err := c.Databases(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.reopen(ctx, renames, before))
		}
	}()
	for _, r := range renames {
		if err := c.disconnect(ctx, r.From); err != nil {
			return fail(err)
		}
	}
	var statements strings.Builder
	statements.WriteString("DO $rename$ BEGIN\n")
	for _, r := range renames {
		fmt.Fprintf(&statements, "ALTER DATABASE %s RENAME TO %s;\n", Identifier(r.From), Identifier(r.To))
		fmt.Fprintf(&statements, "ALTER DATABASE %s WITH ALLOW_CONNECTIONS %t;\n", Identifier(r.To), !r.Retire)
	}
	statements.WriteString("END $rename$")
	if err := c.try(ctx, statements.String()); err != nil {
		if strings.Contains(err.Error(), "being accessed by other users") {
			return fail(fmt.Errorf("%w: %w", ErrInUse, err))
		}
		return fail(err)
	}
	return nil
}

// Open allows connections to a database, as is the rule.
func (c *Console) Open(ctx context.Context, name string) error {
	if err := c.try(ctx, "ALTER DATABASE "+Identifier(name)+" WITH ALLOW_CONNECTIONS true"); err != nil {
		return fmt.Errorf("open database %q to clients: %w", name, err)
	}
	return nil
}

// reopen gives connections back to databases that keep their names.
func (c *Console) reopen(ctx context.Context, renames []Rename, before map[string]Database) error {
	var errs []error
	for _, r := range renames {
		if before[r.From].Connect {
			errs = append(errs, c.try(ctx, "ALTER DATABASE "+Identifier(r.From)+" WITH ALLOW_CONNECTIONS true"))
		}
	}
	return errors.Join(errs...)
}

const disconnectLimit = 15 * time.Second

// disconnect closes a database to new connections and ends those that there are.
func (c *Console) disconnect(ctx context.Context, name string) error {
	if err := c.try(ctx, "ALTER DATABASE "+Identifier(name)+" WITH ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	for deadline := time.Now().Add(disconnectLimit); ; {
		left, err := c.Query(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = "+Literal(name)+" AND pid <> pg_backend_pid()")
		if err != nil {
			return err
		}
		if left == "0" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s sessions on %q do not end", ErrInUse, left, name)
		}
		if err := c.send(ctx, "SELECT pg_sleep(0.1)"); err != nil {
			return err
		}
	}
}

// try runs a statement that returns nothing and may fail; the console stays usable.
func (c *Console) try(ctx context.Context, statement string) error {
	text, err := c.tolerate(ctx, statement)
	if err == nil && text != "" {
		err = fmt.Errorf("query: unexpected answer %.60q", text)
	}
	return err
}

// Identifier quotes a name as an SQL identifier.
func Identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
