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

	"canton-backup/internal/backupset"
	"canton-backup/internal/docker"
	"canton-backup/internal/sqltext"
)

// footer is the last line that pg_dump writes, before "\unrestrict" (domain 4.5). A dump without it is truncated even when
// gzip and the exit code say otherwise.
var footer = []byte("\n-- PostgreSQL database dump complete\n")

const (
	footerWindow = 1024
	pipeSize     = 1 << 20 // bytes, the unprivileged limit of a pipe: fewer switches between pg_dump and us
	lockWait     = "60s"
)

// Dump writes the database as SQL text, as of the session's snapshot, to w, by its ReadFrom if it has one. pg_dump runs in the helper and writes into a named
// pipe, because an engine's attach stream moves a quarter of what a pipe does. Anything but a whole dump is an error; what pg_dump
// complained of on the way to a whole dump is returned as warnings.
func (s *Session) Dump(ctx context.Context, w io.Writer) (warnings string, err error) {
	path := filepath.Join(s.folder, "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return "", fmt.Errorf("dump: make pipe: %w", err)
	}
	defer os.Remove(path)
	reader, writer, err := openPipe(path)
	if err != nil {
		return "", fmt.Errorf("dump: %w", err)
	}
	defer reader.Close()
	defer writer.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A cancelled dump must not wait for the next byte.
	stop := context.AfterFunc(ctx, func() { _ = reader.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	type result struct {
		exit   int
		stderr string
		err    error
	}
	ended := make(chan result, 1)
	go func() {
		exit, stderr, err := s.helper.Exec(ctx, "pg_dump", "--no-password", "--snapshot="+s.snapshot, "--lock-wait-timeout="+lockWait,
			"--file="+docker.HelperFolder+"/pipe")
		// Our own end kept the pipe open until here; now that pg_dump is gone, the reader gets its end of file.
		writer.Close()
		ended <- result{exit, stderr, err}
	}()

	tail := &window{size: footerWindow}
	_, copyErr := io.CopyBuffer(w, io.TeeReader(reader, tail), make([]byte, pipeSize))
	if copyErr != nil {
		cause := context.Cause(ctx) // the caller's end of context came first, if it came
		cancel(copyErr)
		<-ended // pg_dump died of our own doing
		if cause != nil {
			return "", fmt.Errorf("dump: %w", cause)
		}
		return "", fmt.Errorf("dump: %w", copyErr)
	}
	r := <-ended
	switch {
	case r.err != nil:
		return "", fmt.Errorf("dump: %w", errors.Join(r.err, failureOrNil(r.stderr)))
	case r.exit != 0:
		return "", failure("dump", r.stderr, fmt.Errorf("pg_dump exit code %d", r.exit))
	case !bytes.Contains(tail.data, footer):
		return "", fmt.Errorf("dump: %w: the last line of pg_dump is missing", ErrTruncated)
	}
	return r.stderr, nil
}

// Contents reads the whole database, as of the session's snapshot, and sums up what it holds.
func (s *Session) Contents(ctx context.Context) (*backupset.Contents, error) {
	contents := sqltext.NewReader()
	if _, err := s.Dump(ctx, contents); err != nil {
		return nil, err
	}
	return contents.Contents(), nil
}

func failureOrNil(stderr string) error {
	if stderr == "" {
		return nil
	}
	return failure("pg_dump", stderr, errors.New("said"))
}

// Version returns what `pg_dump --version` prints.
func (s *Session) Version(ctx context.Context) (string, error) {
	text, err := s.Query(ctx, "\\set v `pg_dump --version`\n\\echo :v\nSELECT NULL WHERE false")
	if err != nil {
		return "", err
	}
	return text, nil
}

// openPipe opens both ends at once, so that nobody waits for the other side: pg_dump may die before it opens its end.
func openPipe(path string) (reader, writer *os.File, err error) {
	reader, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open pipe: %w", err)
	}
	writer, err = os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open pipe: %w", err), reader.Close())
	}
	widen(reader)
	return reader, writer, nil
}

// widen lets a pipe hold more. One that stays small is slower, not wrong.
func widen(pipe *os.File) {
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
}

// window keeps the last size bytes written to it.
type window struct {
	size int
	data []byte
}

func (w *window) Write(p []byte) (int, error) {
	if len(p) >= w.size {
		w.data = append(w.data[:0], p[len(p)-w.size:]...)
		return len(p), nil
	}
	w.data = append(w.data, p...)
	if over := len(w.data) - w.size; over > 0 {
		w.data = append(w.data[:0], w.data[over:]...)
	}
	return len(p), nil
}
