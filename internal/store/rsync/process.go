package rsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"canton-backup/internal/store"
)

// process is ssh or rsync in a process group of its own. The whole group is killed when the context ends or no byte moved for
// too long: rsync's own time limit does not fire while its ssh hangs.
type process struct {
	store  *Store
	ctx    context.Context
	cmd    *exec.Cmd
	stderr tail
	limit  time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	running bool
	stalled bool
}

func (s *Store) newProcess(ctx context.Context, argv []string, limit time.Duration) *process {
	p := &process{store: s, ctx: ctx, limit: limit}
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Env = environment()
	p.cmd.Dir = "/"
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = p.kill
	p.cmd.WaitDelay = 10 * time.Second // a descendant that left the group may hold our pipes; on a busy host their last bytes take a while
	p.cmd.Stderr = p.watch(&p.stderr)
	return p
}

func (p *process) kill() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

func (p *process) start() error {
	if err := p.cmd.Start(); err != nil {
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		return fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = true
	p.timer = time.AfterFunc(p.limit, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.running {
			p.stalled = true
			_ = p.kill()
		}
	})
	return nil
}

// moved postpones the end: bytes moved.
func (p *process) moved() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running && !p.stalled {
		p.timer.Reset(p.limit)
	}
}

// pause stops the clock while nobody waits for bytes.
func (p *process) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
}

// wait returns the process's end as a typed error.
func (p *process) wait() error {
	err := p.cmd.Wait()
	p.mu.Lock()
	p.running = false
	p.timer.Stop()
	stalled := p.stalled
	p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil:
		return p.ctx.Err()
	case stalled:
		return fmt.Errorf("%w to or from %s for %s; look at the network and at that host", store.ErrStalled, p.store.target(), p.limit)
	case err == nil:
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return p.store.classify(exit.ExitCode(), p.stderr.String())
	}
	return err
}

func (p *process) run() error {
	if err := p.start(); err != nil {
		return err
	}
	return p.wait()
}

// watch counts what is written to w as movement.
func (p *process) watch(w io.Writer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		p.moved()
		return w.Write(b)
	})
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// tail keeps the last bytes written to it.
type tail struct{ text []byte }

const maxTail = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if over := len(t.text) - maxTail; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return string(t.text) }
