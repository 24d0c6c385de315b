// Command canton-backup-worker runs the backups of one node: it serves Temporal on this host, unless a cluster is configured, and
// works on the node's queue until it is told to stop.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"canton-backup/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Worker(ctx, os.Args[1:], cli.Standard())
	stop()
	os.Exit(code)
}
