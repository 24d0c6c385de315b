package encryption

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"canton-backup/internal/backupset"
	"canton-backup/internal/process"
)

// agentStream is what gpg decrypts.
type agentStream struct {
	*bufio.Reader
	pipe    *io.PipeReader
	ended   chan struct{}
	failure error // of gpg, once ended
}

// openByAgent lets the operator's gpg decrypt, with the key that it or its agent holds. It must not ask: a run has nobody at its side, and a
// question on a terminal that is not there waits for ever.
func openByAgent(r io.Reader, c backupset.Component) (io.ReadCloser, error) {
	program, err := exec.LookPath("gpg")
	if err != nil {
		return nil, fmt.Errorf("decrypt %s: %w: gpg is not installed here", c.File, ErrNoKey)
	}
	var words bytes.Buffer
	out, in := io.Pipe()
	cmd := exec.Command(program, "--batch", "--no-tty", "--quiet", "--pinentry-mode", "error", "--decrypt")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, in, &words
	s := &agentStream{Reader: bufio.NewReaderSize(out, 1<<20), pipe: out, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		err := process.Run(cmd)
		s.failure = agentError(program, c, err, words.String())
		_ = in.CloseWithError(s.failure) // nil ends the stream
	}()
	if _, err := s.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends gpg.
func (s *agentStream) Close() error {
	_ = s.pipe.Close() // gpg ends when nobody takes its output
	<-s.ended
	return nil
}

// agentError tells a key that is not there from one that gpg may not ask the passphrase of: its own words are the same for both.
func agentError(program string, c backupset.Component, err error, words string) error {
	if err == nil {
		return nil
	}
	if !strings.Contains(words, "No secret key") {
		lines := strings.Split(strings.TrimSpace(words), "\n")
		return fmt.Errorf("decrypt %s: gpg: %s: %w", c.File, lines[len(lines)-1], err)
	}
	for _, print := range c.Recipients {
		if process.Run(exec.Command(program, "--batch", "--no-tty", "--quiet", "--list-secret-keys", print)) == nil {
			return fmt.Errorf("decrypt %s: %w: gpg would ask for the passphrase; give it to the agent first, e.g. by decrypting any file at a terminal", c.File, ErrLocked)
		}
	}
	return fmt.Errorf("decrypt %s: %w: it opens for %s, and gpg holds none of these", c.File, ErrWrongKey, strings.Join(c.Recipients, " or "))
}
