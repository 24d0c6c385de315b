package s3

import (
	"context"
	"errors"
	"fmt"

	"canton-backup/internal/store"
)

// Scratch implements store.Store: a folder below the prefix. Nothing in it is locked, so that it can be removed.
func (s *Store) Scratch(tag string) (store.Scratch, error) {
	cfg := s.cfg
	cfg.Prefix += store.ScratchName(cfg.Owner, tag)
	cfg.PartSize, cfg.LockFor = minPartSize, 0
	scratch, err := New(cfg)
	if err != nil {
		return store.Scratch{}, err
	}
	return store.Scratch{Store: scratch, Size: 2*minPartSize + 1, Remove: scratch.removeAll}, nil
}

// removeAll ends unfinished uploads and removes every object of the store.
func (s *Store) removeAll(ctx context.Context) error {
	_, err := s.Sweep(ctx)
	var names []string
	listed := s.each(ctx, "", func(name string, _ int64) { names = append(names, name) })
	err = errors.Join(err, typed(ctx, listed))
	for _, name := range names {
		if gone := s.remove(ctx, name); gone != nil {
			return errors.Join(err, fmt.Errorf("remove %s: %w", s.Location(), typed(ctx, gone)))
		}
	}
	return err
}
