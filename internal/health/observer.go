package health

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/deadline"
)

const (
	hostLimit    = 3 * time.Second  // for a look at this host: a hung disk must not hang whoever asks
	hostPatience = time.Minute      // for one that the watchdog takes: a busy disk is not a dead one
	targetLimit  = 2 * time.Minute  // for a look at a target
	targetsKeep  = 15 * time.Minute // for which a look at the targets is believed; the watchdog looks that often
	reportKeep   = 5 * time.Second  // for which a report is believed: several may ask at once
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
	// Alerts is what the operator was told and is not over, and whether there is no channel to tell anything.
	Alerts func(config.Settings) (told []Told, unalerted bool)
}

// Observer makes reports, for any number of askers at a time. Targets cost time and money to list, so that it remembers what it saw there:
// a report tells when that was.
type Observer struct {
	from Sources

	mu       sync.Mutex
	shelves  map[string]Shelf // of the targets, as last seen
	pending  map[string]chan struct{}
	begun    map[string]time.Time // when the last look at a target began
	seenFor  backupset.ID         // newest local set when the targets were last looked at
	last     Report               // made last, zero before the first
	believed bool                 // last is of now, or of shortly ago
	making   *making
	seen     here      // on this host, when its disk answered last
	watched  time.Time // see Watched

	disk deadline.Guard
}

// NewObserver returns an observer that has seen nothing yet.
func NewObserver(from Sources) *Observer {
	return &Observer{from: from, watched: from.Now(), shelves: map[string]Shelf{}, pending: map[string]chan struct{}{}, begun: map[string]time.Time{}}
}

// Report returns what is known now. It looks at this host and asks Temporal; targets it shows as they were last seen, and has them looked
// at again when that was long ago or a set was made since. One report is made for all who ask at the same time, and whoever hangs up
// disturbs no other. When it takes too long for ctx, the report made last comes back, whose time says of when it is. The error is the context's,
// before the first.
func (o *Observer) Report(ctx context.Context) (Report, error) {
	o.mu.Lock()
	if age := o.from.Now().Sub(o.last.At); o.believed && age >= 0 && age < reportKeep {
		defer o.mu.Unlock()
		return o.last, nil
	}
	m := o.making
	if m == nil {
		m = &making{done: make(chan struct{})}
		o.making = m
		go func() {
			m.report = o.look(context.WithoutCancel(ctx), hostLimit, false)
			o.mu.Lock()
			o.last, o.believed, o.making = m.report, true, nil
			o.mu.Unlock()
			close(m.done)
		}()
	}
	last := o.last
	o.mu.Unlock()
	select {
	case <-m.done:
		return m.report, nil
	case <-ctx.Done():
		if last.At.IsZero() {
			return Report{}, fmt.Errorf("report on the node: %w", ctx.Err())
		}
		return last, nil
	}
}

// making is a report that is being made.
type making struct {
	done   chan struct{} // closed when it is there
	report Report
}

// Fresh is a report for which every target was looked at anew. It ends when the slowest has answered, or its time is over.
func (o *Observer) Fresh(ctx context.Context) Report { return o.look(ctx, hostPatience, true) }

// Watch is Fresh for the watchdog. When it looked last is in every report.
func (o *Observer) Watch(ctx context.Context) Report {
	now := o.from.Now()
	o.mu.Lock()
	o.watched = now
	o.mu.Unlock()
	return o.Fresh(ctx)
}

// Watched is when the watchdog looked last; before it did, when the observer began.
func (o *Observer) Watched() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.watched
}

func (o *Observer) look(ctx context.Context, limit time.Duration, targets bool) Report {
	seen := o.lookHere(ctx, limit)
	f := Facts{Program: o.from.Program, Settings: seen.settings, Shelves: []Shelf{seen.shelf}, Drill: seen.drill, Disk: seen.disk, Keys: seen.keys, KeyError: seen.keyError,
		Alerts: seen.alerts, Unalerted: seen.unalerted, Watched: o.Watched()}
	if seen.settingsErr != nil {
		f.SettingsError = seen.settingsErr.Error()
	}
	f.Temporal = o.from.Temporal(ctx, f.Settings)
	for _, wait := range o.lookThere(ctx, seen, targets, f.Temporal.Running != nil) {
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
	settings    config.Settings
	settingsErr error
	shelf       Shelf
	targets     []Store
	errs        map[string]error // of targets that cannot be opened
	owner       catalog.Owner
	drill       *Drill
	disk        *Disk
	keys        []Key
	keyError    string
	alerts      []Told
	unalerted   bool
}

// lookHere reads everything that lies on this host's disk, settings included. A call to a dead disk never returns, so it is left behind; what was
// known before then stands in for what cannot be read.
func (o *Observer) lookHere(ctx context.Context, limit time.Duration) here {
	found := make(chan here, 1)
	err := o.disk.Do(limit, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), targetLimit)
		defer cancel()
		found <- o.readHost(ctx)
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.seen = <-found
		return o.seen
	}
	h := here{settings: o.seen.settings, targets: o.seen.targets, errs: o.seen.errs, owner: o.seen.owner, keys: o.seen.keys, alerts: o.seen.alerts, unalerted: o.seen.unalerted}
	h.shelf = Shelf{Store: Store{Name: Local}, SeenAt: o.from.Now(), Err: fmt.Errorf("read the disk of %s: %w, for %s", cmp.Or(h.settings.BackupDir, "BACKUP_DIR"), err, limit)}
	return h
}

func (o *Observer) readHost(ctx context.Context) here {
	now := o.from.Now()
	s, err := o.from.Settings()
	h := here{settings: s, settingsErr: err, owner: catalog.Owner{Node: s.Node.Name, Network: s.Node.Network}, errs: map[string]error{}}
	h.alerts, h.unalerted = o.from.Alerts(s)
	if err != nil {
		h.shelf = Shelf{Store: Store{Name: Local}}
		return h
	}
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
			h.shelf = Look(ctx, one, h.owner, now)
			// On a host without a set of its own, the node's name alone tells.
			if own, listing, err := h.owner.Narrow(h.shelf.Listing, now); err == nil {
				h.owner, h.shelf.Listing = own, listing
			}
			h.drill = h.shelf.NewestDrill(ctx)
		}
	}
	h.disk = o.from.Disk(ctx, s, h.shelf.Listing)
	keys, err := o.from.Keys(s)
	h.keys = keys
	if err != nil {
		h.keyError = err.Error()
	}
	return h
}

// lookThere begins looks at the targets that are due, and returns what to wait for: all of them when the report shall be fresh, else none.
func (o *Observer) lookThere(ctx context.Context, h here, fresh, busy bool) []chan struct{} {
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
	o.believed = false // what was told of the target is over
	o.mu.Unlock()
	close(done)
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
