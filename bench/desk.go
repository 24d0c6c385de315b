package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"canton-backup/bench/internal/figures"
	"canton-backup/bench/internal/machine"
)

// Where `make build` and `make tools` put the programs, seen from the repository's root.
const (
	cliProgram    = "bin/canton-backup"
	workerProgram = "bin/canton-backup-worker"
	s3Program     = ".tools/bin/minio"
)

// Account and bucket at the S3 server, which ends with the run.
const (
	bucket   = "backups"
	s3Key    = "bench"
	s3Secret = "bench-secret"
)

// desk is an operator's home with a worker that runs, and the S3 server that it sends sets to.
type desk struct {
	home    string
	worker  *child
	s3      *child
	address string // of the S3 server
}

// openDesk returns when both answer, and nothing runs by itself.
func (r *rig) openDesk(ctx context.Context) (_ *desk, err error) {
	d := &desk{home: filepath.Join(r.dir, "home")}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := os.MkdirAll(filepath.Join(d.home, ".canton"), 0o700); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	if err := d.startS3(ctx); err != nil {
		return nil, err
	}
	if err := d.settings(r.keys); err != nil {
		return nil, err
	}
	if d.worker, err = startChild(d.command(ctx, workerProgram), filepath.Join(d.home, "worker.log")); err != nil {
		return nil, err
	}
	if err := d.worker.await(ctx, "the worker", func() bool { return strings.Contains(d.worker.said(), "worker is ready") }); err != nil {
		return nil, err
	}
	// A run of the schedule's would take place in somebody's time.
	return d, d.ask("schedule", "pause")(ctx)
}

func (d *desk) close() {
	for _, c := range []*child{d.worker, d.s3} {
		if c != nil {
			c.kill()
		}
	}
}

func (d *desk) pids() []int { return []int{d.worker.pid(), d.s3.pid()} }

// settings are those of docs/how-to/s3.md and encryption.md. No identities: the validator does not run, and no peer has them.
func (d *desk) settings(k *keys) error {
	values := map[string]string{
		"NODE_NAME": owner, "NETWORK": "devnet", "COMPOSE_PROJECT": project, "BACKUP_TYPE": "s3", "BACKUP_EVERY": "24h", "DRILL_EVERY": "off", "IDENTITIES": "off",
		"S3_BUCKET": bucket, "S3_ENDPOINT": "http://" + d.address, "S3_ACCESS_KEY": s3Key, "S3_SECRET_KEY": s3Secret,
		"COMPRESSION": "zstd", "ENCRYPTION": "age", "AGE_RECIPIENTS": k.recipient, "DECRYPTION_KEY": k.identity,
	}
	for _, key := range []string{"TEMPORAL_PORT", "TEMPORAL_UI_PORT", "HEALTH_ADDRESS"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		values[key] = strconv.Itoa(port)
	}
	values["HEALTH_ADDRESS"] = "127.0.0.1:" + values["HEALTH_ADDRESS"] // the page is part of what is measured
	var text []byte
	for key, value := range values {
		text = fmt.Appendf(text, "%s='%s'\n", key, value)
	}
	if err := os.WriteFile(filepath.Join(d.home, ".canton", "toolkit.conf"), text, 0o600); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

func (d *desk) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment(d.home)
	return cmd
}

// ask runs the program that operators run.
func (d *desk) ask(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := output(ctx, d.command(ctx, cliProgram, args...)); err != nil {
			return fmt.Errorf("%w; the worker: %s", err, d.worker.said())
		}
		return nil
	}
}

// stored is the folder behind the bucket.
func (d *desk) stored() string { return filepath.Join(d.home, "s3", bucket) }

// clear removes all sets, here and in the bucket.
func (d *desk) clear() error {
	return errors.Join(emptied(d.stored()), emptied(filepath.Join(d.home, ".canton", "backups")))
}

// startS3 runs an S3 server over a folder; a bucket is a folder there.
func (d *desk) startS3(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	d.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := os.MkdirAll(d.stored(), 0o700); err != nil {
		return fmt.Errorf("start S3 server: %w", err)
	}
	cmd := d.command(ctx, s3Program, "server", "--quiet", "--address", d.address, filepath.Join(d.home, "s3"))
	cmd.Env = append(cmd.Env, "MINIO_ROOT_USER="+s3Key, "MINIO_ROOT_PASSWORD="+s3Secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if d.s3, err = startChild(cmd, filepath.Join(d.home, "s3.log")); err != nil {
		return err
	}
	return d.s3.await(ctx, "the S3 server", func() bool {
		answer, err := http.Get("http://" + d.address + "/minio/health/ready")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// environment tells the peers of the S3 server, each in its own words.
func (d *desk) environment() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s3Key, "AWS_SECRET_ACCESS_KEY=" + s3Secret, "S3_REPOSITORY=s3:http://" + d.address + "/" + bucket + "/restic",
		"RCLONE_CONFIG_S3_TYPE=s3", "RCLONE_CONFIG_S3_PROVIDER=Other", "RCLONE_CONFIG_S3_ENDPOINT=http://" + d.address, "RCLONE_CONFIG_S3_REGION=us-east-1",
		"RCLONE_CONFIG_S3_NO_CHECK_BUCKET=true", // a bucket is a folder, which the server takes for no bucket of its own making
		"RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=1", "RCLONE_CONFIG_S3_ACCESS_KEY_ID=" + s3Key, "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=" + s3Secret,
		"BUCKET=s3:" + bucket,
	}
}

// watchIdle watches the worker while it has nothing to do.
func (d *desk) watchIdle(ctx context.Context, span time.Duration) (*figures.Idle, error) {
	own, all, err := d.times()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	select {
	case <-d.worker.Ended:
		return nil, fmt.Errorf("watch the worker: it ended (%v): %s", d.worker.Wait(), d.worker.said())
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(span):
	}
	took := time.Since(start).Seconds()
	ownLater, allLater, err := d.times()
	if err != nil {
		return nil, err
	}
	memory, err := machine.MemoryOf(d.worker.pid())
	return &figures.Idle{Core: (ownLater - own).Seconds() / took, Resident: memory.Resident, Machine: (allLater - all).Seconds() / took, Span: span}, err
}

// times are what the worker and the whole machine worked so far.
func (d *desk) times() (own, all time.Duration, err error) {
	if own, err = machine.Time(d.worker.pid()); err != nil {
		return 0, 0, err
	}
	all, err = machine.BusyTime()
	return own, all, err
}
