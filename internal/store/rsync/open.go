package rsync

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"canton-backup/internal/store"
)

// Open implements store.Store. The stream ends with an error when the line is cut or the file is shorter than it was.
func (s *Store) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	err := errors.Join(ctx.Err(), store.CheckName(name))
	var r io.ReadCloser
	if err == nil {
		r, err = s.open(ctx, name, offset)
	}
	if errors.Is(err, errNoFolder) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fmt.Errorf("offset %d is negative", offset)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := s.newProcess(ctx, s.sshCommand(), s.cfg.StallAfter)
	p.cmd.Stdin = strings.NewReader(s.enter() + fmt.Sprintf(`f=%s; from=%d
if [ ! -f "$f" ] || [ -L "$f" ]; then printf 'absent 0\n'; exit 0; fi
size=$(($(wc -c <"$f"))) || exit
printf 'size %%s\n' "$size"
[ "$from" -lt "$size" ] || exit 0
if [ "$from" = 0 ]; then cat -- "$f"; else tail -c "+$((from + 1))" -- "$f"; fi
`, local(name), offset))
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	r := &reader{p: p, cancel: cancel, body: bufio.NewReaderSize(stdout, 1<<16)}
	size, err := r.header()
	if err == nil && offset > size {
		err = fmt.Errorf("offset %d lies outside of %d bytes", offset, size)
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	r.left = size - offset
	p.pause()
	return r, nil
}

// ReadAll implements store.Batch: one login for all.
func (s *Store) ReadAll(ctx context.Context, names []string, limit int64) (map[string][]byte, error) {
	var script strings.Builder
	script.WriteString(s.enter() + fmt.Sprintf("limit=%d\n", limit) + `one() {
	if [ ! -f "$1" ] || [ -L "$1" ]; then printf 'absent 0\n'; return; fi
	size=$(($(wc -c <"$1"))) || exit
	if [ "$size" -gt "$limit" ]; then printf 'large 0\n'; return; fi
	printf 'size %s\n' "$size"
	cat -- "$1" || exit
}
`)
	for _, name := range names {
		if err := store.CheckName(name); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		fmt.Fprintf(&script, "one %s\n", local(name))
	}
	out, err := s.run(ctx, script.String(), 0)
	if errors.Is(err, errNoFolder) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %d objects: %w", len(names), err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		header, rest, _ := strings.Cut(out.text, "\n")
		var word string
		var size int
		if _, err := fmt.Sscanf(header, "%s %d", &word, &size); err != nil || size > len(rest) {
			return nil, fmt.Errorf("read %q: remote script answered %.60q", name, header)
		}
		if word == "size" {
			all[name] = []byte(rest[:size])
		}
		out.text = rest[size:]
	}
	return all, nil
}

type reader struct {
	p      *process
	cancel context.CancelFunc
	body   *bufio.Reader
	left   int64
	ended  error // result of the process, once it was waited for
	waited bool
}

// header reads what comes before the content: the file's size.
func (r *reader) header() (int64, error) {
	for started := false; ; {
		line, err := r.body.ReadString('\n')
		if err != nil {
			if werr := r.wait(); werr != nil {
				return 0, werr
			}
			return 0, io.ErrUnexpectedEOF
		}
		if !started {
			started = strings.HasSuffix(line, begin)
			continue
		}
		var word string
		var size int64
		if _, err := fmt.Sscanf(line, "%s %d\n", &word, &size); err != nil {
			return 0, fmt.Errorf("remote script answered %q", line)
		}
		if word == "absent" {
			return 0, store.ErrNotFound
		}
		return size, nil
	}
}

// Read implements io.Reader. The clock runs only while we wait for bytes: a reader may take its time.
func (r *reader) Read(b []byte) (int, error) {
	if err := r.p.ctx.Err(); err != nil && r.left > 0 {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	r.p.moved()
	n, err := r.body.Read(b[:min(int64(len(b)), r.left)])
	r.p.pause()
	r.left -= int64(n)
	if err == nil || n > 0 {
		return n, nil
	}
	if werr := r.wait(); werr != nil {
		return 0, fmt.Errorf("read object: %w", werr)
	}
	return 0, fmt.Errorf("read object: %d bytes are missing: %w", r.left, io.ErrUnexpectedEOF)
}

func (r *reader) wait() error {
	if !r.waited {
		r.waited = true
		r.ended = r.p.wait()
	}
	return r.ended
}

// Close ends the remote command, wherever it is.
func (r *reader) Close() error {
	r.cancel()
	_ = r.wait()
	return nil
}
