package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
)

const (
	hostLimit   = 3 * time.Second  // for a look at this host: a hung disk must not hang whoever asks
	targetLimit = 2 * time.Minute  // for a look at a target
	targetsKeep = 15 * time.Minute // for which a look at the targets is believed; the watchdog looks that often
	reportKeep  = 5 * time.Second  // for which a report is believed: several may ask at once
)

// Sources are where the facts come from.
type Sources struct {
	Program  string
	Now      func() time.Time
	Settings func() (config.Settings, error)
	// Stores opens this host's store and the targets. A target that cannot be opened has a nil Store and an error.
	Stores   func(config.Settings) ([]Store, []error)
	Disk     func(context.Context, config.Settings, catalog.Listing) *Disk
	Keys     func(config.Settings) ([]Key, error)
	Temporal func(context.Context, config.Settings) Temporal
	Alerts   func(config.Settings) []Told
}

// Observer makes reports, for any number of askers at a time. Targets cost time and money to list, so that it remembers what it saw there:
// a report tells when that was.
type Observer struct {
	from Sources

	mu      sync.Mutex
	shelves map[string]Shelf // of the targets, as last seen
	pending map[string]chan struct{}
	begun   map[string]time.Time // when the last look at a target began
	owner   catalog.Owner        // as this host's sets told it last
	seenFor backupset.ID         // newest local set when the targets were last looked at
	report  Report               // the last one, zero when it is not to be believed any more
	making  *making
	host    chan struct{} // closed when the look at this host that takes too long ends
}

// NewObserver returns an observer that has seen nothing yet.
func NewObserver(from Sources) *Observer {
	return &Observer{from: from, shelves: map[string]Shelf{}, pending: map[string]chan struct{}{}, begun: map[string]time.Time{}}
}

// Report returns what is known now. It looks at this host and asks Temporal; targets it shows as they were last seen, and has them looked
// at again when that was long ago or a set was made since. One report is made for all who ask at the same time, and whoever hangs up
// disturbs no other. The error is the context's.
func (o *Observer) Report(ctx context.Context) (Report, error) {
	o.mu.Lock()
	if age := o.from.Now().Sub(o.report.At); age >= 0 && age < reportKeep {
		defer o.mu.Unlock()
		return o.report, nil
	}
	m := o.making
	if m == nil {
		m = &making{done: make(chan struct{})}
		o.making = m
		go func() {
			m.report = o.look(context.WithoutCancel(ctx), false)
			o.mu.Lock()
			o.report, o.making = m.report, nil
			o.mu.Unlock()
			close(m.done)
		}()
	}
	o.mu.Unlock()
	select {
	case <-m.done:
		return m.report, nil
	case <-ctx.Done():
		return Report{}, fmt.Errorf("report on the node: %w", ctx.Err())
	}
}

// making is a report that is being made.
type making struct {
	done   chan struct{} // closed when it is there
	report Report
}

// Fresh is a report for which every target was looked at anew. It ends when the slowest has answered, or its time is over.
func (o *Observer) Fresh(ctx context.Context) Report { return o.look(ctx, true) }

func (o *Observer) look(ctx context.Context, targets bool) Report {
	now := o.from.Now()
	f := Facts{Now: now, Program: o.from.Program}
	s, err := o.from.Settings()
	f.Settings = s
	if err != nil {
		f.Shelves = []Shelf{{Store: Store{Name: Local}, Err: err, SeenAt: now}}
		f.Temporal = o.from.Temporal(ctx, s)
		f.Alerts = o.from.Alerts(s)
		return Make(f)
	}
	seen := o.lookHere(ctx, s)
	f.Shelves, f.Drill, f.Disk, f.Keys, f.KeyError, f.Alerts = []Shelf{seen.shelf}, seen.drill, seen.disk, seen.keys, seen.keyError, seen.alerts
	f.Temporal = o.from.Temporal(ctx, s)
	for _, wait := range o.lookThere(ctx, s, seen, targets, f.Temporal.Running != nil) {
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
	f.Now = o.from.Now() // the look may have taken minutes
	f.Shelves = append(f.Shelves, o.remembered(seen.targets)...)
	return Make(f)
}

// here is what one look at this host found.
type here struct {
	shelf    Shelf
	targets  []Store
	errs     map[string]error // of targets that cannot be opened
	owner    catalog.Owner
	drill    *Drill
	disk     *Disk
	keys     []Key
	keyError string
	alerts   []Told
}

var errHung = errors.New("the disk does not answer")

// lookHere reads everything that lies on this host's disk. A call to a dead disk never returns, so it is left behind, one at most.
func (o *Observer) lookHere(ctx context.Context, s config.Settings) here {
	hung := func() here {
		o.mu.Lock()
		owner := o.owner
		o.mu.Unlock()
		return here{owner: owner, shelf: Shelf{Store: Store{Name: Local}, SeenAt: o.from.Now(), Err: fmt.Errorf("list sets in %s: %w for %s", s.BackupDir, errHung, hostLimit)}, targets: o.known()}
	}
	o.mu.Lock()
	left := o.host
	o.mu.Unlock()
	if left != nil {
		select {
		case <-left:
		case <-time.After(hostLimit):
			return hung()
		}
	}
	found, done := make(chan here, 1), make(chan struct{})
	o.mu.Lock()
	o.host = done
	o.mu.Unlock()
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), targetLimit)
		defer cancel()
		found <- o.readHost(ctx, s)
	}()
	select {
	case h := <-found:
		o.mu.Lock()
		o.owner = h.owner
		o.mu.Unlock()
		return h
	case <-time.After(hostLimit):
		return hung()
	}
}

