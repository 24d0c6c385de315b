package temporalcluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"canton-backup/internal/process"
)

const stopTimeout = 20 * time.Second

// program is what to run.
type program struct {
	path   string
	args   []string
	env    []string
	dir    string
	log    string              // file for stdout and stderr
	owner  *syscall.Credential // nil means ourselves
	signal syscall.Signal      // that asks it to end; 0 means SIGTERM
}

// daemon is a running program.
type daemon struct {
	*process.Process
	cmd    *exec.Cmd
	log    string
	signal syscall.Signal
}

func startProcess(p program) (*daemon, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", p.path, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, log, log
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	started, err := process.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.path, err)
	}
	run := &daemon{Process: started, cmd: cmd, log: p.log, signal: p.signal}
	if run.signal == 0 {
		run.signal = syscall.SIGTERM
	}
	return run, nil
}

var errEnded = errors.New("it ended")

// await calls ready until it returns nil. It gives up when the process ends or ctx does, and quotes the log.
func (p *daemon) await(ctx context.Context, what string, ready func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.Ended:
			return fmt.Errorf("wait for %s: %w: %s", what, errEnded, p.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w: %s", what, ctx.Err(), err, p.lastLines())
		case <-tick.C:
		}
	}
}

func (p *daemon) lastLines() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return tail(text)
}

func tail(text []byte) string {
	const most = 2000
	return string(text[max(0, len(text)-most):])
}

func (p *daemon) stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(p.signal) // it may have ended already
	select {
	case <-p.Ended:
		return nil
	case <-time.After(stopTimeout):
	}
	err := p.cmd.Process.Kill()
	<-p.Ended
	return errors.Join(fmt.Errorf("stop %s: still there after %s, killed", p.cmd.Path, stopTimeout), err)
}

// The range of ports to choose from. The server stores its membership ports as signed 16-bit numbers, and the kernel's
// own free ports lie above those.
const (
	lowestPort  = 15000
	highestPort = 32767
)

// freePorts holds all n before it releases any, so that they differ. Another process may still take one before it is
// used; the kernel's choice for outgoing connections does not, since it picks from above this range.
func freePorts(n int) (_ []int, err error) {
	ports := make([]int, 0, n)
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		l, listenErr := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if listenErr != nil {
			continue
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d: none left", n, lowestPort, highestPort)
}
