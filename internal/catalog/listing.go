package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/retention"
	"canton-backup/internal/store"
)

// Entry is one sealed set in a store.
type Entry struct {
	Manifest backupset.Manifest
	Own      bool
	Damage   string // empty when every file is there in its size
	Pinned   string // why no prune takes it here, empty when it is not pinned
}

// Listing is what a store holds.
type Listing struct {
	Sets       []Entry  // newest first
	Unreadable []string // manifests that could not be read, with the cause; never touched
	Open       []backupset.ID
	Drills     []string // names of the records of drills of these sets, oldest set first
	Foreign    int      // files that no readable manifest names
}

// Find returns the set of that id, or for "latest" the owner's newest one as of now, damaged or not, without those dated in the future: an older set in its place would
// hide the damage. store.ErrNotFound when there is none.
func (l Listing) Find(id string, now time.Time) (Entry, error) {
	for _, e := range l.Sets {
		if id == string(e.Manifest.Set) || id == Latest && e.Own && !e.Manifest.Set.Time().After(now.Add(retention.Skew)) {
			return e, nil
		}
	}
	if id == Latest {
		return Entry{}, fmt.Errorf("find set: %w: no sealed set of this node", store.ErrNotFound)
	}
	return Entry{}, fmt.Errorf("find set %s: %w", id, store.ErrNotFound)
}

// LastGood returns the owner's newest set as of now whose pair is proven and whose files are all there.
func (l Listing) LastGood(now time.Time) (Entry, bool) {
	for _, e := range l.Sets {
		if e.Own && e.Damage == "" && e.Manifest.Verdict == backupset.Pass && !e.Manifest.Set.Time().After(now.Add(retention.Skew)) {
			return e, true
		}
	}
	return Entry{}, false
}

// Latest stands for the newest set.
const Latest = "latest"

// List reads every manifest of a store.
func List(ctx context.Context, s store.Store, owner Owner) (Listing, error) {
	objects, err := s.List(ctx)
	if err != nil {
		return Listing{}, fmt.Errorf("list sets at %s: %w", s.Location(), err)
	}
	sizes := map[string]int64{}
	for _, o := range objects {
		sizes[o.Name] = o.Size
	}
	read, err := records(ctx, s, objects)
	if err != nil {
		return Listing{}, fmt.Errorf("list sets at %s: %w", s.Location(), err)
	}
	var l Listing
	named := map[string]bool{}
	for _, o := range objects {
		if id, ok := backupset.ParseIntentName(o.Name); ok {
			l.Open = append(l.Open, id)
			named[o.Name] = true
			continue
		}
		id, ok := backupset.ParseManifestName(o.Name)
		if !ok {
			continue
		}
		m, err := decode(read, o.Name, id)
		if ctx.Err() != nil {
			return Listing{}, fmt.Errorf("list sets at %s: %w", s.Location(), ctx.Err())
		}
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted since it was listed
		}
		if errors.Is(err, errNotRead) {
			return Listing{}, fmt.Errorf("list sets at %s: %w", s.Location(), err) // a broken line must not make an older set the newest
		}
		if err != nil {
			l.Unreadable = append(l.Unreadable, fmt.Sprintf("%s: %v", o.Name, err))
			continue
		}
		named[o.Name] = true
		e := Entry{Manifest: m, Own: owner.owns(m)}
		for _, c := range m.Components {
			named[c.File] = true
			if size, there := sizes[c.File]; !there {
				e.Damage = c.File + " is missing"
			} else if size != c.Size {
				e.Damage = fmt.Sprintf("%s has %d bytes, the manifest says %d", c.File, size, c.Size)
			}
		}
		if _, there := sizes[backupset.PinName(id)]; there {
			pin, err := readPin(read, m)
			if err != nil {
				return Listing{}, fmt.Errorf("list sets at %s: %w", s.Location(), err)
			}
			e.Pinned = pin.why
			named[backupset.PinName(id)] = pin.why != ""
		}
		l.Sets = append(l.Sets, e)
	}
	for _, o := range objects {
		if set, _, ok := backupset.ParseDrillName(o.Name); ok && slices.ContainsFunc(l.Sets, func(e Entry) bool { return e.Manifest.Set == set }) {
			l.Drills = append(l.Drills, o.Name)
			continue
		}
		if !named[o.Name] {
			l.Foreign++
		}
	}
	slices.SortFunc(l.Sets, func(a, b Entry) int { return strings.Compare(string(b.Manifest.Set), string(a.Manifest.Set)) })
	return l, nil
}

// errNotRead: the store did not hand a record over, which says nothing about the record.
var errNotRead = errors.New("not read")

// reader gives the content of a small object: a manifest, an intent, a pin. errNotRead, and store.ErrNotFound beside it when it is absent.
type reader func(name string) ([]byte, error)

// records reads the manifests and the pins among the objects from one batch where the store can, else one by one.
func records(ctx context.Context, s store.Store, objects []store.Object) (reader, error) {
	singly := single(ctx, s)
	batch, can := s.(store.Batch)
	if !can {
		return singly, nil
	}
	var names []string
	for _, o := range objects {
		_, manifest := backupset.ParseManifestName(o.Name)
		_, pin := backupset.ParsePinName(o.Name)
		if manifest || pin {
			names = append(names, o.Name)
		}
	}
	if len(names) < 2 {
		return singly, nil
	}
	data, err := batch.ReadAll(ctx, names, recordLimit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	return func(name string) ([]byte, error) {
		if text, there := data[name]; there {
			return text, nil
		}
		return singly(name)
	}, nil
}

// single reads each record from the store, as it is now.
func single(ctx context.Context, s store.Store) reader {
	return func(name string) ([]byte, error) {
		r, err := s.Open(ctx, name, 0)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotRead, err)
		}
		defer r.Close()
		data, err := io.ReadAll(io.LimitReader(r, recordLimit+1))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotRead, err)
		}
		if len(data) > recordLimit {
			return nil, fmt.Errorf("more than %d bytes", recordLimit)
		}
		return data, nil
	}
}

// decode reads the manifest of that set, which may lie under the name of its intent.
func decode(read reader, name string, id backupset.ID) (backupset.Manifest, error) {
	data, err := read(name)
	if err != nil {
		return backupset.Manifest{}, err
	}
	m, err := backupset.Decode(data)
	if err == nil && m.Set != id {
		err = fmt.Errorf("it speaks of set %s", m.Set)
	}
	return m, err
}
