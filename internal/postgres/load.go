package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"canton-backup/internal/sqltext"
)

// LoadParameters make a load quicker and cost nothing: what a crash could lose is a database that nobody uses yet. The server builds each index on as many
// cores as we may keep busy.
func LoadParameters() []string {
	return []string{"synchronous_commit=off", "maintenance_work_mem=512MB", fmt.Sprintf("max_parallel_maintenance_workers=%d", cores()-1)}
}

// mostLoaders is how many sessions load rows side by side. Two keep two cores busy beside the decoder; more wait for each other where a table grows.
const mostLoaders = 2

// cores is how many we may keep busy, see process.UseCores.
func cores() int { return min(runtime.GOMAXPROCS(0), 8) } // what a server starts workers for by default

// readAhead is how many blocks may wait for the sessions: decoding goes on while the server waits for its disk.
const readAhead = 16

// Load runs the SQL text of a dump in the console's database, which must be empty, and stops at the first error: the definitions, then the rows in several
// sessions at once, then indexes and constraints. A text without pg_dump's last line is ErrTruncated. When the context ends, the load is ended on the
// server's side too, and the console is of no more use.
func (c *Console) Load(ctx context.Context, text io.Reader) error {
	dump := sqltext.NewSplitter(text)
	before, setup, err := dump.Before()
	if err != nil {
		return fmt.Errorf("load: %w", dumpError(err))
	}
	plain, release := unrestricted(setup)
	if err := c.psql(ctx, "definitions", script(before, release)); err != nil {
		return err
	}
	columns, err := c.columns(ctx)
	if err != nil {
		return err
	}
	blocks := make(chan sqltext.Block, readAhead)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := dump.Rows(groupCtx, blocks); err != nil {
			return fmt.Errorf("load: %w", dumpError(err))
		}
		return nil
	})
	for i := range min(mostLoaders, cores()) {
		group.Go(func() error {
			return c.psql(groupCtx, fmt.Sprintf("rows-%d", i), func(p *psqlInput) error {
				rows := &rowsLoader{input: p, columns: columns}
				return rows.load(plain, blocks)
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	after := dump.After()
	whole := append(before, after...) // a dump without rows has its last line there
	if !bytes.Contains(whole[max(0, len(whole)-footerWindow):], footer) {
		return fmt.Errorf("load: %w: the last line of pg_dump is missing", ErrTruncated)
	}
	return c.psql(ctx, "indexes", script(setup, after))
}

// columns finds the tables whose rows can be given to the server in COPY's binary format, by the target of pg_dump's COPY (sqltext.Block.Target). A table whose
// name or columns pg_dump writes in another way than the server is loaded as text.
func (c *Console) columns(ctx context.Context) (map[string]sqltext.Columns, error) {
	types := map[string][]string{}
	err := c.QueryJSON(ctx, `SELECT coalesce(json_object_agg(target, types), '{}') FROM (
 SELECT format('%I.%I (%s)', n.nspname, c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)) AS target,
  json_agg(CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END ORDER BY a.attnum) AS types
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 GROUP BY n.nspname, c.relname) tables`, &types)
	if err != nil {
		return nil, fmt.Errorf("load: read columns: %w", err)
	}
	found := map[string]sqltext.Columns{}
	for target, names := range types {
		if columns, worthIt := sqltext.ColumnsOf(names); worthIt {
			found[target] = columns
		}
	}
	return found, nil
}

// dumpError names what is wrong with a dump's text.
func dumpError(err error) error {
	switch {
	case errors.Is(err, sqltext.ErrCut):
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	case errors.Is(err, sqltext.ErrCommand):
		return fmt.Errorf("%w: %w", ErrLoad, err)
	}
	return err
}

// unrestricted is the setup without the line that begins psql's restricted mode, in which a dump since August 2025 runs, and release the line that
// ends it. Text of the dump runs in that mode, each part with both lines. The sessions that load rows go without: there psql takes
// no \copy, and sqltext.Splitter sees to it that they get no commands from the dump.
func unrestricted(setup []byte) (plain, release []byte) {
	for line := range bytes.Lines(setup) {
		if word, ok := bytes.CutPrefix(line, []byte(`\restrict `)); ok {
			if release == nil {
				release = append([]byte(`\unrestrict `), word...)
			}
		} else {
			plain = append(plain, line...)
		}
	}
	return plain, release
}

// Analyze gives the planner its statistics: without them the first hours of a restored node are slow.
func (c *Console) Analyze(ctx context.Context) error {
	if _, err := c.askWithin(ctx, analyzeLimit, "ANALYZE"); err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	return nil
}

const analyzeLimit = 2 * time.Hour
