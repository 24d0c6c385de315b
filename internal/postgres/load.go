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

	"golang.org/x/sys/unix"

	"canton-backup/internal/docker"
)

// LoadParameters make a load quicker and cost nothing: what a crash could lose is a database that nobody uses yet.
var LoadParameters = []string{"synchronous_commit=off", "maintenance_work_mem=512MB"}

// Load runs the SQL text of a dump in the console's database, which must be empty, and stops at the first error. When the context ends,
// the load is ended on the server's side too, and the console is of no more use.
func (c *Console) Load(ctx context.Context, text io.Reader) error {
	path := filepath.Join(c.folder, "load")
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
			"--file="+docker.HelperFolder+"/load")
		if ctx.Err() != nil {
			err = errors.Join(err, c.helper.Close()) // the engine does not end a process whose caller went away
		}
		release(path)
		ended <- result{exit, stderr, err}
	}()
	tail := &window{size: footerWindow}
	copyErr := feed(path, io.TeeReader(text, tail))
	r := <-ended
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("load: %w", context.Cause(ctx))
	case r.exit != 0:
		return failure("load", r.stderr, fmt.Errorf("%w: psql exit code %d", ErrLoad, r.exit)) // the copy broke because psql ended
	case r.err != nil:
		return fmt.Errorf("load: %w", errors.Join(r.err, failureOrNil(r.stderr)))
	case copyErr != nil:
		return fmt.Errorf("load: %w", copyErr)
	case !bytes.Contains(tail.data, footer):
		return fmt.Errorf("load: %w: the last line of pg_dump is missing", ErrTruncated)
	}
	return nil
}

// feed copies the text into the pipe. It waits for psql to open the other end, and fails when that is closed again.
func feed(path string, text io.Reader) error {
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) }) // smaller is slower, not wrong
	}
	_, err = io.CopyBuffer(onlyWriter{pipe}, onlyReader{text}, make([]byte, pipeSize))
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
