package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"canton-backup/activities"
	"canton-backup/internal/app"
	"canton-backup/workflows"
)

const (
	lookEvery     = 500 * time.Millisecond
	plainEvery    = time.Minute     // progress lines where there is no terminal to draw on
	secondThought = 3 * time.Second // between two Ctrl-C
	queryLimit    = 3 * time.Second
)

// follower shows a run while it goes on.
type follower struct {
	conn     *connection
	node     string
	run      client.WorkflowRun
	out      io.Writer
	terminal bool

	shown     int // lines
	drawn     bool
	lastPlain time.Time
	rate      rate
}

var errDetached = errors.New("detached")

// follow prints the run's lines until it ends, and decodes its result.
func (f *follower) follow(ctx context.Context, interrupts <-chan os.Signal, result any) error {
	ended := make(chan error, 1)
	go func() { ended <- f.run.Get(ctx, result) }()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	f.lastPlain = time.Now()
	var detach <-chan time.Time
	for {
		select {
		case err := <-ended:
			f.show(ctx)
			f.erase()
			return err
		case <-ticker.C:
			f.show(ctx)
			f.draw(ctx)
		case <-detach:
			f.erase()
			fmt.Fprintf(f.out, "Detached: the run goes on as %s. See it with: canton-backup status\n", f.run.GetID())
			return &exitError{ExitCancelled, errDetached}
		case <-interrupts:
			f.erase()
			if f.conn.own == nil && detach == nil {
				fmt.Fprintln(f.out, "Detaching, the run goes on. Press Ctrl-C again now to cancel it instead.")
				detach = time.After(secondThought)
				continue
			}
			detach = nil
			fmt.Fprintln(f.out, "Cancelling the run ...")
			if err := f.conn.CancelWorkflow(ctx, f.run.GetID(), f.run.GetRunID()); err != nil {
				return fmt.Errorf("cancel run: %w", err)
			}
		}
	}
}

// show prints the lines that are new. A run that is not there yet, or gone, has none.
func (f *follower) show(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	answer, err := f.conn.QueryWorkflow(ctx, workflows.LockID(f.node), "", workflows.ProgressQuery)
	if err != nil {
		return
	}
	var p workflows.Progress
	if answer.Get(&p) != nil || p.Parent != f.run.GetRunID() || len(p.Lines) <= f.shown {
		return
	}
	f.erase()
	for _, line := range p.Lines[f.shown:] {
		fmt.Fprintln(f.out, app.FormatLine(line.At, line.Text))
	}
	f.shown = len(p.Lines)
}

// draw shows bytes, rate and time left: on one line of a terminal, else a line a minute.
func (f *follower) draw(ctx context.Context) {
	if !f.terminal && time.Since(f.lastPlain) < plainEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	described, err := f.conn.DescribeWorkflowExecution(ctx, workflows.LockID(f.node), "")
	if err != nil {
		return
	}
	var parts []string
	for _, a := range described.GetPendingActivities() {
		var p activities.Progress
		details := a.GetHeartbeatDetails().GetPayloads()
		if len(details) == 0 || converter.GetDefaultDataConverter().FromPayload(details[0], &p) != nil || p.Phase == "" {
			continue
		}
		text := p.Phase
		if p.Bytes > 0 {
			text += " " + f.rate.describe(p, time.Now())
		}
		if a.GetAttempt() > 1 {
			text += fmt.Sprintf(" (attempt %d: %s)", a.GetAttempt(), a.GetLastFailure().GetMessage())
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return
	}
	line := strings.Join(parts, " · ")
	if !f.terminal {
		f.lastPlain = time.Now()
		fmt.Fprintln(f.out, app.FormatLine(f.lastPlain, line))
		return
	}
	f.erase()
	fmt.Fprint(f.out, clip(line, 110))
	f.drawn = true
}

func (f *follower) erase() {
	if f.drawn {
		fmt.Fprint(f.out, "\r\x1b[K")
		f.drawn = false
	}
}

// rate turns byte counts into a speed, smoothed over a few looks.
type rate struct {
	phase string
	bytes int64
	at    time.Time
	speed float64 // bytes a second
}

func (r *rate) describe(p activities.Progress, now time.Time) string {
	if p.Phase != r.phase || p.Bytes < r.bytes {
		*r = rate{phase: p.Phase, bytes: p.Bytes, at: now}
	}
	if elapsed := now.Sub(r.at).Seconds(); elapsed >= 1 && p.Bytes > r.bytes {
		speed := float64(p.Bytes-r.bytes) / elapsed
		if r.speed == 0 {
			r.speed = speed
		}
		r.speed += (speed - r.speed) / 4
		r.bytes, r.at = p.Bytes, now
	}
	text := humanize.IBytes(uint64(p.Bytes))
	if p.Total > 0 {
		text += " of " + humanize.IBytes(uint64(p.Total))
	}
	if r.speed > 0 {
		text += ", " + humanize.IBytes(uint64(int64(r.speed))) + "/s"
		if p.Total > p.Bytes {
			text += ", " + (time.Duration(float64(p.Total-p.Bytes)/r.speed) * time.Second).String() + " left"
		}
	}
	return text
}

func clip(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
