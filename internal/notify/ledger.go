package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Ledger remembers what was told, in a file that worker and commands of one node share.
type Ledger struct {
	File string // made with its folder when it is needed
	// Memory stands in for a file that cannot be written. It lives as long as the process; nil: nothing does.
	Memory *Memory
}

// Memory is what a process remembers while its ledger cannot be written. The zero value is ready.
type Memory struct {
	mu   sync.Mutex
	book *book
}

// Told is a cause that lasts.
type Told struct {
	Key         string    `json:"key"`
	Headline    string    `json:"headline"` // the cause in one line
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"` // when it occurred last
	Times       int       `json:"times"`
	Delivered   bool      `json:"delivered"`             // some channel got it
	Undelivered string    `json:"undelivered,omitempty"` // why which channel did not get it
}

// book is the file's content.
type book struct {
	Version int               `json:"version"`
	Causes  map[string]*entry `json:"causes"`
}

// entry is one cause.
type entry struct {
	Headline    string               `json:"headline"`
	First       time.Time            `json:"first"`
	Last        time.Time            `json:"last"`
	Times       int                  `json:"times"`
	Occurrence  string               `json:"occurrence,omitempty"` // the last one's token: a retry of telling it is no other
	Told        map[string]time.Time `json:"told"`                 // per channel, when it got it last
	Undelivered map[string]string    `json:"undelivered,omitempty"`
	Ended       *time.Time           `json:"ended,omitempty"` // it is over, and the channels of Told have not all heard of that
}

const (
	bookVersion = 1
	bookLimit   = 1 << 20 // bytes
	lockLimit   = 8 * time.Second
	lockLook    = 50 * time.Millisecond
	// A cause that nobody ends and that does not come back is dropped after forgetAfter; of more than causesLimit, the oldest go.
	forgetAfter = 60 * 24 * time.Hour
	causesLimit = 200
)

// Causes lists what lasts, the newest first. A file that is not there holds none.
func (l Ledger) Causes() ([]Told, error) {
	b, err := read(l.File)
	if err != nil {
		return nil, err
	}
	told := []Told{}
	for key, e := range b.Causes {
		if e.Ended == nil {
			told = append(told, Told{Key: key, Headline: e.Headline, First: e.First, Last: e.Last, Times: e.Times, Delivered: len(e.Told) > 0, Undelivered: lines(e.Undelivered)})
		}
	}
	slices.SortFunc(told, func(a, b Told) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Key, b.Key)) })
	return told, nil
}

// update lets change work on what is remembered, and keeps the result. Nothing about the ledger keeps an alert from being told: what is wrong
// with it comes back as a note, to be told too. change hears of what was wrong before it began.
func (l Ledger) update(ctx context.Context, change func(b *book, note string) error) (note string, err error) {
	if l.Memory != nil {
		l.Memory.mu.Lock()
		defer l.Memory.mu.Unlock()
	}
	problem := os.MkdirAll(filepath.Dir(l.File), 0o700)
	if problem == nil {
		lock := flock.New(l.File+".lock", flock.SetPermissions(0o600))
		lockCtx, cancel := context.WithTimeout(ctx, lockLimit)
		defer cancel()
		// Without the lock it goes on: told twice is better than not at all.
		if held, _ := lock.TryLockContext(lockCtx, lockLook); held {
			defer func() { _ = lock.Close() }() // the process's end frees it, too
		}
	}
	b, readErr := read(l.File)
	if l.Memory != nil && l.Memory.book != nil {
		b, readErr = l.Memory.book, nil
	}
	if readErr != nil {
		note = "what was told before is not known, for " + readErr.Error()
		b = &book{Version: bookVersion, Causes: map[string]*entry{}}
	}
	err = change(b, note)
	if writeErr := write(l.File, b); writeErr != nil {
		problem = writeErr
		if l.Memory != nil {
			l.Memory.book = b
		}
	} else if l.Memory != nil {
		l.Memory.book = nil
	}
	if problem != nil {
		note = join(note, "what was told cannot be written down: "+problem.Error())
	}
	return note, err
}

func read(path string) (*book, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &book{Version: bookVersion, Causes: map[string]*entry{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ledger of alerts: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() > bookLimit {
		return nil, fmt.Errorf("read ledger of alerts %s: it is no file of at most %d bytes", path, bookLimit)
	}
	var b book
	if err := json.NewDecoder(f).Decode(&b); err != nil {
		return nil, fmt.Errorf("read ledger of alerts %s: %w", path, err)
	}
	if b.Version != bookVersion {
		return nil, fmt.Errorf("read ledger of alerts %s: its version is %d, this program knows %d", path, b.Version, bookVersion)
	}
	if b.Causes == nil {
		b.Causes = map[string]*entry{}
	}
	for key, e := range b.Causes {
		if e == nil {
			delete(b.Causes, key)
		} else if e.Told == nil {
			e.Told = map[string]time.Time{}
		}
	}
	return &b, nil
}

func write(path string, b *book) error {
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("write ledger of alerts: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write ledger of alerts: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write ledger of alerts: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// forget drops what nobody will end any more.
func (b *book) forget(now time.Time) {
	for key, e := range b.Causes {
		if now.Sub(e.Last) > forgetAfter {
			delete(b.Causes, key)
		}
	}
	for len(b.Causes) > causesLimit {
		oldest := ""
		for key, e := range b.Causes {
			if oldest == "" || e.Last.Before(b.Causes[oldest].Last) {
				oldest = key
			}
		}
		delete(b.Causes, oldest)
	}
}
