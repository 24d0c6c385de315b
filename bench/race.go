package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"canton-backup/bench/internal/figures"
	"canton-backup/bench/internal/machine"
)

// subject is one way to do what a case is about.
type subject struct {
	name    string
	slow    bool                            // it is measured twice, where others may be measured more often
	rare    bool                            // only the main size sees it
	prepare func(context.Context) error     // what is not measured, nil for nothing
	run     func(context.Context) error     // what is measured
	out     func() (int64, error)           // bytes that run made, nil when it makes none
	text    func(context.Context) *exec.Cmd // prints the SQL text that run stored, nil when it stores none
	worker  bool                            // the worker does it
}

// plan is how often subjects are measured.
type plan struct {
	warmUp bool // once before, to fill the caches
	passes int  // counted ones, each in the opposite order of the one before
	quick  int  // of the passes, those that slow subjects miss
}

// turn is one measurement.
type turn struct {
	pass    int // from 1; 0 is not counted
	subject int // which
}

// turns are all measurements in their order: A B, B A, A B and so on.
func (p plan) turns(subjects []subject) []turn {
	first := 1
	if p.warmUp {
		first = 0
	}
	var all []turn
	for pass := first; pass <= p.passes; pass++ {
		begin := len(all)
		for i, s := range subjects {
			if s.slow && pass > p.passes-p.quick {
				continue
			}
			all = append(all, turn{pass, i})
		}
		if pass%2 == 0 {
			slices.Reverse(all[begin:])
		}
	}
	return all
}

// race measures all subjects in turn, A B B A, so that what drifts on the machine meets all alike. The first time it also proves that
// those who store a dump store the same text.
func (r *rig) race(ctx context.Context, c figures.Case, subjects []subject, p plan, want dumpText, log io.Writer) (figures.Set, error) {
	samples := make([][]figures.Sample, len(subjects))
	seen := make([]bool, len(subjects))
	for _, t := range p.turns(subjects) {
		s := subjects[t.subject]
		sample, err := r.measure(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("measure %s, %s: %w", c, s.name, err)
		}
		_, _ = fmt.Fprintf(log, "%s %d MB, pass %d: %-28s %6.1f s, CPU %6.1f s, %4d MB of memory, %5d MB made, load %s\n", c, c.SizeMB, t.pass, s.name,
			sample.Wall.Seconds(), sample.CPU.Seconds(), sample.Peak/1_000_000, sample.Out/1_000_000, machine.Load())
		if t.pass > 0 {
			samples[t.subject] = append(samples[t.subject], sample)
		}
		if seen[t.subject] {
			continue
		}
		seen[t.subject] = true
		if s.text != nil {
			if got, err := readText(ctx, s.text(ctx)); err != nil {
				return nil, fmt.Errorf("read what %s stored: %w", s.name, err)
			} else if got != want {
				return nil, fmt.Errorf("compare dumps: %s stored %d bytes of another text than pg_dump's %d", s.name, got.bytes, want.bytes)
			}
		}
	}
	var set figures.Set
	for i, s := range subjects {
		set = append(set, figures.Of(c, s.name, want.bytes, samples[i]))
	}
	return set, nil
}

// reading is what the counters show at one moment.
type reading struct {
	busy, client, container time.Duration
}

func (r *rig) read(s subject) (reading, error) {
	var now reading
	var err error
	if now.client, err = machine.ChildrenTime(); err != nil {
		return now, err
	}
	if s.worker {
		used, err := machine.Time(r.desk.worker.pid())
		if err != nil {
			return now, err
		}
		now.client += used
	}
	for _, group := range r.groups {
		used, err := group.Time()
		if err != nil {
			return now, err
		}
		now.container += used
	}
	now.busy, err = machine.BusyTime()
	return now, err
}

// measure runs a subject once, in an empty folder and beside nobody else's unwritten pages.
func (r *rig) measure(ctx context.Context, s subject) (figures.Sample, error) {
	var none figures.Sample
	if err := r.clear(ctx); err != nil {
		return none, err
	}
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return none, fmt.Errorf("prepare: %w", err)
		}
	}
	unix.Sync()
	var others []int
	if r.desk != nil {
		others = r.desk.pids()
	}
	if s.worker {
		others = append(others, os.Getpid()) // the command only waits, and may go away
		if err := machine.ResetPeak(r.desk.worker.pid()); err != nil {
			return none, err
		}
	}
	before, err := r.read(s)
	if err != nil {
		return none, err
	}
	watch := machine.Start(r.groups[0], others...)
	start := time.Now()
	failed := s.run(ctx)
	sample := figures.Sample{Wall: time.Since(start), Peak: watch.Stop()}
	if failed != nil {
		return none, failed
	}
	after, err := r.read(s)
	if err != nil {
		return none, err
	}
	sample.CPU, sample.Client, sample.Container = after.busy-before.busy, after.client-before.client, after.container-before.container
	if s.worker {
		memory, err := machine.MemoryOf(r.desk.worker.pid())
		if err != nil {
			return none, err
		}
		sample.Peak += memory.Peak
	}
	if s.out != nil {
		if sample.Out, err = s.out(); err != nil {
			return none, err
		}
	}
	return sample, nil
}

// clear removes what the subject before left.
func (r *rig) clear(ctx context.Context) error {
	if err := emptied(r.out()); err != nil {
		return err
	}
	if r.desk != nil {
		if err := r.desk.clear(); err != nil {
			return err
		}
	}
	return r.emptyRepository(ctx)
}
