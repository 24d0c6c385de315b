package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"canton-backup/bench/internal/machine"
	"canton-backup/internal/docker"
	"canton-backup/testbed"
)

// project names the node, owner its helpers: fixed, so that a run finds what a killed one left.
const (
	project = "canton-backup-bench"
	owner   = "bench"
)

const cleanUpLimit = 2 * time.Minute

// sidecar is the container in which pgBackRest runs: it has to see the server's files and processes.
const sidecar = project + "-pgbackrest"

// pgBackRestProgram is where bench/install.sh puts it, seen from the repository's root.
const pgBackRestProgram = ".tools/pgbackrest/usr/bin/pgbackrest"

// rig is the node to measure on, and what stands beside it for all of the run.
type rig struct {
	dir    string
	node   *testbed.Node
	engine *docker.Client
	keys   *keys
	groups []*machine.Group // the server's, the sidecar's
	desk   *desk            // worker and S3 server, nil when no case needs them
	fills  uint16           // how many there were: each has a seed of its own
}

// newRig brings up a node that writes nothing by itself, so that every subject dumps the same text, on a disk that is waited for.
func newRig(ctx context.Context, dir string) (_ *rig, err error) {
	if err := testbed.SweepDead(ctx); err != nil {
		return nil, err
	}
	r := &rig{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.engine, err = docker.Connect(); err != nil {
		return nil, err
	}
	if _, err := r.engine.RemoveHelpers(ctx, owner); err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "node")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, fmt.Errorf("make the node's home: %w", err)
	}
	if r.node, err = testbed.Up(ctx, testbed.Options{Dir: home, Project: project, Quiet: true}); err != nil {
		return nil, err
	}
	if r.keys, err = newKeys(ctx, dir); err != nil {
		return nil, err
	}
	if err := r.startSidecar(ctx); err != nil {
		return nil, err
	}
	for _, container := range []string{r.node.Container(testbed.Postgres), sidecar} {
		group, err := machine.GroupOf(ctx, container)
		if err != nil {
			return nil, err
		}
		r.groups = append(r.groups, group)
	}
	return r, r.stopPrograms(ctx)
}

// startSidecar shares volume, network and process ids with the server: pgBackRest reads its files, and reaches its socket by way of the
// server's own root.
func (r *rig) startSidecar(ctx context.Context) error {
	program, err := filepath.Abs(pgBackRestProgram)
	if err == nil {
		_, err = os.Stat(program) // the engine would make a folder of that name
	}
	if err != nil {
		return fmt.Errorf("start pgBackRest's container: %w; bench/install.sh brings it", err)
	}
	if err := emptied(r.repository()); err != nil {
		return err
	}
	if err := os.Chmod(r.repository(), 0o777); err != nil { // for the server's user
		return fmt.Errorf("start pgBackRest's container: %w", err)
	}
	server := "container:" + r.node.Container(testbed.Postgres)
	_ = exec.CommandContext(ctx, "docker", "rm", "--force", sidecar).Run() // there is none, mostly
	_, err = output(ctx, exec.CommandContext(ctx, "docker", "run", "--detach", "--name", sidecar, "--label", testbed.OwnerLabel(),
		"--volumes-from", r.node.Container(testbed.Postgres), "--network", server, "--pid", server, "--user", "postgres",
		"--volume", program+":/usr/bin/pgbackrest:ro", "--volume", r.repository()+":/repository",
		"--entrypoint", "sleep", testbed.PostgresImage(testbed.DefaultPostgresMajor), "infinity"))
	return err
}

// repository is pgBackRest's, as the host sees it.
func (r *rig) repository() string { return filepath.Join(r.dir, "pgbackrest") }

// emptyRepository works from within the container: the files are those of the server's user.
func (r *rig) emptyRepository(ctx context.Context) error {
	return r.script(`docker exec "$SIDECAR" find /repository -mindepth 1 -delete`)(ctx)
}

// out is the folder in which a subject leaves what it makes.
func (r *rig) out() string { return filepath.Join(r.dir, "out") }

// fill adds MB of SQL text, and settles the server.
func (r *rig) fill(ctx context.Context, kind testbed.Kind, mb int) error {
	for _, service := range []testbed.Service{testbed.Participant, testbed.Validator} {
		if err := r.node.StartService(ctx, service); err != nil {
			return err
		}
	}
	r.fills++
	if err := r.node.FillKind(ctx, kind, mb, r.fills); err != nil {
		return err
	}
	return errors.Join(r.stopPrograms(ctx), r.settle(ctx))
}

// stopPrograms leaves the server alone: the programs' health checks would run in everybody's time.
func (r *rig) stopPrograms(ctx context.Context) error {
	for _, service := range []testbed.Service{testbed.Validator, testbed.Participant, testbed.Nginx} {
		if err := r.node.StopService(ctx, service); err != nil {
			return err
		}
	}
	return nil
}

// settle does now what the server would do in the background while we measure.
func (r *rig) settle(ctx context.Context) error {
	for _, db := range []string{testbed.ValidatorDB, r.node.ParticipantDB()} {
		for _, statement := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
			if _, err := r.node.SQL(ctx, db, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// shell is a line of bash that runs as the customer's cron does, and knows nothing of what this process was told about proxies and certificates.
func (r *rig) shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail; "+line)
	cmd.Env = append(environment(os.Getenv("HOME")), "CONTAINER="+r.node.Container(testbed.Postgres), "DB_USER="+testbed.User, "DB="+r.node.ParticipantDB(),
		"VALIDATOR_DB="+testbed.ValidatorDB, "OUT="+r.out(), "SIDECAR="+sidecar,
		"RESTIC_PASSWORD=bench", "RESTIC_CACHE_DIR="+filepath.Join(r.dir, "restic-cache"), "RCLONE_CONFIG=/dev/null")
	if r.desk != nil {
		cmd.Env = append(cmd.Env, r.desk.environment()...)
	}
	return cmd
}

// environment is what a program needs to run and to find the engine.
func environment(home string) []string {
	all := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	if engine := os.Getenv("DOCKER_HOST"); engine != "" {
		all = append(all, "DOCKER_HOST="+engine)
	}
	return all
}

func (r *rig) script(line string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := output(ctx, r.shell(ctx, line))
		return err
	}
}

func (r *rig) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	var errs []error
	if r.desk != nil {
		r.desk.close()
	}
	if r.keys != nil {
		r.keys.close()
	}
	if r.engine != nil {
		_, err := r.engine.RemoveHelpers(ctx, owner)
		errs = append(errs, err, r.engine.Close())
	}
	if r.node != nil {
		_ = r.emptyRepository(ctx)                                             // there may be no container yet; what it leaves here, the workplace removes or complains of
		_ = exec.CommandContext(ctx, "docker", "rm", "--force", sidecar).Run() // Down fails when it is still there
		errs = append(errs, r.node.Down(ctx))
	}
	return errors.Join(errs...)
}
