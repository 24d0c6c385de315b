package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"canton-backup/internal/store"
)

// Scratch implements store.Store: a folder in the folder.
func (s *Store) Scratch(tag string) (store.Scratch, error) {
	scratch, err := s.scratch(tag)
	if err != nil {
		return store.Scratch{}, err
	}
	return store.Scratch{Store: scratch, Size: 3 * step, Remove: scratch.removeAll}, nil
}

func (s *Store) scratch(tag string) (*Store, error) {
	if err := s.enter(); err != nil {
		return nil, fmt.Errorf("open scratch folder: %w", typed(err))
	}
	cfg := s.cfg
	cfg.Path = s.Path(store.ScratchName(cfg.Owner, tag))
	return New(cfg)
}

// removeAll removes the files of the store, then the folder.
func (s *Store) removeAll(ctx context.Context) error {
	var names []string
	err := s.each(ctx, func(name string, _ int64) { names = append(names, name) })
	for _, name := range names {
		if ctx.Err() == nil {
			err = errors.Join(err, s.remove(name))
		}
	}
	if err = errors.Join(err, ctx.Err()); err == nil {
		if err = os.Remove(s.cfg.Path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", s.cfg.Path, typed(err))
	}
	return nil
}
