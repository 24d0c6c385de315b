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
	if err := s.enter(); err != nil {
		return store.Scratch{}, fmt.Errorf("open scratch folder: %w", typed(err))
	}
	cfg := s.cfg
	cfg.Path, cfg.Foreign = s.Path(store.ScratchName(cfg.Owner, tag)), false
	scratch, err := New(cfg)
	if err != nil {
		return store.Scratch{}, err
	}
	return store.Scratch{Store: scratch, Size: 3 * step, Remove: scratch.removeAll}, nil
}

// removeAll removes the files of the store, then the folder.
func (s *Store) removeAll(ctx context.Context) error {
	var names []string
	err := s.each(ctx, func(name string, _ int64) { names = append(names, name) })
	for _, name := range names {
		err = errors.Join(err, s.remove(name))
	}
	if gone := os.Remove(s.cfg.Path); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", s.cfg.Path, typed(err))
	}
	return nil
}
