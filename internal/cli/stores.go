package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"canton-backup/internal/app"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/health"
)

// places opens this host's store and every target, or only the named one.
func places(s config.Settings, only string) ([]health.Store, error) {
	var found []health.Store
	all, errs := app.Stores(s)
	for i, one := range all {
		if only != "" && only != one.Name {
			continue
		}
		if errs[i] != nil {
			return nil, errs[i]
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return nil, &exitError{ExitUsage, fmt.Errorf("no store %q in the settings: use local or one of BACKUP_TYPE", only)}
	}
	return found, nil
}

// mine is whose sets a prune by hand may delete, see catalog.Owner. The error says why that cannot be told; the owner returned beside
// it goes by the node's name alone.
func mine(ctx context.Context, s config.Settings) (catalog.Owner, error) {
	own := catalog.Owner{Node: s.Node.Name, Network: s.Node.Network}
	local, err := app.LocalStore(s)
	if err != nil {
		return own, err
	}
	return own.LikeNewest(ctx, local, time.Now())
}

// newest is the set that "latest" stands for: the newest of this node in any store. A store that has not got it must not pass its
// own newest off as that.
func newest(all []health.Shelf, now time.Time) (id string, found bool) {
	for _, shelf := range all {
		if e, err := shelf.Listing.Find(catalog.Latest, now); err == nil && string(e.Manifest.Set) > id {
			id, found = string(e.Manifest.Set), true
		}
	}
	return id, found
}

// shelves reads the catalogs of all places. The error joins those of places that cannot be read; the others are still returned.
func shelves(ctx context.Context, s config.Settings, only string) ([]health.Shelf, error) {
	opened, err := places(s, only)
	if err != nil {
		return nil, err
	}
	own, _ := mine(ctx, s) // on a host without a set of its own, the node's name alone tells
	var all []health.Shelf
	var errs []error
	for _, p := range opened {
		shelf := health.Look(ctx, p, own, time.Now())
		all = append(all, shelf)
		errs = append(errs, shelf.Err)
	}
	return all, errors.Join(errs...)
}
