package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"canton-backup/internal/atomicfile"
	"canton-backup/internal/deadline"
)

// Ledger remembers what was told, in a file that worker and commands of one node share.
type Ledger struct {
	File string // made with its folder when it is needed
	// Memory stands in for a file that cannot be written, or whose disk hangs. It lives as long as the process; nil: nothing does.
	Memory *Memory
}

// Memory is what a process remembers of its ledger. The zero value is ready.
type Memory struct {
	disk deadline.Guard

	mu      sync.Mutex // held for moments: never while somebody waits for a disk or for a channel
	book    *book      // as it was known last; nil: it never was
	ahead   bool       // the file has not got all of it
	changes int
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

const (
	lockLimit = 4 * time.Second
	lockLook  = 50 * time.Millisecond
	// diskLimit bounds one look at the ledger's disk.
	diskLimit = 8 * time.Second
)

var errDisk = errors.New("the ledger's disk does not answer")

// Causes lists what lasts, the newest first. A file that is not there holds none.
func (l Ledger) Causes() ([]Told, error) {
	m := l.memory()
	var file *book
	var readErr error
	if m.disk.Do(diskLimit, func() { file, readErr = read(l.File) }) != nil {
		return m.causes(nil, errDisk)
	}
	return m.causes(file, readErr)
}

// causes are those of the file, or what the process knows when that is more.
func (m *Memory) causes(file *book, unread error) ([]Told, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.known(file)
	if b == nil {
		return nil, unread
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

// known is what the file says, with what only this process knows laid over it. Without a file it is what was known last, or nil.
func (m *Memory) known(file *book) *book {
	switch {
	case file == nil:
		return m.book
	case !m.ahead:
		return file
	}
	for key, e := range m.book.Causes {
		if f := file.Causes[key]; f == nil || !f.touched().After(e.touched()) {
			file.Causes[key] = e
		}
	}
	return file
}

// update lets change work on what is remembered, once, and keeps the result. change waits for nothing. Nothing about the ledger keeps an alert from
// being told: what is wrong with it comes back as a note, to be told too. change hears of what was wrong before it began.
func (l Ledger) update(change func(b *book, note string)) (note string) {
	m := l.memory()
	begun := false // under m.mu, as all that apply touches
	apply := func(file *book, unread error) (save func() error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if begun { // the one who waited has gone on with memory alone
			return func() error { return nil }
		}
		begun = true
		b := m.known(file)
		if b == nil {
			note = "what was told before is not known, for " + unread.Error()
			b = newBook()
		}
		change(b, note)
		m.book, m.ahead = b, true
		m.changes++
		changes := m.changes
		data, err := b.encode()
		return func() error {
			if err != nil {
				return err
			}
			if err := atomicfile.Write(l.File, data); err != nil {
				return fmt.Errorf("write ledger of alerts: %w", err)
			}
			m.written(changes)
			return nil
		}
	}
	var problem error
	hung := m.disk.Do(diskLimit, func() {
		defer l.lock()()
		file, readErr := read(l.File)
		problem = apply(file, readErr)()
	})
	if hung != nil {
		apply(nil, errDisk) // unless it was done before the disk began to hang
		return join(note, errDisk.Error()+": what is told is known to this process alone")
	}
	if problem != nil {
		note = join(note, "what was told cannot be written down: "+problem.Error())
	}
	return note
}

// written: the file has got all, unless more has changed since.
func (m *Memory) written(changes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes == changes {
		m.ahead = false
	}
}

// lock keeps other processes from the file. Without it the work goes on, too: told twice is better than not at all.
func (l Ledger) lock() (unlock func()) {
	if err := os.MkdirAll(filepath.Dir(l.File), 0o700); err != nil {
		return func() {} // writing fails, and says why
	}
	lock := flock.New(l.File+".lock", flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(context.Background(), lockLimit)
	defer cancel()
	if held, _ := lock.TryLockContext(ctx, lockLook); !held {
		return func() {}
	}
	return func() { _ = lock.Close() } // the process's end frees it, too
}

func (l Ledger) memory() *Memory {
	if l.Memory == nil {
		return &Memory{}
	}
	return l.Memory
}
