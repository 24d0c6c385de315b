package main

import (
	"canton-backup/bench/internal/figures"
)

// dumpsOf runs a line for each database as the product does: the validator's first.
func dumpsOf(line string) string {
	return `for DB in "$VALIDATOR_DB" "$DB"; do ` + line + `; done`
}

// backups are the ways to bring both databases to an S3 server. pgBackRest is the exception: it speaks S3 over TLS alone.
func (r *rig) backups() []subject {
	stored := func() (int64, error) { return size(r.desk.stored()) }
	return []subject{
		{name: figures.SeedCopied, slow: true, rare: true, out: stored,
			run: r.script(dumpsOf(`docker exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | gzip > "$OUT/$DB.sql.gz"`) + `; rclone copy "$OUT" "$BUCKET/copied"`)},
		{name: figures.Rclone, rare: true, out: stored, run: r.script(dumpsOf(inContainer + ` | rclone rcat "$BUCKET/rcat/$DB.sql.zst"`))},
		{name: figures.Restic, slow: true, rare: true, out: stored, prepare: r.script(`RESTIC_REPOSITORY="$S3_REPOSITORY" restic init -q`),
			run: r.script(dumpsOf(`docker exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | RESTIC_REPOSITORY="$S3_REPOSITORY" restic backup -q --stdin --stdin-filename "$DB.sql"`))},
		rare(r.pgBackRest()),
		{name: figures.OursZstdAge, worker: true, out: stored, run: r.desk.ask("backup")},
	}
}

// drills prove that a set restores: the worker fetches it from the S3 server, loads it into a throw-away server and compares every row.
func (r *rig) drills() []subject {
	return []subject{{name: figures.OursDrill, worker: true, prepare: r.desk.ask("backup"), run: r.desk.ask("drill"), out: func() (int64, error) { return 0, nil }}}
}
