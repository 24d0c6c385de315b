// Command bench measures this program beside the script that it replaces and beside its peers, on a node of its own, writes the figures
// down, and fails when a promise is not kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"canton-backup/bench/internal/document"
	"canton-backup/bench/internal/figures"
	"canton-backup/bench/internal/machine"
)

var errMissed = errors.New("a promise was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) (err error) {
	if len(args) > 0 && parts[args[0]] != nil {
		return runPart(ctx, args[0], args[1:])
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	place, err := openWorkplace(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.close()) }()
	rig, err := newRig(ctx, place.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rig.close()) }()
	result := document.Run{Date: time.Now()}
	if result.Facts, err = rig.facts(ctx); err != nil {
		return err
	}
	for _, fact := range result.Facts {
		_, _ = fmt.Fprintln(log, fact)
	}
	if err := rig.measureAll(ctx, o, &result, log); err != nil {
		return err
	}
	end := fmt.Sprintf("the run took %d minutes; load at the end: %s", int(time.Since(result.Date).Minutes()+0.5), machine.Load())
	result.Facts = append(result.Facts, end)
	_, _ = fmt.Fprintln(log, end)
	if o.out != "" {
		if err := result.Write(o.out); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(log, "written:", o.out)
	}
	if !printBars(log, result.Set.Bars(result.Idle), o.full) {
		return errMissed
	}
	return nil
}

// printBars reports whether all were held. A quick look is not asked for what it did not measure.
func printBars(log io.Writer, bars []figures.Bar, full bool) bool {
	held := true
	t := tabwriter.NewWriter(log, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\nPROMISE\tMEASURED\tAT MOST\t")
	for _, b := range bars {
		if !b.Taken() && !full {
			continue
		}
		held = held && b.Held()
		_, _ = fmt.Fprintf(t, "%s\t%s\t%g\t%s\n", b.What, b, b.Limit, b.Word())
	}
	_ = t.Flush() // a standard output that is gone: the exit code still speaks
	return held
}
