// Package prove checks the sentences of the store contract that can be checked on an operator's real place. Tests run the same checks
// against stores on servers of their own.
package prove

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"canton-backup/internal/store"
)

// Check is one sentence of the contract.
type Check struct {
	Name string
	run  func(ctx context.Context, p *place) error
}

// Checks lists all, in the order in which they are run. Each uses names of its own and deletes them.
func Checks() []Check {
	return []Check{
		{"put and read back", roundTrip},
		{"same content again is success, other content is refused", exclusive},
		{"wrong content is refused and not shown", wrongContent},
		{"cut in the middle shows nothing and goes on later", resume},
		{"read from the middle", offsets},
		{"list and delete by name", listAndDelete},
		{"clear unfinished files", sweep},
	}
}

// Run runs the check on a place where nobody else works. size is that of a file whose Put reports progress before it is done, in
// bytes. folder is a local one for the files to send.
func (c Check) Run(ctx context.Context, s store.Store, size int64, folder string) error {
	return c.run(ctx, &place{Store: s, size: size, folder: folder})
}

// Result is the outcome of one check.
type Result struct {
	Name string
	Err  error
}

// Target runs all checks in a scratch place inside the target's own, and removes that. report gets each result as it comes; the last
// is the removal's. The error says that the scratch place could not be opened.
//
// keeps: the target's Check was ErrNoDelete. Then what needs the right to delete is ErrNoDelete too, and little is put, for it stays:
// the last result names the place.
func Target(ctx context.Context, target store.Store, keeps bool, report func(Result)) error {
	folder, err := os.MkdirTemp("", "canton-backup-prove-")
	if err != nil {
		return fmt.Errorf("prove %s: %w", target.Location(), err)
	}
	defer os.RemoveAll(folder)
	scratch, err := target.Scratch(strings.ToLower(rand.Text()[:8]))
	if err != nil {
		return fmt.Errorf("prove %s: %w", target.Location(), err)
	}
	for _, c := range Checks() {
		report(Result{c.Name, c.run(ctx, &place{Store: scratch.Store, size: scratch.Size, folder: folder, keeps: keeps})})
	}
	// Also after the operator has lost patience: what we brought, we take away.
	err = scratch.Remove(context.WithoutCancel(ctx))
	if keeps && errors.Is(err, store.ErrDenied) {
		err = fmt.Errorf("%w: %s stays; remove it with another key", store.ErrNoDelete, scratch.Store.Location())
	}
	report(Result{"remove what was put for this", err})
	return nil
}

type place struct {
	store.Store
	size   int64
	folder string
	keeps  bool // nothing can be deleted there
}

// file makes a local file of random bytes.
func (p *place) file(size int64) (store.File, error) {
	f, err := os.Create(filepath.Join(p.folder, rand.Text()))
	if err != nil {
		return store.File{}, err
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.Reader, size)
	if err := errors.Join(err, f.Close()); err != nil {
		return store.File{}, err
	}
	return store.File{Path: f.Name(), Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// holds says why the object is not there with this content.
func (p *place) holds(ctx context.Context, name string, file store.File) error {
	r, err := p.Open(ctx, name, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	sum, size, err := store.Digest(ctx, r)
	if err != nil {
		return err
	}
	if size != file.Size || sum != file.SHA256 {
		return fmt.Errorf("%w: %q has %d bytes with SHA-256 %s, put were %d with %s", store.ErrCorrupt, name, size, sum, file.Size, file.SHA256)
	}
	objects, err := p.List(ctx)
	if err == nil && !slices.Contains(objects, store.Object{Name: name, Size: file.Size}) {
		err = fmt.Errorf("%q is there and not in the list", name)
	}
	return err
}

// absent says in what way the object shows.
func (p *place) absent(ctx context.Context, name string) error {
	r, err := p.Open(ctx, name, 0)
	if err == nil {
		_ = r.Close()
		return fmt.Errorf("%q can be read", name)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	objects, err := p.List(ctx)
	if err == nil && slices.ContainsFunc(objects, func(o store.Object) bool { return o.Name == name }) {
		err = fmt.Errorf("%q is in the list", name)
	}
	return err
}

// remove deletes what a check put. A store that lets us put and not delete may still keep backups.
func (p *place) remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := p.Delete(ctx, name); err != nil && !errors.Is(err, store.ErrDenied) {
			return err
		}
	}
	return nil
}

// is says why err is not the wanted one.
func is(err, want error, what string) error {
	if errors.Is(err, want) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s was accepted", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
