package main

import (
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
)

// Where `make build` and `make tools` put the programs, seen from the repository's root.
const (
	cliProgram    = "bin/canton-backup"
	workerProgram = "bin/canton-backup-worker"
	s3Program     = ".tools/bin/versitygw"
)

const bucket = "backups"

// peak is the most memory that one backup took.
type peak struct {
	name string
	memory
}

// peaks are in the order of memoryWays.
type peaks []peak

// memoryWays are settings of the backups whose memory is watched.
var memoryWays = []struct {
	name     string
	s3       bool
	settings map[string]string
}{
	{"gzip, kept here", false, map[string]string{"COMPRESSION": "gzip"}},
	{"zstd, kept here", false, map[string]string{"COMPRESSION": "zstd"}},
	{"gzip, to a bucket", true, map[string]string{"COMPRESSION": "gzip", "BACKUP_TYPE": "r2"}},
}

// peaks makes a backup in each way, in a process of its own.
func (r *rig) peaks(ctx context.Context) (peaks, error) {
	var all peaks
	for _, way := range memoryWays {
		m, err := r.backup(ctx, way.s3, way.settings)
		if err != nil {
			return nil, fmt.Errorf("back up (%s): %w", way.name, err)
		}
		all = append(all, peak{way.name, m})
	}
	return all, nil
}

func (r *rig) backup(ctx context.Context, s3 bool, settings map[string]string) (m memory, err error) {
	home, err := r.settings("memory", settings)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	if s3 {
		server, address, err := r.startS3(ctx, home)
		if err != nil {
			return m, err
		}
		defer server.kill()
		more := map[string]string{"R2_BUCKET": bucket, "R2_ENDPOINT": "http://" + address, "R2_ACCESS_KEY": "bench", "R2_SECRET_KEY": "bench-secret"}
		for key, value := range settings {
			more[key] = value
		}
		if home, err = r.settings("memory", more); err != nil {
			return m, err
		}
	}
	c, err := startChild(r.command(ctx, home, cliProgram, "backup"), filepath.Join(home, "log"))
	if err != nil {
		return m, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-c.Ended:
			if ended := c.Wait(); ended != nil {
				err = fmt.Errorf("%w: %s", ended, c.said())
			}
			return m, err
		case <-ticker.C:
			if now, err := c.memory(); err == nil { // an error is its end, which the other case tells
				m = memory{peak: max(m.peak, now.peak), resident: now.resident, anonymous: max(m.anonymous, now.anonymous)}
			}
		}
	}
}

func (r *rig) command(ctx context.Context, home, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	if engine := os.Getenv("DOCKER_HOST"); engine != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+engine)
	}
	return cmd
}

// startS3 runs an S3 server over a folder below home; a bucket is a folder there.
func (r *rig) startS3(ctx context.Context, home string) (*child, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	folder, address := filepath.Join(home, "s3"), net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := os.MkdirAll(filepath.Join(folder, bucket), 0o700); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, s3Program, "--port", address, "--region", "auto", "posix", folder)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "ROOT_ACCESS_KEY=bench", "ROOT_SECRET_KEY=bench-secret"}
	c, err := startChild(cmd, filepath.Join(home, "s3.log"))
	if err != nil {
		return nil, "", err
	}
	err = c.await(ctx, "the S3 server", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if err != nil {
		c.kill()
		return nil, "", err
	}
	return c, address, nil
}

// idleUse is what the worker costs while it has nothing to do.
type idleUse struct {
	memory
	core float64 // of one processor
}

// watchIdle runs the worker with its own Temporal and watches it for a while once it is ready.
func (r *rig) watchIdle(ctx context.Context, span time.Duration) (use idleUse, err error) {
	home, err := r.settings("idle", nil)
	if err != nil {
		return use, err
	}
	c, err := startChild(r.command(ctx, home, workerProgram), filepath.Join(home, "log"))
	if err != nil {
		return use, err
	}
	defer c.kill()
	if err := c.await(ctx, "the worker", func() bool { return strings.Contains(c.said(), "worker is ready") }); err != nil {
		return use, err
	}
	before, err := c.processorTime()
	if err != nil {
		return use, err
	}
	start := time.Now()
	select {
	case <-c.Ended:
		return use, fmt.Errorf("watch the worker: it ended (%v): %s", c.Wait(), c.said())
	case <-ctx.Done():
		return use, ctx.Err()
	case <-time.After(span):
	}
	after, err := c.processorTime()
	if err != nil {
		return use, err
	}
	use.core = (after - before).Seconds() / time.Since(start).Seconds()
	use.memory, err = c.memory()
	return use, err
}
