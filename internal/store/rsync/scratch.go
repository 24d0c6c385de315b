package rsync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"canton-backup/internal/store"
)

// Scratch is slow enough for a Put to be interrupted on any line.
const (
	scratchLimit = 4 << 20 // bytes a second
	scratchSize  = 6 << 20
)

// Scratch implements store.Store: a folder in the folder.
func (s *Store) Scratch(tag string) (store.Scratch, error) {
	cfg := s.cfg
	cfg.Path = strings.TrimSuffix(cfg.Path, "/") + "/" + store.ScratchName(cfg.Owner, tag)
	if cfg.Limit == 0 || cfg.Limit > scratchLimit {
		cfg.Limit = scratchLimit
	}
	scratch, err := New(cfg)
	if err != nil {
		return store.Scratch{}, err
	}
	return store.Scratch{Store: scratch, Size: scratchSize, Remove: scratch.removeAll}, nil
}

// removeAll removes the files of the store, then the folder.
func (s *Store) removeAll(ctx context.Context) error {
	all, err := s.files(ctx)
	if err != nil {
		return fmt.Errorf("remove %s: %w", s.Location(), err)
	}
	var script strings.Builder
	script.WriteString(s.enter())
	for _, o := range all {
		fmt.Fprintf(&script, "rm -f -- %s || exit\n", local(o.Name))
	}
	script.WriteString("cd .. && rmdir -- \"$d\" || exit\n")
	if _, err := s.run(ctx, script.String(), 0); err != nil && !errors.Is(err, errNoFolder) {
		return fmt.Errorf("remove %s: %w", s.Location(), err)
	}
	return nil
}
