package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// docker runs one command of the Docker client and returns what it printed, without the last newline.
func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	// The classic builder needs no plugin.
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0", "DOCKER_CLI_HINTS=false")
	return output(ctx, cmd)
}

// output runs the command; its error carries what the command said.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := strings.TrimRight(stdout.String(), "\n")
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	said := strings.TrimSpace(stderr.String())
	if said == "" {
		said = out
	}
	verb := cmd.Args[0]
	if len(cmd.Args) > 1 {
		verb += " " + cmd.Args[1]
	}
	return out, fmt.Errorf("run %s: %w: %s", verb, err, said)
}

// lines splits a listing; an empty one has none.
func lines(s string) []string {
	return strings.Fields(s)
}
