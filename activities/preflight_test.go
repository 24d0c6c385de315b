package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/config"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

// lookedAt is a target whose Check is ours.
type lookedAt struct {
	store.Store
	check func() error
}

func (l *lookedAt) Check(context.Context) error { return l.check() }

func TestPreflight_DeadTargetIsAWarning(t *testing.T) {
	folder, err := dir.New(dir.Config{Path: t.TempDir(), Owner: "n"})
	require.NoError(t, err)
	n := &Node{&Host{Remote: func(_ config.Settings, kind config.Kind) (store.Store, error) {
		if kind == config.Dir { // a share whose server is gone: the kernel listens to no context
			return &lookedAt{folder, func() error { select {} }}, nil
		}
		return &lookedAt{folder, func() error { return nil }}, nil
	}}}
	var plan Plan
	require.NoError(t, n.look(t.Context(), config.Settings{Targets: []config.Kind{config.Dir, config.R2}}, 50*time.Millisecond, &plan))
	require.Len(t, plan.Targets, 2, "Upload tries it all the same")
	require.Equal(t, []string{folder.Location() + " does not answer: no word of it within 50ms"}, plan.Warnings)

	// An operator who ends the run is not told about targets.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	plan = Plan{}
	require.NoError(t, n.look(ctx, config.Settings{Targets: []config.Kind{config.Dir}}, time.Hour, &plan))
	require.Empty(t, plan.Warnings)
}
