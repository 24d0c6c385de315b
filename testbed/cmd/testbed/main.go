// Command testbed makes, fills and takes down a double of a Splice validator node, for the demo and for people.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"canton-backup/testbed"
)

const usage = `usage: testbed COMMAND [flags]

  images   build the images that are missing (-postgres 13|15|17)
  up       make a node that stays until down, or start it again
  fill     add data to it (-mb N)
  status   say how it is and how far it got
  down     remove it with all its data
  sweep    remove what killed tests left behind

Every command but images and sweep finds its node by -dir, the operator's home (default: .demo/home).
Try: testbed up -h
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("name a command")
	}
	flags := flag.NewFlagSet("testbed "+args[0], flag.ContinueOnError)
	dir := flags.String("dir", filepath.Join(".demo", "home"), "operator's home, in which the node's bundle lies")
	switch args[0] {
	case "images":
		major := flags.Int("postgres", testbed.DefaultPostgresMajor, "PostgreSQL's major version: 13, 15 or 17")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return testbed.Ensure(ctx, *major)
	case "sweep":
		return testbed.SweepDead(ctx)
	case "up":
		return up(ctx, flags, dir, args[1:], out)
	case "fill":
		mb := flags.Int("mb", 100, "MB (10^6 bytes) to add")
		return withNode(flags, dir, args[1:], func(n *testbed.Node) error { return n.Fill(ctx, *mb) })
	case "status":
		return withNode(flags, dir, args[1:], func(n *testbed.Node) error { return status(ctx, n, out) })
	case "down":
		return withNode(flags, dir, args[1:], func(n *testbed.Node) error { return n.Down(ctx) })
	default:
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("%q is no command", args[0])
	}
}

// up makes the node, or starts the one that is there.
func up(ctx context.Context, flags *flag.FlagSet, dir *string, args []string, out io.Writer) error {
	o := testbed.Options{Keep: true}
	flags.StringVar(&o.Project, "project", testbed.DefaultProject, "Compose project")
	flags.StringVar((*string)(&o.Flavour), "flavour", string(testbed.Current), "generation of the bundle: legacy or current")
	flags.StringVar(&o.MigrationID, "migration-id", "", "what start.sh gets as -m")
	flags.IntVar(&o.PostgresMajor, "postgres", testbed.DefaultPostgresMajor, "PostgreSQL's major version: 13, 15 or 17")
	flags.IntVar(&o.FillMB, "fill", 0, "MB (10^6 bytes) of data to begin with")
	flags.BoolVar(&o.NoSync, "no-sync", false, "turn fsync off")
	flags.BoolVar(&o.Auth, "auth", false, "start with auth on")
	flags.IntVar(&o.HTTPPort, "http-port", 0, "nginx's port on the loopback (0: any)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	home, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	o.Dir = home
	if n, err := testbed.Load(home); err == nil && n.Project == o.Project && n.Exists(ctx) {
		if err := n.Start(ctx); err != nil {
			return err
		}
		return status(ctx, n, out)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	started := time.Now()
	n, err := testbed.Up(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "testbed: node %s is up after %s\n", n.Project, time.Since(started).Round(100*time.Millisecond))
	return status(ctx, n, out)
}

func withNode(flags *flag.FlagSet, dir *string, args []string, do func(*testbed.Node) error) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	home, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	n, err := testbed.Load(home)
	if err != nil {
		return err
	}
	return do(n)
}

func status(ctx context.Context, n *testbed.Node, out io.Writer) error {
	end, ingested, err := n.Offsets(ctx)
	if err != nil {
		return err
	}
	id, err := n.ParticipantID(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "project      %s (%s)\nbundle       %s\nscan         %s\nidentity     %s\ndatabases    %s, %s\nledger end   %d\ningested     %d\n",
		n.Project, n.Flavour, n.Bundle, n.Scan, id, testbed.ValidatorDB, n.ParticipantDB(), end, ingested)
	return err
}
