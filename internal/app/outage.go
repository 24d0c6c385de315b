package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"canton-backup/internal/temporalclient"
)

const (
	probeEvery  = 30 * time.Second // while the cluster answers, and between two attempts at most
	firstPause  = time.Second      // between the first two attempts to reach it
	tellAfter   = 10 * time.Minute
	tellAgain   = 15 * time.Minute // how often the alerts' ledger is asked whether it is to be told again
	outageNext  = "look at Temporal there and at the way to it (docs/runbooks/worker-down.md); the worker goes on trying, and no backup is made until it answers"
	beatCluster = 20 * time.Second // between heartbeats that a cluster gets: it has those of many nodes
)

// clock is time, for tests to have their own.
type clock struct {
	now  func() time.Time
	wait func(ctx context.Context, d time.Duration) error // returns the context's error when that ends first
}

var wallClock = clock{now: time.Now, wait: func(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}}

// outage follows whether the cluster answers. One that lasts is told to the operator, as often as any other cause that lasts: the worker cannot
// work, no workflow can say so, and ending would not help. Nobody but the SDK mends the connection.
type outage struct {
	clock
	address string
	logger  *slog.Logger
	tell    func(uptime time.Duration, cause error) (note string, err error)
	over    func() error // what was told is over

	up    time.Time // since when it answered last, zero for never
	since time.Time // of the outage, zero for none
	told  time.Time // when the operator heard of it, zero for not yet
	stale bool      // it is over, and not all who heard of it know
}

// failed takes note of an attempt that did not reach the cluster.
func (o *outage) failed(err error) {
	now := o.now()
	if o.since.IsZero() {
		o.since = now
	}
	o.logger.Warn("temporal does not answer, trying again", "address", o.address, "since", o.since.UTC().Format(time.RFC3339), "error", err)
	if now.Sub(o.since) < tellAfter || !o.told.IsZero() && now.Sub(o.told) < tellAgain {
		return
	}
	var uptime time.Duration
	if o.told.IsZero() && !o.up.IsZero() {
		uptime = o.since.Sub(o.up)
	}
	cause := fmt.Errorf("temporal at %s unreachable since %s: %w", o.address, o.since.UTC().Format("2006-01-02 15:04 UTC"), err)
	note, err := o.tell(uptime, cause)
	if note != "" {
		o.logger.Warn(note)
	}
	if err != nil {
		o.logger.Warn(err.Error()) // the network may be gone as a whole: the next attempt tells
		return
	}
	o.told = now
}

// answered takes note of an attempt that reached it.
func (o *outage) answered() {
	now := o.now()
	if !o.since.IsZero() {
		o.logger.Info("temporal answers again", "address", o.address, "after", now.Sub(o.since).Round(time.Second))
	}
	if o.up.IsZero() || !o.since.IsZero() {
		o.up = now
	}
	o.stale = o.stale || !o.told.IsZero()
	o.since, o.told = time.Time{}, time.Time{}
	if o.stale {
		if err := o.over(); err != nil {
			o.logger.Warn("message that the cluster answers again not delivered, the next probe tries again", "error", err)
			return
		}
		o.stale = false
	}
}

// dial tries to reach the cluster until it does, ctx ends, or the answer is one that waiting cannot change.
func (o *outage) dial(ctx context.Context, reach func(context.Context) (client.Client, error)) (client.Client, error) {
	for pause := firstPause; ; pause = min(2*pause, probeEvery) {
		c, err := reach(ctx)
		if err == nil {
			o.answered()
			return c, nil
		}
		if temporalclient.Final(err) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		o.failed(err)
		if err := o.wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// watch probes the cluster until ctx ends.
func (o *outage) watch(ctx context.Context, probe func(context.Context) error) {
	for o.wait(ctx, probeEvery) == nil {
		err := probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			o.failed(err)
		} else {
			o.answered()
		}
	}
}
