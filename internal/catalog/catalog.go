// Package catalog keeps backup sets in a store: it publishes a set so that its manifest comes last, removes one so that its
// manifest goes first, lists what is sealed, and clears what interrupted work left. A catalog is never the truth; the manifests are.
package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/store"
)

// ErrUnsealed: a set's manifest is missing or unreadable.
var ErrUnsealed = errors.New("set is not sealed")

var errForeign = errors.New("it was not sealed by this node, or is of another participant")

const recordLimit = 1 << 20 // bytes of a manifest or a pin

// Owner is whose sets these are. Stores may be shared; only the owner's sets are ever deleted (law 5).
type Owner struct {
	Node        string
	Network     string
	participant *string // nil: sets of any participant
}

// Like narrows the owner to the participant of one of its sets. A name is no identity: two hosts may be called alike and share a folder,
// and a node that was onboarded anew under its old name is another participant, whose predecessor's keys are in the older
// sets and nowhere else. Whoever deletes goes by this owner.
func (o Owner) Like(m backupset.Manifest) Owner {
	id := m.ParticipantID()
	o.participant = &id
	return o
}

func (o Owner) owns(m backupset.Manifest) bool {
	return m.Node == o.Node && m.Network == o.Network && (o.participant == nil || *o.participant == m.ParticipantID())
}

// LikeNewest narrows the owner to the participant of its newest set on this host. store.ErrNotFound when there is none to go by.
func (o Owner) LikeNewest(ctx context.Context, local store.Store, now time.Time) (Owner, error) {
	l, err := List(ctx, local, o)
	if err != nil {
		return o, err
	}
	own, _, err := o.Narrow(l, now)
	if err != nil {
		return o, fmt.Errorf("tell own sets from others: %w in %s; make one with: canton-backup backup", err, local.Location())
	}
	return own, nil
}

// Narrow is LikeNewest for a listing of this host that was made for o, and gives that listing as the narrower owner sees it. On an error
// both are as they were.
func (o Owner) Narrow(l Listing, now time.Time) (Owner, Listing, error) {
	newest, err := l.Find(Latest, now)
	if err != nil {
		return o, l, err
	}
	own := o.Like(newest.Manifest)
	l.Sets = slices.Clone(l.Sets)
	for i, e := range l.Sets {
		l.Sets[i].Own = own.owns(e.Manifest)
	}
	return own, l, nil
}

// Publish copies a set into a store: first an intent (a copy of the manifest under another name), then the dumps, the
// manifest last, then the intent goes. An interrupted Publish is continued by calling it again, or cleared by Sweep. path gives the
// local file of a component; manifest is the local manifest file; progress gets the bytes now at the store.
func Publish(ctx context.Context, s store.Store, m backupset.Manifest, path func(file string) string, manifest store.File, progress func(int64)) error {
	fail := func(err error) error { return fmt.Errorf("publish set %s at %s: %w", m.Set, s.Location(), err) }
	if err := free(ctx, s, m); err != nil {
		return fail(err)
	}
	if err := s.Put(ctx, backupset.IntentName(m.Set), manifest, nil); err != nil {
		return fail(err)
	}
	var sent int64
	for _, c := range m.Components {
		report := func(n int64) {
			if progress != nil {
				progress(sent + n)
			}
		}
		if err := s.Put(ctx, c.File, store.File{Path: path(c.File), Size: c.Size, SHA256: c.SHA256}, report); err != nil {
			return fail(err)
		}
		sent += c.Size
	}
	return seal(ctx, s, m.Set, manifest, fail)
}

// Adopter is a store on this host's own disk that can take over a file without copying it.
type Adopter interface {
	store.Store
	// Adopt publishes the file under name, by renaming it. Repeated after a crash it succeeds; a name that holds other
	// content is store.ErrExists, a file that is not what it says store.ErrCorrupt.
	Adopt(ctx context.Context, file store.File, name string) error
}

// Adopt is Publish for the local store: the dumps are renamed into place.
func Adopt(ctx context.Context, s Adopter, m backupset.Manifest, path func(file string) string, manifest store.File) error {
	fail := func(err error) error { return fmt.Errorf("seal set %s in %s: %w", m.Set, s.Location(), err) }
	if err := free(ctx, s, m); err != nil {
		return fail(err)
	}
	if err := s.Put(ctx, backupset.IntentName(m.Set), manifest, nil); err != nil {
		return fail(err)
	}
	for _, c := range m.Components {
		if err := s.Adopt(ctx, store.File{Path: path(c.File), Size: c.Size, SHA256: c.SHA256}, c.File); err != nil {
			return fail(err)
		}
	}
	return seal(ctx, s, m.Set, manifest, fail)
}

func seal(ctx context.Context, s store.Store, id backupset.ID, manifest store.File, fail func(error) error) error {
	if err := s.Put(ctx, backupset.ManifestName(id), manifest, nil); err != nil {
		return fail(err)
	}
	// A store may let us write and not delete. The set is whole, and an intent beside a manifest means nothing: Sweep takes it, if ever it may.
	if err := s.Delete(ctx, backupset.IntentName(id)); err != nil && !errors.Is(err, store.ErrDenied) {
		return fail(err)
	}
	return nil
}

