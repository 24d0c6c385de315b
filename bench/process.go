package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"canton-backup/internal/process"
)

// output runs a command to its end; its error carries what the command said.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		said := bytes.TrimSpace(append(stderr.Bytes(), stdout.Bytes()...)) // an engine that cannot start a program says so on the standard output
		return "", fmt.Errorf("run %s: %w: %.1000s", filepath.Base(cmd.Path), err, said)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// child is a process that we watch. It dies with us, however we die.
type child struct {
	*process.Process
	cmd *exec.Cmd
	log string // file with all that it printed
}

func startChild(cmd *exec.Cmd, log string) (*child, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = file, file
	p, err := process.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	return &child{p, cmd, log}, nil
}

// said is the end of what the child printed.
func (c *child) said() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// pid is the child's.
func (c *child) pid() int { return c.cmd.Process.Pid }

// kill ends the child and waits until it is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.Ended
}

// await polls until the condition holds; the child must not end before.
func (c *child) await(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-c.Ended:
			return fmt.Errorf("wait for %s: it ended (%v): %s", what, c.Wait(), c.said())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %s", what, ctx.Err(), c.said())
		case <-ticker.C:
		}
	}
	return nil
}

// freePort is below the range of outgoing connections, so that none of those takes it before its server does.
func freePort() (int, error) {
	for range 100 {
		port := 15000 + int(time.Now().UnixNano()/1000%17000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("find free port: none")
}
