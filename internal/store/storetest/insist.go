package storetest

import (
	"context"
	"errors"
	"io"
	"slices"

	"canton-backup/internal/store"
)

// attempts of one call on a bad line.
const attempts = 30

// Insist repeats what a bad line made fail, as a run does it with its steps. An answer of the store is one: it is not asked for again.
func Insist(s store.Store) store.Store {
	if batch, can := s.(store.Batch); can {
		return &insistingBatch{insisting{s}, batch}
	}
	return &insisting{s}
}

type insisting struct{ store.Store }

type insistingBatch struct {
	insisting
	batch store.Batch
}

var answers = []error{
	store.ErrNotFound, store.ErrExists, store.ErrCorrupt, store.ErrDenied, store.ErrHostKey, store.ErrFull, store.ErrNoBucket, store.ErrRefused,
	context.Canceled, context.DeadlineExceeded,
}

func insist(call func() error) (err error) {
	for range attempts {
		if err = call(); err == nil || slices.ContainsFunc(answers, func(known error) bool { return errors.Is(err, known) }) {
			return err
		}
	}
	return err
}

func (s *insisting) Check(ctx context.Context) error {
	return insist(func() error { return s.Store.Check(ctx) })
}

// Put keeps progress from going back at the next try.
func (s *insisting) Put(ctx context.Context, name string, file store.File, progress func(int64)) error {
	last := int64(-1)
	return insist(func() error {
		return s.Store.Put(ctx, name, file, func(n int64) {
			if n > last && progress != nil {
				last = n
				progress(n)
			}
		})
	})
}

func (s *insisting) Open(ctx context.Context, name string, offset int64) (r io.ReadCloser, err error) {
	err = insist(func() error { r, err = s.Store.Open(ctx, name, offset); return err })
	return r, err
}

func (s *insisting) List(ctx context.Context) (all []store.Object, err error) {
	err = insist(func() error { all, err = s.Store.List(ctx); return err })
	return all, err
}

func (s *insisting) Delete(ctx context.Context, name string) error {
	return insist(func() error { return s.Store.Delete(ctx, name) })
}

func (s *insisting) Sweep(ctx context.Context) (names []string, err error) {
	err = insist(func() error { names, err = s.Store.Sweep(ctx); return err })
	return names, err
}

func (s *insisting) Scratch(tag string) (store.Scratch, error) {
	scratch, err := s.Store.Scratch(tag)
	if err != nil {
		return scratch, err
	}
	scratch.Store = Insist(scratch.Store)
	remove := scratch.Remove
	scratch.Remove = func(ctx context.Context) error { return insist(func() error { return remove(ctx) }) }
	return scratch, nil
}

func (s *insistingBatch) ReadAll(ctx context.Context, names []string, limit int64) (all map[string][]byte, err error) {
	err = insist(func() error { all, err = s.batch.ReadAll(ctx, names, limit); return err })
	return all, err
}