func (o *Observer) readHost(ctx context.Context, s config.Settings) here {
	now := o.from.Now()
	h := here{owner: catalog.Owner{Node: s.Node.Name, Network: s.Node.Network}, errs: map[string]error{}}
	stores, errs := o.from.Stores(s)
	for i, one := range stores {
		switch {
		case one.Name != Local:
			h.targets = append(h.targets, one)
			if errs[i] != nil {
				h.errs[one.Name] = errs[i]
			}
		case errs[i] != nil:
			h.shelf = Shelf{Store: one, Err: errs[i], SeenAt: now}
		default:
			if own, err := h.owner.LikeNewest(ctx, one.Store, now); err == nil {
				h.owner = own // on a host without a set of its own, the node's name alone tells
			}
			h.shelf = Look(ctx, one, h.owner, now)
			h.drill = h.shelf.NewestDrill(ctx)
		}
	}
	h.disk = o.from.Disk(ctx, s, h.shelf.Listing)
	keys, err := o.from.Keys(s)
	h.keys = keys
	if err != nil {
		h.keyError = err.Error()
	}
	h.alerts = o.from.Alerts(s)
	return h
}

// lookThere begins looks at the targets that are due, and returns what to wait for: all of them when the report shall be fresh, else none.
func (o *Observer) lookThere(ctx context.Context, s config.Settings, h here, fresh, busy bool) []chan struct{} {
	newest, _ := newest([]Shelf{h.shelf}, o.from.Now())
	now := o.from.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	// While a run works, its set is on its way: what the target holds then is neither old nor new.
	news := newest.Set != "" && newest.Set != o.seenFor && !busy
	var waits []chan struct{}
	for _, target := range h.targets {
		wait := o.pending[target.Name]
		since := now.Sub(o.begun[target.Name])
		due := fresh || since < 0 || since >= targetsKeep || news
		if wait == nil && due && (target.Store != nil || h.errs[target.Name] != nil) {
			wait = make(chan struct{})
			o.pending[target.Name], o.begun[target.Name] = wait, now
			if !busy {
				o.seenFor = newest.Set
			}
			go o.lookAt(context.WithoutCancel(ctx), target, h, wait)
		}
		if fresh && wait != nil {
			waits = append(waits, wait)
		}
	}
	return waits
}

func (o *Observer) lookAt(ctx context.Context, target Store, h here, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, targetLimit)
	defer cancel()
	shelf := Shelf{Store: target, Err: h.errs[target.Name], SeenAt: o.from.Now()}
	if shelf.Err == nil {
		shelf = Look(ctx, target, h.owner, o.from.Now())
	}
	o.mu.Lock()
	o.shelves[target.Name] = shelf
	delete(o.pending, target.Name)
	o.report = Report{} // what was told of the target is over
	o.mu.Unlock()
	close(done)
}

// known are the targets that were seen before: whoever cannot read this host still tells of them.
func (o *Observer) known() []Store {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []Store
	for _, shelf := range o.shelves {
		all = append(all, shelf.Store)
	}
	slices.SortFunc(all, func(a, b Store) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (o *Observer) remembered(targets []Store) []Shelf {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []Shelf
	for _, target := range targets {
		shelf, seen := o.shelves[target.Name]
		if !seen {
			shelf = Shelf{Store: target}
		}
		all = append(all, shelf)
	}
	return all
}
