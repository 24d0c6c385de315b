// Package bundle drives a validator by the scripts and compose files of its own folder: stop it, start its PostgreSQL alone, start it again
// (domain 2.2 to 2.5).
package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/internal/process"
)

// ErrNoScript: the folder, or a script that should be in it, is not there.
var ErrNoScript = errors.New("script is not there")

// ErrFailed: a script ended with an error. The text has its last words.
var ErrFailed = errors.New("script failed")

// Bundle is the folder docker-compose/validator of a Splice release on this host.
type Bundle struct {
	Dir     string // where compose.yaml, start.sh and stop.sh lie
	Project string // compose project
}

// Check proves that the bundle has what a restore runs.
func (b Bundle) Check() error {
	if !filepath.IsAbs(b.Dir) || b.Project == "" {
		return fmt.Errorf("check bundle: %w: folder %q or compose project %q is not known", ErrNoScript, b.Dir, b.Project)
	}
	for _, name := range []string{"compose.yaml", "start.sh", "stop.sh"} {
		info, err := os.Stat(filepath.Join(b.Dir, name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			return fmt.Errorf("check bundle: %w: %s", ErrNoScript, filepath.Join(b.Dir, name))
		}
		if err != nil {
			return fmt.Errorf("check bundle: %w", err)
		}
	}
	return nil
}

// Stop runs stop.sh: the containers go, the volumes stay. On a stopped node it does nothing.
func (b Bundle) Stop(ctx context.Context) error {
	return b.run(ctx, nil, filepath.Join(b.Dir, "stop.sh"))
}

// Start runs start.sh with these arguments. imageTag, when known, is the release whose images are started.
func (b Bundle) Start(ctx context.Context, imageTag string, arguments []string) error {
	return b.run(ctx, tagged(imageTag), filepath.Join(b.Dir, "start.sh"), arguments...)
}

// StartPostgres starts the PostgreSQL container and nothing else. The name of the participant's database must be given: where start.sh
// does not set it, the container's entry point fails on an empty CREATE DATABASE and restarts in a loop (domain fact 3).
func (b Bundle) StartPostgres(ctx context.Context, imageTag, participantDB, migrationID string) error {
	// Nothing but what start.sh sets too: compose would replace the container when the node is started.
	env := append(tagged(imageTag), "PARTICIPANT_DB_NAME="+participantDB, "MIGRATION_ID="+migrationID)
	return b.run(ctx, env, "docker", "compose", "--project-name", b.Project, "--file", filepath.Join(b.Dir, "compose.yaml"),
		"up", "--detach", "--no-deps", "postgres-splice")
}

func tagged(imageTag string) []string {
	if imageTag == "" {
		return nil
	}
	return []string{"IMAGE_TAG=" + imageTag}
}

const (
	lastWords = 1500             // bytes of a script's output that go into an error
	goingAway = 10 * time.Second // from SIGTERM to SIGKILL
)

// run runs a program in the bundle's folder, in a process group of its own, which ends with the context.
func (b Bundle) run(ctx context.Context, env []string, program string, arguments ...string) error {
	name := filepath.Base(program)
	cmd := exec.CommandContext(ctx, program, arguments...)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.Dir, append(append(environment(), "COMPOSE_PROJECT_NAME="+b.Project), env...), &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = goingAway
	err := process.Run(cmd)
	text := strings.TrimSpace(out.String())
	if len(text) > lastWords {
		text = "..." + text[len(text)-lastWords:]
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // what of the group is left
		return fmt.Errorf("run %s: %w", name, context.Cause(ctx))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("run %s: %w: %s", name, ErrNoScript, program)
	}
	return fmt.Errorf("run %s: %w: %w: %s", name, ErrFailed, err, text)
}

// environment is ours without what would point compose at another project, file or database.
func environment() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "IMAGE_TAG", "MIGRATION_ID", "PARTICIPANT_DB_NAME", "PARTICIPANT_IDENTIFIER",
			"PARTY_HINT", "ONBOARDING_SECRET", "DOCKER_NETWORK", "HOST_BIND_IP":
		default:
			env = append(env, entry)
		}
	}
	return env
}
