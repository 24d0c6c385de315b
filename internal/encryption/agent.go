package encryption

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/process"
)

// agentStream is what gpg decrypts.
type agentStream struct {
	*bufio.Reader
	pipe  *io.PipeReader
	kill  context.CancelFunc
	ended chan struct{}
}

// agentPatience is how long gpg's last words are waited for once it was ended.
const agentPatience = 5 * time.Second

// openByAgent lets the operator's gpg decrypt, with the key that it or its agent holds. It must not ask: a run has nobody at its side, and a
// question on a terminal that is not there waits for ever.
func openByAgent(ctx context.Context, r io.Reader, c backupset.Component) (io.ReadCloser, error) {
	program, err := exec.LookPath("gpg")
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w: gpg is not installed here", c.File, ErrNoKey)
	}
	var words bytes.Buffer
	out, in := io.Pipe()
	ctx, kill := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, "--batch", "--no-tty", "--quiet", "--pinentry-mode", "error", "--decrypt")
	cmd.WaitDelay = agentPatience
	cmd.Stdout, cmd.Stderr = in, &words
	stdin, err := cmd.StdinPipe()
	if err != nil {
		kill()
		return nil, fmt.Errorf("decrypt %s: %w", c.File, err)
	}
	go func() { // not by cmd.Stdin, which would have us wait for a source that stands still when gpg is gone
		_, _ = io.Copy(stdin, r) // gpg finds a stream that was cut
		_ = stdin.Close()
	}()
	s := &agentStream{Reader: bufio.NewReaderSize(out, 1<<20), pipe: out, kill: kill, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		err := process.Run(cmd)
		if ctx.Err() == nil {
			err = agentError(ctx, program, c, err, words.String())
		}
		_ = in.CloseWithError(err) // nil ends the stream
	}()
	if _, err := s.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends gpg.
func (s *agentStream) Close() error {
	_ = s.pipe.Close()
	s.kill()
	<-s.ended
	return nil
}

// agentError tells a key that is not there from one that gpg may not ask the passphrase of: its own words are the same for both.
func agentError(ctx context.Context, program string, c backupset.Component, err error, words string) error {
	if err == nil {
		return nil
	}
	if !strings.Contains(words, "No secret key") {
		lines := strings.Split(strings.TrimSpace(words), "\n")
		return fmt.Errorf("decrypt %s: gpg: %s: %w", c.File, lines[len(lines)-1], err)
	}
	for _, print := range c.Recipients {
		if process.Run(exec.CommandContext(ctx, program, "--batch", "--no-tty", "--quiet", "--list-secret-keys", "--", print)) == nil {
			return fmt.Errorf("decrypt %s: %w: gpg would ask for the passphrase; give it to the agent first, e.g. by decrypting any file at a terminal", c.File, ErrLocked)
		}
	}
	return fmt.Errorf("decrypt %s: %w: it opens for %s, and gpg holds none of these", c.File, ErrWrongKey, strings.Join(c.Recipients, " or "))
}
