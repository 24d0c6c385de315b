package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"

	"canton-backup/internal/backupset"
	"canton-backup/internal/postgres"
	"canton-backup/internal/seal"
	"canton-backup/internal/sqltext"
	"canton-backup/testbed"
)

// compressors are those that docs/decisions weighs and does not take.
var compressors = map[string]func(io.Writer) (io.WriteCloser, error){
	"pgzip-1": func(w io.Writer) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, 1) },
	"pgzip-6": func(w io.Writer) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, 6) },
	"zstd-plain": func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	},
	"none": func(io.Writer) (io.WriteCloser, error) { return discard{}, nil },
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// alternatives are the captures that docs/decisions weighs and does not take, and the ceilings that bound them all.
func (r *rig) alternatives() []subject {
	const gunzip, unzstd = `gzip -dc < "$OUT/dump"`, `zstd -dcq < "$OUT/dump"`
	stored := func() (int64, error) { return size(r.out()) }
	ours := func(name, part, way, decoder string) subject {
		s := subject{name: name, out: stored, run: r.part(part, "-way", way, "-codec", way, "-file", filepath.Join(r.out(), "dump"), "-database", r.node.ParticipantDB())}
		if decoder != "" {
			s.text = r.decoded(decoder)
		}
		return s
	}
	return []subject{
		{name: "nothing but the exec stream", run: r.script(`docker exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | cat > /dev/null`)},
		ours("nothing but helper and pipe", "compress", "none", ""),
		ours("exec stream, our gzip", "stream", string(backupset.Gzip), gunzip),
		ours("exec stream, our zstd", "stream", string(backupset.Zstd), unzstd),
		{name: "gzip -1 in the container", out: stored, text: r.decoded(gunzip),
			run: r.script(`docker exec "$CONTAINER" bash -o pipefail -c 'pg_dump -U "$1" "$2" | gzip -1' - "$DB_USER" "$DB" > "$OUT/dump"`)},
		ours("helper and pipe, pgzip 1", "compress", "pgzip-1", gunzip),
		ours("helper and pipe, pgzip 6", "compress", "pgzip-6", gunzip),
		ours("helper and pipe, zstd as it comes", "compress", "zstd-plain", unzstd),
	}
}

// compress is capture with another compressor, under the same duties: both digests, the sums of rows, fsync.
func compress(ctx context.Context, p part, server *postgres.Server) (err error) {
	file, err := os.OpenFile(p.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create dump: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	codec, err := compressors[p.way](io.MultiWriter(file, sha256.New()))
	if err != nil {
		return err
	}
	if p.way == "none" {
		return dump(ctx, server, p.database, codec)
	}
	if err := dump(ctx, server, p.database, io.MultiWriter(codec, sha256.New(), sqltext.NewReader())); err != nil {
		return err
	}
	return errors.Join(codec.Close(), file.Sync())
}

// stream is capture by way of the exec stream.
func stream(ctx context.Context, p part, _ *postgres.Server) error {
	w, err := seal.Create(p.file, seal.Form{Codec: p.codec, Watch: sqltext.NewReader()})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "docker", "exec", project+"-"+testbed.Postgres+"-1", "pg_dump", "-U", testbed.User, p.database)
	cmd.Stdout = w
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("dump: %w", err), w.Abort())
	}
	_, err = w.Close()
	return err
}
