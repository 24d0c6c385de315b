// Command bench measures this program beside the script that it replaces, on a node of its own, and fails when a promise is not
// kept: time and size of a dump, memory whatever the database's size, and what the worker costs while it waits.
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

	"canton-backup/internal/backupset"
)

// options say what to measure.
type options struct {
	dir          string
	streamMB     int // 10^6 bytes of SQL text that the participant's dump holds
	runs         int
	idle         time.Duration
	speed        bool
	restore      bool
	memory       bool
	alternatives bool
}

var errMissed = errors.New("a bar was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	cache, err := os.UserCacheDir()
	if err != nil {
		return o, fmt.Errorf("find a folder to work in: %w", err)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", filepath.Join(cache, "canton-backup-bench"), "folder to work in; emptied at start and end, needs twice -mb of disk")
	flags.IntVar(&o.streamMB, "mb", 2000, "MB (10^6 bytes) of SQL text in the participant's dump")
	flags.IntVar(&o.runs, "runs", 3, "counted runs of each way, after one that is not counted")
	flags.DurationVar(&o.idle, "idle", time.Minute, "how long to watch the waiting worker")
	flags.BoolVar(&o.speed, "speed", true, "measure time and size")
	flags.BoolVar(&o.restore, "restore", true, "measure the load of a restore")
	flags.BoolVar(&o.memory, "memory", true, "measure memory at a tenth of -mb and at -mb, and the waiting worker")
	flags.BoolVar(&o.alternatives, "alternatives", false, "measure the ways that were not taken, too (docs/decisions)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.streamMB < 20 || o.runs < 1 || o.idle < time.Second || flags.NArg() > 0 {
		return o, errors.New("read flags: -mb from 20, -runs from 1, -idle from 1s, no arguments")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	place, err := openWorkplace(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.close()) }()
	rig, err := newRig(ctx, place.dir, o.streamMB/20)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rig.close()) }()
	if err := printFacts(ctx, out, rig); err != nil {
		return err
	}
	bars, err := measureAll(ctx, o, rig, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nload at the end: %s\n\n", load())
	if !printBars(out, bars) {
		return errMissed
	}
	return nil
}

// measureAll begins with the small database, because a node grows easier than it shrinks.
func measureAll(ctx context.Context, o options, r *rig, out io.Writer) ([]bar, error) {
	var bars []bar
	var small, large peaks
	var err error
	if o.memory {
		if small, err = r.peaks(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.grow(ctx, o.streamMB/2-o.streamMB/20); err != nil {
		return nil, err
	}
	if o.speed {
		ciphers, err := ciphers(ctx, r.dir)
		if err != nil {
			return nil, err
		}
		defer func() {
			for _, c := range ciphers {
				c.close()
			}
		}()
		ways := r.ways(ciphers)
		if o.alternatives {
			ways = append(ways, r.alternatives()...)
		}
		results, err := r.race(ctx, ways, o.runs, out)
		if err != nil {
			return nil, err
		}
		printResults(out, results)
		bars = append(bars, speedBars(results)...)
	}
	if o.restore {
		restored, err := r.restores(ctx, o.runs, out)
		if err != nil {
			return nil, err
		}
		bars = append(bars, restored...)
	}
	if o.memory {
		if large, err = r.peaks(ctx); err != nil {
			return nil, err
		}
		printPeaks(out, o.streamMB, small, large)
		bars = append(bars, memoryBars(small, large)...)
		idle, err := r.watchIdle(ctx, o.idle)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "\nworker, waiting for %s: %.2f %% of a core, %d MB resident (%d MB anonymous), peak %d MB\n",
			o.idle, idle.core*100, mb(idle.resident), mb(idle.anonymous), mb(idle.peak))
		bars = append(bars, idleBars(idle)...)
	}
	return bars, nil
}

// codecs that the product offers.
var codecs = []backupset.Codec{backupset.Gzip, backupset.Zstd}
