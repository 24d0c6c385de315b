package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"canton-backup/bench/internal/figures"
	"canton-backup/internal/backupset"
)

// restored is the database that dumps are loaded into.
const restored = "restored"

// restores are the ways to load the same dump into an empty database. The dump files lie on the host for us, and in the container for the
// peers; finish removes both.
func (r *rig) restores(ctx context.Context) (_ []subject, finish func(context.Context) error, err error) {
	files := filepath.Join(r.dir, "dumps")
	finish = func(ctx context.Context) error {
		_, err := r.node.SQL(ctx, "postgres", "DROP DATABASE IF EXISTS "+restored)
		return errors.Join(err, os.RemoveAll(files), r.script(`docker exec -u 0 "$CONTAINER" rm -rf /tmp/dumps`)(ctx))
	}
	if err := emptied(files); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, finish(context.WithoutCancel(ctx)))
		}
	}()
	for _, codec := range []backupset.Codec{backupset.Gzip, backupset.Zstd} {
		err := r.part("capture", "-codec", string(codec), "-file", filepath.Join(files, string(codec)), "-database", r.node.ParticipantDB())(ctx)
		if err != nil {
			return nil, nil, err
		}
	}
	// Each peer reads what its own kind of dump wrote.
	fill := r.script(`docker exec "$CONTAINER" pg_dump -Fc -Z1 -U "$DB_USER" "$DB" > ` + files + `/custom; docker cp ` + files + ` "$CONTAINER:/tmp/dumps"
		docker exec -u 0 "$CONTAINER" chmod -R a+rwX /tmp/dumps
		docker exec "$CONTAINER" bash -o pipefail -c 'cd /tmp/dumps; zstd -dcq < zstd | gzip > seed.gz; zstd -dcq < zstd | zstd -1 -q > peer.zst'`)
	if err := fill(ctx); err != nil {
		return nil, nil, err
	}
	peer := func(name, line string) subject {
		return subject{name: name, prepare: r.newDatabase,
			run: r.script(`docker exec "$CONTAINER" bash -o pipefail -c '` + line + `' - "$DB_USER" ` + restored + ` >/dev/null`)}
	}
	ours := func(name string, codec backupset.Codec) subject {
		return subject{name: name, prepare: r.newDatabase, run: r.part("load", "-codec", string(codec), "-file", filepath.Join(files, string(codec)), "-database", restored)}
	}
	return []subject{
		peer(figures.GunzipPsql, `gunzip -c < /tmp/dumps/seed.gz | psql -qXU "$1" -v ON_ERROR_STOP=1 -d "$2"`),
		peer(figures.ZstdPsql, `zstd -dcq < /tmp/dumps/peer.zst | psql -1 -qXU "$1" -v ON_ERROR_STOP=1 -d "$2"`),
		peer(figures.PgRestore, `pg_restore -j2 -U "$1" -d "$2" /tmp/dumps/custom`),
		ours(figures.OursGzip, backupset.Gzip),
		ours(figures.OursZstd, backupset.Zstd),
	}, finish, nil
}

// newDatabase makes an empty one of the server's last work.
func (r *rig) newDatabase(ctx context.Context) error {
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + restored, "CREATE DATABASE " + restored + " TEMPLATE template0", "CHECKPOINT"} {
		if _, err := r.node.SQL(ctx, "postgres", statement); err != nil {
			return err
		}
	}
	return nil
}
