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
	read, err := manifests(ctx, s, objects)
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
		m, err := read(o.Name, id)
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

// errNotRead: the store did not hand a manifest over, which says nothing about the manifest.
var errNotRead = errors.New("manifest not read")

// manifests returns the way to read the manifests among the objects: from one batch where the store can, else one by one.
func manifests(ctx context.Context, s store.Store, objects []store.Object) (func(name string, id backupset.ID) (backupset.Manifest, error), error) {
	singly := func(name string, id backupset.ID) (backupset.Manifest, error) { return readManifest(ctx, s, name, id) }
	batch, can := s.(store.Batch)
	if !can {
		return singly, nil
	}
	var names []string
	for _, o := range objects {
		if _, ok := backupset.ParseManifestName(o.Name); ok {
			names = append(names, o.Name)
		}
	}
	if len(names) < 2 {
		return singly, nil
	}
	data, err := batch.ReadAll(ctx, names, manifestLimit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	return func(name string, id backupset.ID) (backupset.Manifest, error) {
		if text, there := data[name]; there {
			return decode(text, id)
		}
		return singly(name, id)
	}, nil
}

func readManifest(ctx context.Context, s store.Store, name string, id backupset.ID) (backupset.Manifest, error) {
	r, err := s.Open(ctx, name, 0)
	if err != nil {
		return backupset.Manifest{}, fmt.Errorf("%w: %w", errNotRead, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, manifestLimit+1))
	if err != nil {
		return backupset.Manifest{}, fmt.Errorf("%w: %w", errNotRead, err)
	}
	if len(data) > manifestLimit {
		return backupset.Manifest{}, errors.New("too large for a manifest")
	}
	return decode(data, id)
}

func decode(data []byte, id backupset.ID) (backupset.Manifest, error) {
	m, err := backupset.Decode(data)
	if err == nil && m.Set != id {
		err = fmt.Errorf("it speaks of set %s", m.Set)
	}
	return m, err
}
