package notify

import (
	"sync"
	"time"
)

// Disk runs what may hang for ever with a disk: one call at a time, and one that is left behind at most. The zero value is ready.
type Disk struct {
	mu    sync.Mutex
	busy  chan struct{} // closed when the call that runs ends; nil when none runs
	hangs bool          // nobody waits for it any more
}

// Do runs f, and says whether it ended within the limit; only then may what f wrote be read. While a call is left behind, f does not run.
func (d *Disk) Do(limit time.Duration, f func()) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		ours, wait := d.begin(f)
		if wait == nil {
			return false
		}
		select {
		case <-wait:
			if ours {
				return true
			}
		case <-timer.C:
			if ours {
				d.leave(wait)
			}
			return false
		}
	}
}

// begin runs f unless another call runs. wait is closed when the one that runs ends; nil when that is left behind.
func (d *Disk) begin(f func()) (ours bool, wait chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.hangs:
		return false, nil
	case d.busy != nil:
		return false, d.busy
	}
	ended := make(chan struct{})
	d.busy = ended
	go func() {
		defer close(ended)
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.busy, d.hangs = nil, false
		}()
		f()
	}()
	return true, ended
}

func (d *Disk) leave(call chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy == call { // else it has just ended
		d.hangs = true
	}
}
