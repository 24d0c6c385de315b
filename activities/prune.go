package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/retention"
	"canton-backup/internal/store"
)

// Prunes deletes the sets that retention releases.
type Prunes struct{ *Host }

// PruneInput asks for a prune of one store.
type PruneInput struct {
	Set    backupset.ID `json:"set,omitempty"`    // the set just made: it must be there, whole, or nothing is pruned
	Target config.Kind  `json:"target,omitempty"` // of PruneRemote
	// KeepOpen leaves what interrupted runs left: the target has not caught up yet, and a later run goes on from there.
	KeepOpen bool `json:"keep_open,omitempty"`
}

// Pruned says what was deleted, and why what stayed, stayed.
type Pruned struct {
	Location string         `json:"location"`
	Removed  []backupset.ID `json:"removed,omitempty"`
	Kept     int            `json:"kept"`
	Swept    []string       `json:"swept,omitempty"`  // leftovers of interrupted runs
	Denied   string         `json:"denied,omitempty"` // the target takes sets from us and forbids us to delete: with which words
}

var errSetNotThere = errors.New("the new set is not whole there, nothing is pruned")

// PruneLocal prunes this host's sets.
func (p *Prunes) PruneLocal(ctx context.Context, in PruneInput) (Pruned, error) {
	return p.prune(ctx, in, func(s config.Settings) (store.Store, error) { return p.Local(s) })
}

// PruneRemote prunes the sets at one target.
func (p *Prunes) PruneRemote(ctx context.Context, in PruneInput) (Pruned, error) {
	return p.prune(ctx, in, func(s config.Settings) (store.Store, error) { return p.target(s, in.Target) })
}

func (p *Prunes) prune(ctx context.Context, in PruneInput, open func(config.Settings) (store.Store, error)) (Pruned, error) {
	var pruned Pruned
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "pruning"} }, func(ctx context.Context) error {
		settings, err := p.settings()
		if err != nil {
			return err
		}
		s, err := open(settings)
		if err != nil {
			return err
		}
		own, err := p.own(ctx, settings, in.Set)
		if err != nil {
			return err
		}
		pruned, err = p.apply(ctx, settings, s, own, in)
		return err
	})
	return pruned, err
}

// own is whose sets a prune may delete: those of the participant whose set was just made, or of the newest one on this host.
func (p *Prunes) own(ctx context.Context, settings config.Settings, made backupset.ID) (catalog.Owner, error) {
	local, err := p.Local(settings)
	if err != nil {
		return catalog.Owner{}, err
	}
	if made == "" {
		return owner(settings).LikeNewest(ctx, local, p.Now())
	}
	m, _, err := catalog.LocalManifest(local.Path(backupset.ManifestName(made)))
	return owner(settings).Like(m), err
}

func (p *Prunes) apply(ctx context.Context, settings config.Settings, s store.Store, own catalog.Owner, in PruneInput) (Pruned, error) {
	pruned := Pruned{Location: s.Location()}
	listing, err := catalog.List(ctx, s, own)
	if err != nil {
		return pruned, err
	}
	if in.Set != "" {
		e, err := listing.Find(string(in.Set), p.Now())
		if err != nil || !e.Own || e.Damage != "" {
			return pruned, fmt.Errorf("prune %s: %w: set %s %s", s.Location(), errSetNotThere, in.Set, e.Damage)
		}
	}
	if err := os.MkdirAll(staging(settings), 0o700); err != nil {
		return pruned, fmt.Errorf("make staging folder: %w", err)
	}
	err = p.release(ctx, settings, s, own, listing, in, &pruned)
	if in.Target != "" && errors.Is(err, store.ErrDenied) && ctx.Err() == nil {
		// A target whose key may write and not delete is a good choice: who takes this host cannot take its backups too. It was just
		// listed, so that the key is not a wrong one.
		pruned.Denied, err = err.Error(), nil
	}
	return pruned, err
}

// release removes what retention lets go, oldest first, then what interrupted runs left.
func (p *Prunes) release(ctx context.Context, settings config.Settings, s store.Store, own catalog.Owner, listing catalog.Listing, in PruneInput, pruned *Pruned) error {
	pruned.Kept = len(listing.Sets)
	for _, id := range retention.Released(PlanPrune(p.Now(), listing, settings.Retention)) {
		e, err := listing.Find(string(id), p.Now())
		if err != nil {
			return err
		}
		err = catalog.Remove(ctx, s, own, e.Manifest, staging(settings))
		if errors.Is(err, catalog.ErrPinned) {
			continue // since the listing
		}
		if err != nil {
			return err
		}
		pruned.Removed = append(pruned.Removed, id)
		pruned.Kept--
	}
	if in.KeepOpen {
		return nil
	}
	var err error
	pruned.Swept, err = catalog.Sweep(ctx, s, own)
	return err
}

// PlanPrune applies the retention settings to a listing. The command line prints the same plan that the activity executes.
func PlanPrune(now time.Time, l catalog.Listing, r config.Retention) []retention.Decision {
	sets := make([]retention.Set, len(l.Sets))
	for i, e := range l.Sets {
		sets[i] = retention.Set{ID: e.Manifest.Set, Own: e.Own, Verdict: e.Manifest.Verdict, Complete: e.Damage == "", Pinned: e.Pinned, Epoch: e.Manifest.Epoch()}
	}
	return retention.Plan(now, sets, retention.Policy{
		MaxAge: time.Duration(r.Days) * 24 * time.Hour, KeepLast: r.KeepLast, KeepDaily: r.KeepDaily, KeepWeekly: r.KeepWeekly, KeepMonthly: r.KeepMonthly,
	})
}
