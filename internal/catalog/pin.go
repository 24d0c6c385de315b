package catalog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/store"
)

// ErrPinned: the set is pinned, so that it is not removed, nor pinned for another reason.
var ErrPinned = errors.New("set is pinned")

// ErrRemoving: a pin was written while the set's removal had perhaps begun.
var ErrRemoving = errors.New("a run may be removing the set")

// pin is what the object of a pin's name beside a set means.
type pin struct {
	why  string // why the set is kept, empty when nothing keeps it
	ours bool   // a pin of the set's own node, so that it goes with the set
}

// readPin reads the pin of a set. One of another node means nothing: in a shared folder it must not stop our prunes. One that cannot be
// understood keeps the set, for it may have been written by a later version, or damaged since.
func readPin(read reader, m backupset.Manifest) (pin, error) {
	data, err := read(backupset.PinName(m.Set))
	if errors.Is(err, store.ErrNotFound) {
		return pin{}, nil
	}
	if errors.Is(err, errNotRead) {
		return pin{}, fmt.Errorf("look for a pin: %w", err)
	}
	var p backupset.Pin
	if err == nil {
		p, err = backupset.DecodePin(data)
	}
	switch {
	case err != nil:
		return pin{why: fmt.Sprintf("%s cannot be read: %v", backupset.PinName(m.Set), err)}, nil
	case !p.Of(m):
		return pin{}, nil
	}
	return pin{why: p.Reason, ours: true}, nil
}

// Pin keeps a set of this node in this store, for a reason, until Unpin. A set that is pinned for the same reason is success, for another
// one ErrPinned. scratch is a local folder for the pin's file.
//
// It takes no lock of the node, and yet no prune that runs meanwhile takes a set whose Pin succeeded: Remove writes its intent before it
// looks for the pin, and Pin writes the pin before it looks for the intent, so that at least one of them sees the other. Then Remove
// leaves the set alone, or Pin says that it came too late: store.ErrNotFound when the set is gone, ErrRemoving when it is still there. After
// ErrRemoving the pin stands, and whoever asked has to look whether the set stayed. A run of this node that sweeps partial files may make
// Pin fail otherwise; it is repeated then.
func Pin(ctx context.Context, s store.Store, owner Owner, m backupset.Manifest, reason string, now time.Time, scratch string) error {
	fail := func(err error) error { return fmt.Errorf("pin set %s at %s: %w", m.Set, s.Location(), err) }
	if !owner.owns(m) {
		return fail(errForeign)
	}
	record, err := backupset.NewPin(m, reason, now)
	if err != nil {
		return fail(err)
	}
	before, err := readPin(single(ctx, s), m)
	if err != nil {
		return fail(err)
	}
	name := backupset.PinName(m.Set)
	switch before.why {
	case record.Reason:
	case "":
		file, err := WriteJSON(filepath.Join(scratch, name), record)
		if err != nil {
			return fail(err)
		}
		defer os.Remove(file.Path)
		if err := s.Put(ctx, name, file, nil); err != nil {
			return fail(err)
		}
	default:
		return fail(fmt.Errorf("%w already, unpin it first: %s", ErrPinned, before.why))
	}
	objects, err := s.List(ctx)
	if err != nil {
		return fail(err)
	}
	manifest, intent := false, false
	for _, o := range objects {
		manifest = manifest || o.Name == backupset.ManifestName(m.Set)
		intent = intent || o.Name == backupset.IntentName(m.Set)
	}
	switch {
	case !manifest:
		return fail(errors.Join(fmt.Errorf("%w: it was removed meanwhile", store.ErrNotFound), s.Delete(ctx, name)))
	case intent:
		// Where we may not delete, uploads leave their intents, and no removal of ours gets past its own. Deleting what is not there tells.
		if err := s.Delete(ctx, name+".none"); !errors.Is(err, store.ErrDenied) {
			return fail(fmt.Errorf("%w, or was cut doing so: wait for it, or start one, and pin it again", ErrRemoving))
		}
	}
	return nil
}

// Unpin lets a set of this node go by its age again. It takes a pin away that cannot be read, too. A set that is not pinned is success.
func Unpin(ctx context.Context, s store.Store, owner Owner, m backupset.Manifest) error {
	fail := func(err error) error { return fmt.Errorf("unpin set %s at %s: %w", m.Set, s.Location(), err) }
	if !owner.owns(m) {
		return fail(errForeign)
	}
	pin, err := readPin(single(ctx, s), m)
	if err != nil {
		return fail(err)
	}
	if pin.why == "" {
		return nil
	}
	if err := s.Delete(ctx, backupset.PinName(m.Set)); err != nil {
		return fail(err)
	}
	return nil
}
