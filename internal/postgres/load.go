package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"canton-backup/internal/docker"
	"canton-backup/internal/sqltext"
)

// LoadParameters make a load quicker and cost nothing: what a crash could lose is a database that nobody uses yet.
var LoadParameters = []string{"synchronous_commit=off", "maintenance_work_mem=512MB"}

// loaders is how many sessions load rows side by side. Two keep two processors busy beside the decoder; more wait for each other where a table grows.
const loaders = 2

// Load runs the SQL text of a dump in the console's database, which must be empty, and stops at the first error: the definitions, then the rows in several
// sessions at once, then indexes and constraints. A text without pg_dump's last line is ErrTruncated. When the context ends, the load is ended on the
// server's side too, and the console is of no more use.
func (c *Console) Load(ctx context.Context, text io.Reader) error {
	dump := sqltext.NewSplitter(text)
	before, setup, err := dump.Before()
	if err != nil {
		return fmt.Errorf("load: %w", dumpError(err))
	}
	release := released(setup)
	if err := c.psql(ctx, "definitions", bytes.NewReader(before), bytes.NewReader(release)); err != nil {
		return err
	}
	blocks := make(chan sqltext.Block)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := dump.Rows(groupCtx, blocks); err != nil {
			return fmt.Errorf("load: %w", dumpError(err))
		}
		return nil
	})
	for i := range loaders {
		group.Go(func() error {
			return c.psql(groupCtx, fmt.Sprintf("rows-%d", i), bytes.NewReader(setup), &rows{blocks: blocks}, bytes.NewReader(release))
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
	return c.psql(ctx, "indexes", bytes.NewReader(setup), bytes.NewReader(after))
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

// released is the line that ends psql's restricted mode, in which a dump since August 2025 runs: each part of it needs its own.
func released(setup []byte) []byte {
	for line := range bytes.Lines(setup) {
		if word, ok := bytes.CutPrefix(line, []byte(`\restrict `)); ok {
			return append([]byte(`\unrestrict `), word...)
		}
	}
	return nil
}

// rows writes blocks as COPY commands: one for as long as its blocks are of one table.
type rows struct {
	blocks <-chan sqltext.Block
	header []byte
}

// WriteTo implements io.WriterTo.
func (r *rows) WriteTo(w io.Writer) (int64, error) {
	for block := range r.blocks {
		if !bytes.Equal(block.Header, r.header) {
			if err := r.end(w); err != nil {
				return 0, err
			}
			if r.header = block.Header; writeAll(w, r.header) != nil {
				return 0, io.ErrClosedPipe
			}
		}
		if err := writeAll(w, block.Rows); err != nil {
			return 0, err
		}
	}
	return 0, r.end(w)
}

func (r *rows) end(w io.Writer) error {
	if r.header == nil {
		return nil
	}
	return writeAll(w, []byte("\\.\n"))
}

// Read implements io.Reader, for those who ask for one: WriteTo is what is used.
func (r *rows) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func writeAll(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}

// psql runs one more psql in the helper, on the text of the parts, and waits for it.
func (c *Console) psql(ctx context.Context, name string, parts ...io.Reader) error {
	path := filepath.Join(c.folder, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("load: make pipe: %w", err)
	}
	defer os.Remove(path)

	type result struct {
		exit   int
		stderr string
		err    error
	}
	ended := make(chan result, 1)
	go func() {
		exit, stderr, err := c.helper.Exec(ctx, "psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
			"--file="+docker.HelperFolder+"/"+name)
		if ctx.Err() != nil {
			err = errors.Join(err, c.helper.Close()) // the engine does not end a process whose caller went away
		}
		release(path)
		ended <- result{exit, stderr, err}
	}()
	copyErr := feed(path, parts)
	r := <-ended
	switch {
	case r.exit != 0 && ctx.Err() == nil:
		cause := ErrLoad // the copy broke because psql ended
		if known := classify(r.stderr); errors.Is(known, ErrNoSpace) || errors.Is(known, ErrUnreachable) {
			cause = known // the words of the dump's own statements must not pass for ours: "role ... does not exist"
		}
		return fmt.Errorf("load: %w: %s", cause, r.stderr)
	case ctx.Err() != nil:
		return fmt.Errorf("load: %w", context.Cause(ctx))
	case r.err != nil:
		return fmt.Errorf("load: %w", errors.Join(r.err, failureOrNil(r.stderr)))
	case copyErr != nil:
		return fmt.Errorf("load: %w", copyErr)
	}
	return nil
}

// feed copies the parts into the pipe. It waits for psql to open the other end, and fails when that is closed again.
func feed(path string, parts []io.Reader) error {
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }) // smaller is slower, not wrong
	}
	for _, part := range parts {
		if _, err = io.Copy(onlyWriter{pipe}, part); err != nil {
			break
		}
	}
	return errors.Join(err, pipe.Close())
}

// release lets a feed go on that waits for a psql which never came to open the pipe.
func release(path string) {
	if end, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		_ = end.Close()
	}
}

// Analyze gives the planner its statistics: without them the first hours of a restored node are slow.
func (c *Console) Analyze(ctx context.Context) error {
	if _, err := c.askWithin(ctx, analyzeLimit, "ANALYZE"); err != nil {
		return fmt.Errorf("analyze: %w", err)
	}
	return nil
}

const analyzeLimit = 2 * time.Hour
