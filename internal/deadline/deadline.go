// Package deadline bounds calls that no context can end, such as a read from a disk that is dead: the call is left behind.
package deadline

import (
	"errors"
	"sync"
	"time"
)

// ErrHung: the call, or one before it, does not come back.
var ErrHung = errors.New("it does not answer")

// Guard makes calls to one thing that may hang. However many are asked for, one at most is left behind. The zero value is ready.
type Guard struct {
	mu   sync.Mutex
	call chan struct{} // closed when the call that was made last comes back; nil before the first
}

// Do calls work, and returns when that does or, with ErrHung, when limit has passed. What work finds it must hand over by itself in a way
// that nobody reads after ErrHung: it may go on.
func (g *Guard) Do(limit time.Duration, work func()) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := make(chan struct{})
	for {
		g.mu.Lock()
		before := g.call
		if before == nil {
			g.call = done
		}
		g.mu.Unlock()
		if before == nil {
			break
		}
		select {
		case <-before:
		case <-timer.C:
			return ErrHung
		}
	}
	go func() {
		defer func() {
			g.mu.Lock()
			g.call = nil
			g.mu.Unlock()
			close(done)
		}()
		work()
	}()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return ErrHung
	}
}
