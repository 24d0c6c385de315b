package activities

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/store"
	"canton-backup/internal/store/dir"
)

// deleteForbidden is a store whose key may write and not delete: 403 from a bucket.
type deleteForbidden struct{ *dir.Store }

func (d *deleteForbidden) Delete(_ context.Context, name string) error {
	return fmt.Errorf("delete %q: %w: HTTP 403", name, store.ErrDenied)
}

// pruner is a host with old sets on it and at a target.
type pruner struct {
	*sealer
	target *dir.Store
	open   store.Store
}

func newPruner(t *testing.T, settings string) *pruner {
	t.Helper()
	p := &pruner{sealer: newSealer(t)}
	require.NoError(t, os.WriteFile(p.host.SettingsFile, []byte("BACKUP_TYPE=r2\nR2_BUCKET=bucket\nR2_ENDPOINT=http://127.0.0.1:1\nR2_ACCESS_KEY=k\nR2_SECRET_KEY=s\n"+
		"NODE_NAME=n\nNETWORK=testnet\n"+settings), 0o600))
	var err error
	p.target, err = dir.New(dir.Config{Path: t.TempDir(), Owner: "n"})
	require.NoError(t, err)
	p.open = p.target
	p.host.Remote = func(config.Settings, config.Kind) (store.Store, error) { return p.open, nil }
	p.env.RegisterActivity(&Prunes{p.host})
	return p
}

// sealed makes a set here and at the target.
func (p *pruner) sealed(age time.Duration) backupset.ID {
	p.t.Helper()
	in := p.staged(time.Now().Add(-age), "PAR::n::1220")
	_, err := p.seal(in)
	require.NoError(p.t, err)
	settings, err := p.host.settings()
	require.NoError(p.t, err)
	path := func(name string) string { return filepath.Join(settings.BackupDir, name) }
	m, file, err := catalog.LocalManifest(path(backupset.ManifestName(in.Set)))
	require.NoError(p.t, err)
	require.NoError(p.t, catalog.Publish(p.t.Context(), p.open, m, path, file, nil))
	return in.Set
}

func (p *pruner) prune(activity any, in PruneInput) (Pruned, error) {
	p.t.Helper()
	value, err := p.env.ExecuteActivity(activity, in)
	if err != nil {
		return Pruned{}, err
	}
	var pruned Pruned
	require.NoError(p.t, value.Get(&pruned))
	return pruned, nil
}

func (p *pruner) at(s store.Store) []catalog.Entry {
	p.t.Helper()
	l, err := catalog.List(p.t.Context(), s, catalog.Owner{Node: "n", Network: "testnet"})
	require.NoError(p.t, err)
	return l.Sets
}

const pruneOld = "RETENTION_DAYS=1\nKEEP_LAST=1\n"

// The key of a target may write and not delete: nothing is wrong with the backup, and the operator is told that old sets stay.
func TestPrune_WhereDeletingIsDenied(t *testing.T) {
	var prunes *Prunes
	p := newPruner(t, pruneOld)
	p.open = &deleteForbidden{p.target}
	p.sealed(80 * time.Hour)
	made := p.sealed(time.Hour)
	pruned, err := p.prune(prunes.PruneRemote, PruneInput{Set: made, Target: config.R2})
	require.NoError(t, err)
	require.Contains(t, pruned.Denied, "HTTP 403")
	require.Empty(t, pruned.Removed)
	require.Equal(t, 2, pruned.Kept)
	for _, e := range p.at(p.target) {
		require.Empty(t, e.Damage)
	}

	// A second run, and one with nothing to release, say it again: leftovers cannot go either.
	pruned, err = p.prune(prunes.PruneRemote, PruneInput{Set: made, Target: config.R2})
	require.NoError(t, err)
	require.NotEmpty(t, pruned.Denied)

	// The same key with the right: the same sets go, and what the denied runs left goes with them.
	p.open = p.target
	pruned, err = p.prune(prunes.PruneRemote, PruneInput{Set: made, Target: config.R2})
	require.NoError(t, err)
	require.Empty(t, pruned.Denied)
	require.Len(t, pruned.Removed, 1)
	require.Len(t, p.at(p.target), 1)
}

// On this host a denial is a fault: nobody means it.
func TestPrune_DeniedHereIsAFailure(t *testing.T) {
	var prunes *Prunes
	p := newPruner(t, pruneOld)
	p.sealed(80 * time.Hour)
	made := p.sealed(time.Hour)
	local := p.host.Local
	p.host.Local = func(c config.Settings) (LocalStore, error) {
		s, err := local(c)
		return &localForbidden{s}, err
	}
	_, err := p.prune(prunes.PruneLocal, PruneInput{Set: made})
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.Equal(t, AuthDenied, failure.Type())
}

