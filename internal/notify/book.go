package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"time"
)

// book is the ledger's content.
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
	Telling     map[string]claim     `json:"telling,omitempty"` // per channel, who is about to tell it
	Ended       *time.Time           `json:"ended,omitempty"`   // it is over
	Flaps       bool                 `json:"flaps,omitempty"`   // it may come and go: what was told stays known for a while after its end
	Closed      map[string]time.Time `json:"closed,omitempty"`  // channels of Told that heard of the end, or need not
}

// claim keeps two from telling the same at the same time, without a lock that is held while it is told.
type claim struct {
	At time.Time `json:"at"`
	By string    `json:"by"` // occurrence: another try of it need not wait for one that got lost
}

const (
	bookVersion = 1
	bookLimit   = 1 << 20 // bytes
	// claimLimit is longer than a channel may take.
	claimLimit = sendLimit + 10*time.Second
	// A cause that nobody ends and that does not come back is dropped after forgetAfter; of more than causesLimit, the oldest go.
	forgetAfter = 60 * 24 * time.Hour
	causesLimit = 200
)

func newBook() *book { return &book{Version: bookVersion, Causes: map[string]*entry{}} }

// lastTold is when any channel got it last; zero when none did.
func (e *entry) lastTold() time.Time {
	var last time.Time
	for _, at := range e.Told {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// touched is when something was last learnt of it.
func (e *entry) touched() time.Time {
	if e.Ended != nil && e.Ended.After(e.Last) {
		return *e.Ended
	}
	return e.Last
}

// claimed: somebody else is telling it to the channel.
func (e *entry) claimed(channel, by string) bool {
	c, has := e.Telling[channel]
	return has && c.By != by
}

// open: the channel was told, and has not heard of the end.
func (e *entry) open(channel string) bool {
	_, told := e.Told[channel]
	_, closed := e.Closed[channel]
	return told && !closed
}

// settled: it is over, and all who were told know.
func (e *entry) settled() bool {
	for channel := range e.Told {
		if e.open(channel) {
			return false
		}
	}
	return e.Ended != nil && len(e.Telling) == 0
}

func read(path string) (*book, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newBook(), nil
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

// encode is the file's text.
func (b *book) encode() ([]byte, error) {
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write ledger of alerts: %w", err)
	}
	return append(data, '\n'), nil
}

// forget drops what nobody will end any more, and what ended and could be told anew.
func (b *book) forget(now time.Time, repeat time.Duration) {
	for key, e := range b.Causes {
		maps.DeleteFunc(e.Telling, func(_ string, c claim) bool { return now.Sub(c.At).Abs() >= claimLimit }) // of one who died
		if now.Sub(e.Last) > forgetAfter || e.settled() && now.Sub(e.lastTold()) >= repeat {
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
