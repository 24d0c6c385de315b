package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"canton-backup/bench/internal/document"
	"canton-backup/bench/internal/figures"
	"canton-backup/testbed"
)

// measureAll begins with the smallest database, because a node grows easier than it shrinks.
func (r *rig) measureAll(ctx context.Context, o options, result *document.Run, log io.Writer) error {
	if slices.Contains(o.cases, figures.Backup) || slices.Contains(o.cases, figures.Drill) {
		var err error
		if r.desk, err = r.openDesk(ctx); err != nil {
			return err
		}
	}
	if r.desk != nil && o.idle > 0 {
		idle, err := r.desk.watchIdle(ctx, o.idle)
		if err != nil {
			return err
		}
		result.Idle = idle
		fact := fmt.Sprintf("while the worker waited for %s, the whole machine worked %.1f %% of a core: this much of each CPU figure may be a stranger's", idle.Span, idle.Machine*100)
		result.Facts = append(result.Facts, fact)
		_, _ = fmt.Fprintf(log, "%s; the worker %.2f %%, %d MB resident\n", fact, idle.Core*100, idle.Resident/1_000_000)
	}
	warm := true
	for _, kind := range o.kinds {
		sizes := o.sizes
		if kind != figures.Mixed {
			sizes = []int{min(kindMB, slices.Max(o.sizes))}
		}
		if err := r.node.Empty(ctx); err != nil {
			return err
		}
		filled := 0
		for _, mb := range sizes {
			if err := r.fill(ctx, testbed.Kind(kind), mb-filled); err != nil {
				return err
			}
			filled = mb
			if err := r.measureSize(ctx, o, figures.Case{Kind: kind, SizeMB: mb}, warm, result, log); err != nil {
				return err
			}
			warm = false
		}
	}
	return nil
}

// measureSize runs the cases on the data that is there.
func (r *rig) measureSize(ctx context.Context, o options, c figures.Case, warm bool, result *document.Run, log io.Writer) error {
	text, err := readText(ctx, r.shell(ctx, `docker exec "$CONTAINER" pg_dump -U "$DB_USER" "$DB"`))
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "\n%s data, %d MB: the participant's dump has %d bytes\n", c.Kind, c.SizeMB, text.bytes)
	atMain := c.Kind == figures.Mixed && c.SizeMB == o.main()
	for _, name := range o.cases {
		c.Name = name
		subjects, finish, err := r.subjects(ctx, c, atMain)
		if err != nil {
			return err
		}
		subjects = slices.DeleteFunc(subjects, func(s subject) bool { return s.rare && !atMain || !o.wants(s.name) })
		if o.weigh && name == figures.Capture && atMain {
			subjects = append(subjects, r.alternatives()...)
		}
		p := plan{warmUp: warm, passes: 2}
		if atMain && (name == figures.Capture || name == figures.Backup) {
			p.passes, p.quick = 4, 2
		}
		if o.passes > 0 {
			p.passes, p.quick = o.passes, 0
		}
		set, err := r.race(ctx, c, subjects, p, text, log)
		if finish != nil {
			err = errors.Join(err, finish(context.WithoutCancel(ctx)))
		}
		if err != nil {
			return err
		}
		result.Set = append(result.Set, set...)
	}
	return nil
}

// subjects are those of a case, none when this size is not for it. finish removes what they need, nil for nothing.
func (r *rig) subjects(ctx context.Context, c figures.Case, atMain bool) (_ []subject, finish func(context.Context) error, err error) {
	switch {
	case c.Name == figures.Capture:
		return r.captures(), nil, nil
	case c.Name == figures.Backup && c.Kind == figures.Mixed:
		return r.backups(), nil, nil
	case c.Name == figures.Restore && atMain:
		return r.restores(ctx)
	case c.Name == figures.Drill && atMain:
		return r.drills(), nil, nil
	default:
		return nil, nil, nil
	}
}