// free refuses to begin where a file of the set's names lies already without an intent: it is foreign, and once our intent
// claimed it, a later Sweep would take it for ours.
func free(ctx context.Context, s store.Store, m backupset.Manifest) error {
	objects, err := s.List(ctx)
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, o := range objects {
		taken[o.Name] = true
	}
	if taken[backupset.IntentName(m.Set)] || taken[backupset.ManifestName(m.Set)] {
		return nil // ours, or Put says ErrExists
	}
	for _, c := range m.Components {
		if taken[c.File] {
			return fmt.Errorf("%s lies there already, from another program: %w", c.File, store.ErrExists)
		}
	}
	return nil
}

// Remove deletes a set of this node: an intent first, so that Sweep can finish, then the manifest, then the dumps. ErrPinned, and nothing
// is deleted, when the set is pinned by now: the intent stands before the look for a pin, see Pin. scratch is a local folder for the
// intent's file.
func Remove(ctx context.Context, s store.Store, owner Owner, m backupset.Manifest, scratch string) error {
	fail := func(err error) error { return fmt.Errorf("remove set %s at %s: %w", m.Set, s.Location(), err) }
	if !owner.owns(m) {
		return fail(errForeign)
	}
	file, err := WriteManifest(filepath.Join(scratch, backupset.IntentName(m.Set)), m)
	if err != nil {
		return fail(err)
	}
	defer os.Remove(file.Path)
	if err := s.Put(ctx, backupset.IntentName(m.Set), file, nil); err != nil {
		return fail(err)
	}
	pin, err := readPin(single(ctx, s), m)
	if err != nil {
		return fail(err)
	}
	if pin.why != "" {
		// A leftover intent beside a manifest means nothing, so that it may fail to go.
		return fail(errors.Join(fmt.Errorf("%w: %s", ErrPinned, pin.why), s.Delete(ctx, backupset.IntentName(m.Set))))
	}
	if err := s.Delete(ctx, backupset.ManifestName(m.Set)); err != nil {
		return fail(err)
	}
	if err := removeFiles(ctx, s, m); err != nil {
		return fail(err)
	}
	return nil
}

func removeFiles(ctx context.Context, s store.Store, m backupset.Manifest) error {
	objects, err := s.List(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(m.Components))
	for _, c := range m.Components {
		names = append(names, c.File)
	}
	for _, o := range objects {
		if set, _, ok := backupset.ParseDrillName(o.Name); ok && set == m.Set {
			names = append(names, o.Name)
		}
		if set, ok := backupset.ParsePinName(o.Name); ok && set == m.Set {
			pin, err := readPin(single(ctx, s), m)
			if err != nil {
				return err
			}
			if pin.ours { // written too late to keep the set, see Pin
				names = append(names, o.Name)
			}
		}
	}
	for _, name := range names {
		if err := s.Delete(ctx, name); err != nil {
			return err
		}
	}
	return s.Delete(ctx, backupset.IntentName(m.Set))
}

// Sweep clears what interrupted runs of this node left in a store: partial files, and the files of sets that were never sealed or whose
// removal had begun. The caller holds the node's lock. It returns what it removed.
func Sweep(ctx context.Context, s store.Store, owner Owner) ([]string, error) {
	fail := func(err error) error { return fmt.Errorf("sweep %s: %w", s.Location(), err) }
	removed, err := s.Sweep(ctx)
	if err != nil {
		return removed, fail(err)
	}
	objects, err := s.List(ctx)
	if err != nil {
		return removed, fail(err)
	}
	sealed := map[backupset.ID]bool{}
	for _, o := range objects {
		if id, ok := backupset.ParseManifestName(o.Name); ok {
			sealed[id] = true
		}
	}
	for _, o := range objects {
		id, ok := backupset.ParseIntentName(o.Name)
		if !ok {
			continue
		}
		m, err := decode(single(ctx, s), o.Name, id)
		if ctx.Err() != nil {
			return removed, fail(ctx.Err())
		}
		if err != nil || !owner.owns(m) {
			continue // another node's, or not one of ours at all
		}
		if sealed[id] {
			err = s.Delete(ctx, o.Name) // whole: its intent was all that was left to do
		} else {
			err = removeFiles(ctx, s, m)
		}
		if err != nil {
			return removed, fail(err)
		}
		removed = append(removed, o.Name)
	}
	return removed, nil
}

// WriteManifest writes a manifest to a local file (0600), durably, and describes it for Put.
func WriteManifest(path string, m backupset.Manifest) (store.File, error) {
	data, err := m.Encode()
	if err != nil {
		return store.File{}, err
	}
	return write(path, data)
}

// WriteJSON is WriteManifest for another record.
func WriteJSON(path string, record any) (store.File, error) {
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return store.File{}, fmt.Errorf("encode record: %w", err)
	}
	return write(path, append(data, '\n'))
}

func write(path string, data []byte) (store.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return store.File{}, fmt.Errorf("write record: %w", err)
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return store.File{}, fmt.Errorf("write record: %w", err)
	}
	return describe(path, data), nil
}

func describe(path string, data []byte) store.File {
	sum := sha256.Sum256(data)
	return store.File{Path: path, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

// LocalManifest describes a manifest that lies sealed in a local folder, for Publish.
func LocalManifest(path string) (backupset.Manifest, store.File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return backupset.Manifest{}, store.File{}, fmt.Errorf("read manifest: %w: %w", ErrUnsealed, err)
	}
	m, err := backupset.Decode(data)
	if err != nil {
		return backupset.Manifest{}, store.File{}, err
	}
	return m, describe(path, data), nil
}
