package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/internal/backupset"
	"canton-backup/internal/postgres"
	"canton-backup/internal/seal"
	"canton-backup/testbed"
)

// restoreBar is our time to the time of gunzip and psql beside the server, on the same file.
const restoreBar = 0.65

const restored = "restored"

// loadWay is one way to load a dump file into an empty database.
type loadWay struct {
	name  string
	bar   float64
	run   func(ctx context.Context) error
	walls []time.Duration
}

// restores loads one dump file in every way, once to warm the caches and then in the counted rounds, each in the opposite order of the one before.
func (r *rig) restores(ctx context.Context, rounds int, out io.Writer) (_ []bar, err error) {
	file := filepath.Join(r.dir, "restore.sql.gz")
	packed := filepath.Join(r.dir, "restore.sql.zst")
	for codec, path := range map[backupset.Codec]string{backupset.Gzip: file, backupset.Zstd: packed} {
		if err := r.capture(ctx, path, codec, nil); err != nil {
			return nil, err
		}
		defer os.Remove(path)
	}
	container := r.node.Container(testbed.Postgres)
	if err := r.script(`"$CLIENT" cp `+file+` "$CONTAINER:/tmp/restore.sql.gz"; "$CLIENT" exec -u 0 "$CONTAINER" chmod 0644 /tmp/restore.sql.gz`)(ctx, ""); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, r.script(`"$CLIENT" exec -u 0 "$CONTAINER" rm -f /tmp/restore.sql.gz`)(context.WithoutCancel(ctx), ""))
	}()
	ways := []*loadWay{
		{name: "gunzip | psql, beside the server", run: func(ctx context.Context) error {
			return r.script(`"$CLIENT" exec "$CONTAINER" bash -o pipefail -c 'gunzip -c /tmp/restore.sql.gz | psql -qU "$1" -v ON_ERROR_STOP=1 -d `+restored+` >/dev/null' - "$DB_USER"`)(ctx, "")
		}},
		{name: "gunzip | docker exec psql (the guide)", run: func(ctx context.Context) error {
			return r.script(`gunzip -c `+file+` | "$CLIENT" exec -i "$CONTAINER" psql -qU "$DB_USER" -d `+restored+` >/dev/null`)(ctx, "")
		}},
		{name: "canton-backup, gzip", bar: restoreBar, run: func(ctx context.Context) error { return r.load(ctx, file, backupset.Gzip) }},
		{name: "canton-backup, zstd", bar: restoreBar, run: func(ctx context.Context) error { return r.load(ctx, packed, backupset.Zstd) }},
	}
	for round := range rounds + 1 {
		for i := range ways {
			if round%2 == 1 {
				i = len(ways) - 1 - i
			}
			for _, statement := range []string{"DROP DATABASE IF EXISTS " + restored, "CREATE DATABASE " + restored + " TEMPLATE template0", "CHECKPOINT"} {
				if _, err := r.node.SQL(ctx, "postgres", statement); err != nil {
					return nil, err
				}
			}
			unix.Sync() // the way before ours must not have its pages written in our time
			start := time.Now()
			if err := ways[i].run(ctx); err != nil {
				return nil, fmt.Errorf("measure %s: %w", ways[i].name, err)
			}
			wall := time.Since(start)
			fmt.Fprintf(out, "round %d: %-38s %5.1f s, load %s\n", round, ways[i].name, wall.Seconds(), load())
			if round > 0 {
				ways[i].walls = append(ways[i].walls, wall)
			}
		}
	}
	if _, err := r.node.SQL(ctx, "postgres", "DROP DATABASE "+restored); err != nil {
		return nil, err
	}
	seed := median(ways[0].walls)
	fmt.Fprintf(out, "\nRESTORE of the same dump into an empty database of %s, medians\n", container)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "way\twall s\tfrom–to\tratio\t")
	var bars []bar
	for _, w := range ways {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f–%.1f\t%.2f\t\n", w.name, median(w.walls).Seconds(), slices.Min(w.walls).Seconds(), slices.Max(w.walls).Seconds(), ratio(median(w.walls), seed))
		if w.bar > 0 {
			bars = append(bars, bar{w.name + ": restore / gunzip | psql", ratio(median(w.walls), seed), w.bar})
		}
	}
	return bars, t.Flush()
}

// load is what the product's restore does with a dump file.
func (r *rig) load(ctx context.Context, path string, codec backupset.Codec) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := seal.Decode(ctx, file, backupset.Component{Codec: codec}, nil)
	if err != nil {
		return err
	}
	defer text.Close()
	console, err := r.server.Console(ctx, restored, "bench", postgres.LoadParameters()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, console.Close()) }()
	return console.Load(ctx, text)
}
