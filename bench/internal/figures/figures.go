// Package figures holds what a benchmark measured, and judges it by the product's promises. It measures nothing.
package figures

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Sample is one run of a subject.
type Sample struct {
	Wall      time.Duration
	CPU       time.Duration // of the whole machine, without the benchmark's own watching
	Client    time.Duration // of CPU: the processes on the host
	Container time.Duration // of CPU: the container of the server, and one that stands beside it
	Peak      int64         // bytes of memory at the worst moment
	Out       int64         // bytes made
}

// Case is what is done, to what kind of data, and how much of it.
type Case struct {
	Name   string // capture, backup, restore or drill
	Kind   string // of the data
	SizeMB int    // 10^6 bytes of SQL text that were asked for
}

// String is the name in the JSON file.
func (c Case) String() string { return c.Name + "/" + c.Kind }

// Figure is the medians of a subject's runs.
type Figure struct {
	Case    Case
	Subject string
	Stream  int64 // bytes of SQL text
	Runs    int
	Median  Sample
	Fastest time.Duration
	Slowest time.Duration
}

// Of makes a figure of the counted runs, at least one.
func Of(c Case, subject string, stream int64, samples []Sample) Figure {
	f := Figure{Case: c, Subject: subject, Stream: stream, Runs: len(samples)}
	walls := each(samples, func(s Sample) time.Duration { return s.Wall })
	f.Fastest, f.Slowest = slices.Min(walls), slices.Max(walls)
	f.Median = Sample{
		Wall:      Median(walls),
		CPU:       Median(each(samples, func(s Sample) time.Duration { return s.CPU })),
		Client:    Median(each(samples, func(s Sample) time.Duration { return s.Client })),
		Container: Median(each(samples, func(s Sample) time.Duration { return s.Container })),
		Peak:      Median(each(samples, func(s Sample) int64 { return s.Peak })),
		Out:       Median(each(samples, func(s Sample) int64 { return s.Out })),
	}
	return f
}

func each[T any](samples []Sample, of func(Sample) T) []T {
	all := make([]T, len(samples))
	for i, s := range samples {
		all[i] = of(s)
	}
	return all
}

// Median is the middle value, or the mean of the two in the middle. There has to be a value.
func Median[T int64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Set is all figures of a run, in the order in which they were taken.
type Set []Figure

// Find is a subject's figure; false when it was not measured.
func (s Set) Find(c Case, subject string) (Figure, bool) {
	i := slices.IndexFunc(s, func(f Figure) bool { return f.Case == c && f.Subject == subject })
	if i < 0 {
		return Figure{}, false
	}
	return s[i], true
}

// Of is the figures of a case. The first is what the others are compared with.
func (s Set) Of(c Case) Set {
	var found Set
	for _, f := range s {
		if f.Case == c {
			found = append(found, f)
		}
	}
	return found
}

// Cases are all that were measured, in their order.
func (s Set) Cases() []Case {
	var found []Case
	for _, f := range s {
		if !slices.Contains(found, f.Case) {
			found = append(found, f.Case)
		}
	}
	return found
}

// Main is the size of mixed data that the promises are about: 2500 MB, or the largest one that was measured.
func (s Set) Main() int {
	largest := 0
	for _, f := range s {
		if f.Case.Kind != Mixed {
			continue
		}
		if f.Case.SizeMB == MainMB {
			return MainMB
		}
		largest = max(largest, f.Case.SizeMB)
	}
	return largest
}

// What the promises are about.
const (
	Mixed  = "mixed"
	MainMB = 2500
)

// line is an object of the JSON file.
type line struct {
	Case        string  `json:"case"`
	Subject     string  `json:"subject"`
	StreamBytes int64   `json:"stream_bytes"`
	WallS       float64 `json:"wall_s"`
	CPUS        float64 `json:"cpu_s"`
	PeakBytes   int64   `json:"peak_bytes"`
	OutBytes    int64   `json:"out_bytes"`
}

// WriteJSON writes the medians as a list of objects.
func (s Set) WriteJSON(out io.Writer) error {
	lines := make([]line, len(s))
	for i, f := range s {
		lines[i] = line{f.Case.String(), f.Subject, f.Stream, rounded(f.Median.Wall), rounded(f.Median.CPU), f.Median.Peak, f.Median.Out}
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(lines); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// rounded is seconds to a hundredth, which is what the kernel counts in.
func rounded(d time.Duration) float64 {
	return float64(d.Round(10*time.Millisecond).Milliseconds()) / 1000
}
