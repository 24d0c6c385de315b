package health

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/retention"
	"canton-backup/internal/store"
)

// Local is the name of this host among the places; the targets have their kind's.
const Local = "local"

// Store is a store under the name that operators use for it.
type Store struct {
	Name string // Local, or the target's kind
	store.Store
}

// Shelf is what a place was seen to hold, or why it could not be looked at.
type Shelf struct {
	Store
	Listing catalog.Listing
	Err     error
	SeenAt  time.Time // zero: not looked at yet
}

// Look lists the sets of a place.
func Look(ctx context.Context, s Store, owner catalog.Owner, now time.Time) Shelf {
	listing, err := catalog.List(ctx, s.Store, owner)
	return Shelf{Store: s, Listing: listing, Err: err, SeenAt: now}
}

// NewestDrill reads the newest record of a drill in a place, nil when there is none that can be read.
func (s Shelf) NewestDrill(ctx context.Context) *Drill {
	newest, when := "", backupset.ID("")
	for _, name := range s.Listing.Drills {
		if _, drill, ok := backupset.ParseDrillName(name); ok && drill > when {
			newest, when = name, drill
		}
	}
	if newest == "" {
		return nil
	}
	r, err := s.Open(ctx, newest, 0)
	if err != nil {
		return nil
	}
	defer r.Close()
	var d Drill
	if json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&d) != nil {
		return nil
	}
	return &d
}

// place is the shelf in the words of the report.
func (s Shelf) place(now time.Time) Place {
	p := Place{Name: s.Name, SeenAt: s.SeenAt, Sets: len(s.Listing.Sets)}
	if s.Store.Store != nil {
		p.Location = s.Location()
	}
	if s.Err != nil {
		p.Error = s.Err.Error()
	}
	if good, found := s.Listing.LastGood(now); found {
		p.LastGood, p.AgeS = good.Manifest.Set, ageS(good.Manifest.Set, now)
	}
	for _, e := range s.Listing.Sets {
		if !e.Own {
			continue
		}
		p.Bytes += e.Manifest.Bytes()
		if e.Manifest.Plain() {
			p.Plain++
		}
		if e.Damage != "" {
			p.Faults = append(p.Faults, fmt.Sprintf("set %s: %s", e.Manifest.Set, e.Damage))
		}
		if future(e.Manifest.Set, now) {
			p.Faults = append(p.Faults, fmt.Sprintf("set %s is dated in the future", e.Manifest.Set))
		}
	}
	for _, u := range s.Listing.Unreadable {
		p.Faults = append(p.Faults, "unreadable manifest "+u)
	}
	return p
}

func ageS(id backupset.ID, now time.Time) int64 { return int64(now.Sub(id.Time()).Seconds()) }

func future(id backupset.ID, now time.Time) bool { return id.Time().After(now.Add(retention.Skew)) }
