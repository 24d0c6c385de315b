package postgres

import (
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

// psqlInput is what a psql in the helper reads: the script that is written to it, and further pipes that the script names.
type psqlInput struct {
	io.Writer // the script
	path      string
	pipes     int
	ended     <-chan struct{} // psql is gone
}

// pipe makes a further pipe. The path is the one that psql knows it by; open waits until psql has opened it to read.
func (p *psqlInput) pipe() (path string, open func() (io.WriteCloser, error), err error) {
	p.pipes++ // a new one each time: psql may still read the end of the last
	here := fmt.Sprintf("%s.%d", p.path, p.pipes)
	if err := unix.Mkfifo(here, 0o600); err != nil {
		return "", nil, fmt.Errorf("make pipe: %w", err)
	}
	open = func() (io.WriteCloser, error) {
		defer os.Remove(here)
		return openToWrite(here, p.ended)
	}
	return docker.HelperFolder + "/" + filepath.Base(here), open, nil
}

const pipePoll = 2 * time.Millisecond

var errPsqlEnded = errors.New("psql ended early")

// openToWrite opens a pipe once its reader has; a plain open would wait for ever when psql ends before that.
func openToWrite(path string, ended <-chan struct{}) (*os.File, error) {
	tick := time.NewTicker(pipePoll)
	defer tick.Stop()
	for {
		pipe, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			widen(pipe)
			return pipe, nil
		}
		if !errors.Is(err, unix.ENXIO) {
			return nil, fmt.Errorf("open pipe: %w", err)
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("open pipe: %w", errPsqlEnded)
		case <-tick.C:
		}
	}
}

// script feeds psql with texts, one after the other.
func script(texts ...[]byte) func(*psqlInput) error {
	return func(p *psqlInput) error {
		for _, text := range texts {
			if _, err := p.Write(text); err != nil {
				return err
			}
		}
		return nil
	}
}

// psql runs one more psql in the helper on what feed gives it, and waits for it.
func (c *Console) psql(ctx context.Context, name string, feed func(*psqlInput) error) error {
	path := filepath.Join(c.folder, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("load: make pipe: %w", err)
	}
	defer os.Remove(path)

	var exit int
	var stderr string
	var execErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		exit, stderr, execErr = c.helper.Exec(ctx, "psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
			"--file="+docker.HelperFolder+"/"+name)
		if ctx.Err() != nil {
			execErr = errors.Join(execErr, c.helper.Close()) // the engine does not end a process whose caller went away
		}
	}()
	pipe, feedErr := openToWrite(path, ended)
	if feedErr == nil {
		feedErr = errors.Join(feed(&psqlInput{Writer: pipe, path: path, ended: ended}), pipe.Close())
	}
	<-ended
	switch {
	case exit != 0 && ctx.Err() == nil:
		cause := ErrLoad // the feed broke because psql ended
		if known := classify(stderr); errors.Is(known, ErrNoSpace) || errors.Is(known, ErrUnreachable) {
			cause = known // the words of the dump's own statements must not pass for ours: "role ... does not exist"
		}
		return fmt.Errorf("load: %w: %s", cause, stderr)
	case ctx.Err() != nil:
		return fmt.Errorf("load: %w", context.Cause(ctx))
	case execErr != nil:
		return fmt.Errorf("load: %w", errors.Join(execErr, failureOrNil(stderr)))
	case feedErr != nil:
		return fmt.Errorf("load: %w", feedErr)
	}
	return nil
}
