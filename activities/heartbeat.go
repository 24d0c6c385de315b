package activities

import (
	"context"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
)

// Progress is what a heartbeat says; the UI shows it under Pending Activities.
type Progress struct {
	Phase string `json:"phase"` // what is going on, in words
	Bytes int64  `json:"bytes"` // done
	Total int64  `json:"total"` // of how many, 0 when unknown
}

// phase is what an activity is at, set by its work and read by its heartbeat.
type phase struct{ current atomic.Pointer[string] }

func (p *phase) set(text string) { p.current.Store(&text) }

func (p *phase) text() string {
	if text := p.current.Load(); text != nil {
		return *text
	}
	return ""
}

const beatEvery = time.Second

// withHeartbeat runs work and reports its progress until it ends. The context it hands to work ends with errStopping when
// the worker shuts down, so that a long step gives way and is taken up again by the next worker.
func withHeartbeat(ctx context.Context, now func() Progress, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stopping := activity.GetWorkerStopChannel(ctx)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		activity.RecordHeartbeat(ctx, now())
		for {
			select {
			case <-done:
				return
			case <-stopping:
				cancel(errStopping)
				return
			case <-ticker.C:
				activity.RecordHeartbeat(ctx, now())
			}
		}
	}()
	err := work(ctx)
	close(done)
	<-ended
	err = mapped(ctx, err)
	cancel(nil)
	return err
}
