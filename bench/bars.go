package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"canton-backup/internal/backupset"
)

// The promises. Ratios are to the customer's script in the same run, so that they hold on another machine, too.
const (
	gzipWallBar  = 0.35
	zstdWallBar  = 0.28
	bytesBar     = 1.0
	cipherBar    = 1.15 // an encrypted dump's time, to the plain one's
	growthBar    = 1.25 // peak memory at ten times the data, to the peak at one
	idleCoreBar  = 0.01
	idleBytesBar = 260_000_000
)

// bar is one promise and what was measured. A figure that is no number misses it.
type bar struct {
	what  string
	got   float64
	limit float64
}

func (b bar) held() bool { return b.got <= b.limit }

func speedBars(results []result) []bar {
	seed := results[0]
	var bars []bar
	for _, r := range results[1:] {
		if r.way.plain > 0 {
			bars = append(bars, bar{r.way.name + ": time / plain's", ratio(r.wall(), results[r.way.plain].wall()), cipherBar})
		}
		if r.way.wallBar == 0 {
			continue
		}
		bars = append(bars,
			bar{r.way.name + ": time / script's", ratio(r.wall(), seed.wall()), r.way.wallBar},
			bar{r.way.name + ": bytes / script's", float64(r.bytes()) / float64(seed.bytes()), bytesBar})
	}
	return bars
}

func memoryBars(small, large peaks) []bar {
	var bars []bar
	for i, s := range small {
		bars = append(bars, bar{s.name + ": peak memory at ten times the data / at one", float64(large[i].peak) / float64(s.peak), growthBar})
	}
	return bars
}

func idleBars(i idleUse) []bar {
	return []bar{
		{"waiting worker: cores", i.core, idleCoreBar},
		{"waiting worker: MB resident", float64(mb(i.resident)), float64(mb(idleBytesBar))},
	}
}

// printBars reports whether all were held.
func printBars(out io.Writer, bars []bar) bool {
	held := true
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BAR\tMEASURED\tAT MOST\t")
	for _, b := range bars {
		mark := "✓"
		if !b.held() {
			mark, held = "✗ missed", false
		}
		fmt.Fprintf(t, "%s\t%.3g\t%.3g\t%s\n", b.what, b.got, b.limit, mark)
	}
	_ = t.Flush() // a standard output that is gone: the exit code still speaks
	return held
}

func printResults(out io.Writer, results []result) {
	seed := results[0]
	fmt.Fprintf(out, "\nDUMP of %d MB of text, medians; CPU in seconds: of the client's processes, the postgres container, the whole machine\n", mb(seed.text))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "way\twall s\tfrom–to\tratio\tMB out\tratio\tclient\tcontainer\tmachine\t")
	for _, r := range results {
		walls := r.each(func(s sample) time.Duration { return s.wall })
		fmt.Fprintf(t, "%s\t%.1f\t%.1f–%.1f\t%.2f\t%d\t%.3f\t%.1f\t%.1f\t%.1f\t\n", r.way.name, r.wall().Seconds(), slices.Min(walls).Seconds(), slices.Max(walls).Seconds(),
			ratio(r.wall(), seed.wall()), mb(r.bytes()), float64(r.bytes())/float64(seed.bytes()),
			median(r.each(func(s sample) time.Duration { return s.cpu.client })).Seconds(),
			median(r.each(func(s sample) time.Duration { return s.cpu.container })).Seconds(),
			median(r.each(func(s sample) time.Duration { return s.cpu.machine })).Seconds())
	}
	_ = t.Flush()
}

func printPeaks(out io.Writer, streamMB int, small, large peaks) {
	fmt.Fprintf(out, "\nPEAK MEMORY of `canton-backup backup` with Temporal inside, MB\n")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "way\tat %d MB of text\tanonymous\tat %d MB of text\tanonymous\t\n", streamMB/10, streamMB)
	for i, s := range small {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t\n", s.name, mb(s.peak), mb(s.anonymous), mb(large[i].peak), mb(large[i].anonymous))
	}
	_ = t.Flush()
}

func median[T int64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func mb(bytes int64) int64 { return bytes / 1_000_000 }

// wallBars are the promises of each codec.
var wallBars = map[backupset.Codec]float64{backupset.Gzip: gzipWallBar, backupset.Zstd: zstdWallBar}
