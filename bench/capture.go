package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"canton-backup/bench/internal/figures"
	"canton-backup/internal/backupset"
)

// inContainer compresses beside the server, so that little goes through the exec stream.
const inContainer = `docker exec "$CONTAINER" bash -o pipefail -c 'pg_dump -U "$1" "$2" | zstd -1 -q' - "$DB_USER" "$DB"`

// pgBackRest's options: as few as it takes, no archive of the WAL, the same disk.
const pgBackRest = `docker exec "$SIDECAR" pgbackrest --stanza=bench --pg1-path=/var/lib/postgresql/data --pg1-user="$DB_USER" ` +
	`--pg1-socket-path=/proc/1/root/run/postgresql --repo1-path=/repository --lock-path=/tmp/pgbackrest --log-level-file=off --log-level-console=warn `

// captures are the ways to bring the participant's database to one file, or repository, on the same disk.
func (r *rig) captures() []subject {
	peers := []subject{
		{name: figures.Seed, slow: true, run: r.script(`docker exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | gzip > "$OUT/dump"`), text: r.decoded(`gzip -dc "$OUT/dump"`)},
		{name: figures.ZstdContainer, run: r.script(inContainer + ` > "$OUT/dump"`), text: r.decoded(`zstd -dcq < "$OUT/dump"`)},
		{name: figures.Custom, slow: true, rare: true, run: r.script(`docker exec "$CONTAINER" pg_dump -Fc -U "$DB_USER" "$DB" > "$OUT/dump"`),
			text: r.decoded(`docker exec -i "$CONTAINER" pg_restore -f - < "$OUT/dump"`)},
		{name: figures.Restic, slow: true, prepare: r.script(`RESTIC_REPOSITORY="$OUT/repository" restic init -q`),
			run:  r.script(`docker exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | RESTIC_REPOSITORY="$OUT/repository" restic backup -q --stdin --stdin-filename participant.sql`),
			text: r.decoded(`RESTIC_REPOSITORY="$OUT/repository" restic dump -q latest /participant.sql`)},
		{name: figures.Rclone, run: r.script(inContainer + ` | rclone rcat "$OUT/dump"`), text: r.decoded(`zstd -dcq < "$OUT/dump"`)},
	}
	for i := range peers {
		peers[i].out = func() (int64, error) { return size(r.out()) }
	}
	return append(append(peers, r.pgBackRest()),
		r.ours(figures.OursZstd, backupset.Zstd, backupset.Unencrypted),
		r.ours(figures.OursGzip, backupset.Gzip, backupset.Unencrypted),
		rare(r.ours(figures.OursZstdAge, backupset.Zstd, backupset.Age)),
		rare(r.ours(figures.OursZstdGPG, backupset.Zstd, backupset.GPG)),
		rare(r.ours(figures.OursGzipAge, backupset.Gzip, backupset.Age)))
}

func rare(s subject) subject {
	s.rare = true
	return s
}

// pgBackRest is physical and of the whole server: the data once, as it lies on the disk, with indexes.
func (r *rig) pgBackRest() subject {
	return subject{name: figures.PgBackRest, slow: true, prepare: r.script(pgBackRest + "--no-online stanza-create"),
		run: r.script(pgBackRest + "--process-max=2 --compress-type=zst --no-archive-check --start-fast --repo1-retention-full=1 --type=full backup"),
		out: func() (int64, error) { return size(r.repository()) }}
}

// ours is a capture in a process of its own, which is what the DumpParticipant step does: container start, digests, the sums of all rows and fsync included.
func (r *rig) ours(name string, codec backupset.Codec, encryption backupset.Encryption) subject {
	path := filepath.Join(r.out(), "dump")
	unpack := map[backupset.Codec]string{backupset.Gzip: "gzip -dc", backupset.Zstd: "zstd -dcq"}[codec]
	decrypt, to := "cat", ""
	switch encryption {
	case backupset.Age:
		decrypt, to = "age -d -i '"+r.keys.identity+"'", r.keys.recipient
	case backupset.GPG:
		decrypt, to = "gpg --homedir '"+r.keys.ring+"' --batch --quiet -d", r.keys.public
	}
	return subject{name: name,
		run:  r.part("capture", "-codec", string(codec), "-encryption", string(encryption), "-to", to, "-file", path, "-database", r.node.ParticipantDB()),
		out:  func() (int64, error) { return size(r.out()) },
		text: r.decoded(decrypt + ` < "$OUT/dump" | ` + unpack)}
}

func (r *rig) decoded(line string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd { return r.shell(ctx, line) }
}

// part runs a piece of the product in a process of its own: this program, by another name of its first argument.
func (r *rig) part(name string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		_, err = output(ctx, exec.CommandContext(ctx, program, append([]string{name, "-staging", filepath.Join(r.dir, "staging")}, args...)...))
		return err
	}
}
