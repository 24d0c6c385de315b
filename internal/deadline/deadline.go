// Package deadline bounds calls that no context can end, such as a read from a disk that is dead: the call is left behind.
package deadline

import (
	"errors"
	"sync"
	"time"
)

// ErrHung: the call, or one before it, does not come back.
var ErrHung = errors.New("it does not answer")

// Guard makes calls to one thing that may hang, one at a time. However many are asked for, one at most is left behind, and while one is, the
// others fail at once. The zero value is ready.
type Guard struct {
	mu   sync.Mutex
	busy chan struct{} // closed when the call that runs comes back; nil when none runs
	left bool          // nobody waits for it any more
}

// Do calls work, and returns when that does or, with ErrHung, when limit has passed. Only after nil may be read what work wrote: it may go on.
func (g *Guard) Do(limit time.Duration, work func()) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		ours, call := g.begin(work)
		if call == nil {
			return ErrHung
		}
		select {
		case <-call:
			if ours {
				return nil
			}
		case <-timer.C:
			if ours {
				g.leave(call)
			}
			return ErrHung
		}
	}
}

// begin runs work unless another call runs. call is closed when the one that runs comes back; nil when that was left behind.
func (g *Guard) begin(work func()) (ours bool, call chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.left:
		return false, nil
	case g.busy != nil:
		return false, g.busy
	}
	call = make(chan struct{})
	g.busy = call
	go func() {
		defer close(call)
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.busy, g.left = nil, false
		}()
		work()
	}()
	return true, call
}

func (g *Guard) leave(call chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = g.busy == call // it may have come back just now
}
