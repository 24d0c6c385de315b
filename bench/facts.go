package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"canton-backup/bench/internal/machine"
)

// facts say on what machine, and with which versions, the figures were taken.
func (r *rig) facts(ctx context.Context) ([]string, error) {
	engine, err := r.engine.Ping(ctx)
	if err != nil {
		return nil, err
	}
	setting := func(name string) (string, error) { return r.node.SQL(ctx, "postgres", "SHOW "+name) }
	version, err := setting("server_version")
	if err != nil {
		return nil, err
	}
	durable, err := setting("fsync")
	if err != nil {
		return nil, err
	}
	kernel, err := machine.Kernel()
	if err != nil {
		return nil, err
	}
	var tools []string
	for _, line := range []string{`docker exec "$SIDECAR" pgbackrest version`, "restic version", "rclone version", "zstd --version", "gzip --version"} {
		said, err := output(ctx, r.shell(ctx, line))
		if err != nil {
			return nil, err
		}
		first, _, _ := strings.Cut(said, "\n")
		tools = append(tools, strings.Trim(first, "* "))
	}
	commit, err := output(ctx, exec.CommandContext(ctx, "git", "describe", "--always", "--dirty"))
	if err != nil {
		commit = "unknown" // a copy without history
	}
	return []string{
		fmt.Sprintf("%d cores, %s; %d MB of memory; Linux %s", runtime.NumCPU(), machine.Processor(), machine.Total()/1_000_000, kernel),
		fmt.Sprintf("Docker %s; PostgreSQL %s, fsync %s; %s", engine, version, durable, runtime.Version()),
		strings.Join(tools, "; "),
		"commit " + commit + "; load at the start: " + machine.Load(),
	}, nil
}