type localForbidden struct{ LocalStore }

func (d *localForbidden) Delete(_ context.Context, name string) error {
	return fmt.Errorf("delete %q: %w", name, store.ErrDenied)
}

// A key that may not even list is a wrong key.
func TestPrune_WrongKeyIsAFailure(t *testing.T) {
	var prunes *Prunes
	p := newPruner(t, pruneOld)
	made := p.sealed(time.Hour)
	p.open = &listForbidden{p.target}
	_, err := p.prune(prunes.PruneRemote, PruneInput{Set: made, Target: config.R2})
	require.Error(t, err)
}

type listForbidden struct{ *dir.Store }

func (d *listForbidden) List(context.Context) ([]store.Object, error) {
	return nil, fmt.Errorf("list: %w", store.ErrDenied)
}

// A pin keeps its set in its own store, a pin that came after the listing too.
func TestPrune_SparesPinned(t *testing.T) {
	var prunes *Prunes
	p := newPruner(t, pruneOld)
	first, second, third := p.sealed(90*time.Hour), p.sealed(85*time.Hour), p.sealed(80*time.Hour)
	made := p.sealed(time.Hour)
	own := catalog.Owner{Node: "n", Network: "testnet"}
	pin := func(id backupset.ID) {
		for _, e := range p.at(p.target) {
			if e.Manifest.Set == id {
				require.NoError(t, catalog.Pin(t.Context(), p.target, own, e.Manifest, "asked for", time.Now(), t.TempDir()))
			}
		}
	}
	pin(first)
	p.open = &afterListing{Store: p.target, then: func() { pin(second) }}
	pruned, err := p.prune(prunes.PruneRemote, PruneInput{Set: made, Target: config.R2})
	require.NoError(t, err)
	require.Equal(t, []backupset.ID{third}, pruned.Removed)
	require.Equal(t, 3, pruned.Kept)
	require.Len(t, p.at(p.target), 3)

	pruned, err = p.prune(prunes.PruneLocal, PruneInput{Set: made})
	require.NoError(t, err)
	require.Equal(t, []backupset.ID{first, second, third}, pruned.Removed, "the pins are at the target")
}

// afterListing is a store to which something happens after its first listing.
type afterListing struct {
	*dir.Store
	then func()
}

func (a *afterListing) List(ctx context.Context) ([]store.Object, error) {
	objects, err := a.Store.List(ctx)
	if then := a.then; then != nil {
		a.then = nil
		then()
	}
	return objects, err
}

// Every key of the policy reaches the plan, and so does what the manifests tell of the synchronizer.
func TestPlanPrune_ObeysEveryKey(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	listing := func(epoch func(days int) string) catalog.Listing {
		var l catalog.Listing
		for days := range 400 {
			m := backupset.Manifest{Set: backupset.NewID(now.AddDate(0, 0, -days)), Verdict: backupset.Pass}
			if id := epoch(days); id != "" {
				m.Components = []backupset.Component{{Role: backupset.Participant, ParticipantEvidence: &backupset.ParticipantEvidence{Synchronizers: []string{id}}}}
			}
			l.Sets = append(l.Sets, catalog.Entry{Manifest: m, Own: true})
		}
		return l
	}
	untold := func(int) string { return "" }
	upgraded := func(days int) string { return fmt.Sprintf("global-domain::1220::35-%d", 4-days/150) }
	for name, c := range map[string]struct {
		policy config.Retention
		epoch  func(int) string
		stay   int
	}{
		"none":    {config.Retention{Days: 1, KeepLast: 1}, untold, 2},
		"last":    {config.Retention{Days: 1, KeepLast: 5}, untold, 5},
		"daily":   {config.Retention{Days: 1, KeepLast: 1, KeepDaily: 7}, untold, 7},
		"weekly":  {config.Retention{Days: 1, KeepLast: 1, KeepWeekly: 4}, untold, 4}, // the second week ends with the Sunday that is one day old
		"monthly": {config.Retention{Days: 1, KeepLast: 1, KeepMonthly: 12}, untold, 13},
		"epochs":  {config.Retention{Days: 1, KeepLast: 1}, upgraded, 4},
	} {
		t.Run(name, func(t *testing.T) {
			stay := 0
			for _, d := range PlanPrune(now, listing(c.epoch), c.policy) {
				if d.Keep {
					stay++
				}
			}
			require.Equal(t, c.stay, stay)
		})
	}
}
