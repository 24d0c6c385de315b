package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"

	"canton-backup/internal/backupset"
	"canton-backup/internal/encryption"
	"canton-backup/internal/seal"
	"canton-backup/testbed"
)

var (
	gunzip = []string{"gzip", "-dc"}
	unzstd = []string{"zstd", "-dcq"}
)

var decoders = map[backupset.Codec][]string{backupset.Gzip: gunzip, backupset.Zstd: unzstd}

// ways are the customer's script and the product, once for each codec, plain and encrypted.
func (r *rig) ways(ciphers []cipher) []way {
	ways := []way{{name: "script: docker exec | gzip", decoder: gunzip, run: r.script(`"$CLIENT" exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | gzip > "$OUT"`)}}
	for _, codec := range codecs {
		ways = append(ways, way{name: "canton-backup, " + string(codec), wallBar: wallBars[codec], decoder: decoders[codec],
			run: func(ctx context.Context, path string) error { return r.capture(ctx, path, codec, nil) }})
		plain := len(ways) - 1
		for _, c := range ciphers {
			ways = append(ways, way{name: ways[plain].name + ", " + string(c.method), plain: plain,
				decoder: []string{"sh", "-c", c.decrypt + " | " + strings.Join(decoders[codec], " ")},
				run:     func(ctx context.Context, path string) error { return r.capture(ctx, path, codec, c.to) }})
		}
	}
	return ways
}

// alternatives are the ways that docs/decisions weighs and does not take, and the ceilings that bound them all.
func (r *rig) alternatives() []way {
	return []way{
		{name: "nothing but the exec stream", run: r.script(`"$CLIENT" exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB" | cat > /dev/null`)},
		{name: "nothing but helper and pipe", run: func(ctx context.Context, _ string) error { return r.dump(ctx, io.Discard) }},
		{name: "exec stream, our gzip", decoder: gunzip, run: func(ctx context.Context, path string) error { return r.captureExec(ctx, path, backupset.Gzip) }},
		{name: "exec stream, our zstd", decoder: unzstd, run: func(ctx context.Context, path string) error { return r.captureExec(ctx, path, backupset.Zstd) }},
		{name: "gzip -1 in the container", decoder: gunzip, run: r.script(`"$CLIENT" exec "$CONTAINER" sh -c 'pg_dump -U "$1" "$2" | gzip -1' - "$DB_USER" "$DB" > "$OUT"`)},
		{name: "zstd -1 in the container", decoder: unzstd, run: r.script(`"$CLIENT" exec "$CONTAINER" sh -c 'pg_dump -U "$1" "$2" | zstd -1 -q' - "$DB_USER" "$DB" > "$OUT"`)},
		{name: "helper and pipe, pgzip 1", decoder: gunzip, run: r.dumpTo(func(w io.Writer) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, 1) })},
		{name: "helper and pipe, pgzip 6", decoder: gunzip, run: r.dumpTo(func(w io.Writer) (io.WriteCloser, error) { return pgzip.NewWriterLevel(w, 6) })},
		{name: "helper and pipe, zstd as it comes", decoder: unzstd, run: r.dumpTo(func(w io.Writer) (io.WriteCloser, error) {
			return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
		})},
	}
}

// script runs a line of bash as the customer's cron does.
func (r *rig) script(line string) func(context.Context, string) error {
	return func(ctx context.Context, path string) error {
		cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail; "+line)
		cmd.Env = append(os.Environ(), "CLIENT=docker", "CONTAINER="+r.node.Container(testbed.Postgres), "DB_USER="+testbed.User, "DB="+r.node.ParticipantDB(), "OUT="+path)
		_, err := output(ctx, cmd)
		return err
	}
}

// capture is what the DumpParticipant step does, container start, digests and fsync included.
func (r *rig) capture(ctx context.Context, path string, codec backupset.Codec, to *encryption.Recipients) error {
	return sealed(path, codec, to, func(w io.Writer) error { return r.dump(ctx, w) })
}

func (r *rig) captureExec(ctx context.Context, path string, codec backupset.Codec) error {
	return sealed(path, codec, nil, func(w io.Writer) error {
		cmd := exec.CommandContext(ctx, "docker", "exec", r.node.Container(testbed.Postgres), "pg_dump", "-U", testbed.User, r.node.ParticipantDB())
		cmd.Stdout = w
		return cmd.Run()
	})
}

func sealed(path string, codec backupset.Codec, to *encryption.Recipients, dump func(io.Writer) error) error {
	w, err := seal.Create(path, seal.Form{Codec: codec, To: to})
	if err != nil {
		return err
	}
	if err := dump(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	_, err = w.Close()
	return err
}

func (r *rig) dump(ctx context.Context, w io.Writer) (err error) {
	session, err := r.server.Open(ctx, r.node.ParticipantDB(), "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	_, err = session.Dump(ctx, w)
	return err
}

// dumpTo is capture with another compressor, under the same duties: both digests, fsync.
func (r *rig) dumpTo(compressor func(io.Writer) (io.WriteCloser, error)) func(context.Context, string) error {
	return func(ctx context.Context, path string) (err error) {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		codec, err := compressor(io.MultiWriter(file, sha256.New()))
		if err != nil {
			return err
		}
		if err := r.dump(ctx, io.MultiWriter(codec, sha256.New())); err != nil {
			return err
		}
		return errors.Join(codec.Close(), file.Sync())
	}
}
