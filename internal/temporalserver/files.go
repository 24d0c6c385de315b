package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	sqliteschema "go.temporal.io/server/schema/sqlite"
)

// action is what one of the two files needs before the server may open it.
type action int

const (
	keep     action = iota // sound and of our version
	create                 // not there
	upgrade                // written by an older release
	setAside               // damaged
)

// finding is the state of one file.
type finding struct {
	path    string
	action  action
	version string // of the file, for upgrade
	cause   error  // for setAside
}

// prepareFiles makes both files fit for this server and returns what an operator should know about it. Both are looked
// at before either is changed, so a refusal (ErrNewer) leaves the folder as it was.
func prepareFiles(ctx context.Context, dir string, now time.Time) ([]string, error) {
	history, err := inspect(ctx, filepath.Join(dir, historyName), historyState)
	if err != nil {
		return nil, err
	}
	visibility, err := inspect(ctx, filepath.Join(dir, visibilityName), visibilityState)
	if err != nil {
		return nil, err
	}
	stamp := now.UTC().Format("20060102_150405")
	notices, err := prepareHistory(ctx, &history, stamp)
	if err != nil {
		return nil, err
	}
	if history.action == create && visibility.action != create {
		// A new history begins with a new namespace id; the old list would show runs that nothing can open or delete.
		visibility.action, visibility.cause = setAside, errors.New("its history is gone")
	}
	more, err := prepareVisibility(ctx, &visibility, stamp)
	if err != nil {
		return nil, err
	}
	return append(notices, more...), nil
}

// inspect opens path, checks it and asks state what its version calls for.
func inspect(ctx context.Context, path string, state func(context.Context, *database) (action, string, error)) (finding, error) {
	f := finding{path: path}
	there, err := exists(path)
	if err != nil {
		return f, fmt.Errorf("look for %s: %w", path, err)
	}
	if !there {
		f.action = create
		return f, nil
	}
	if err := protect(path); err != nil {
		return f, err
	}
	db, err := openDatabase(path, "rw")
	if err != nil {
		return f, err
	}
	defer func() { _ = db.Close() }()
	err = db.check(ctx)
	if err == nil {
		f.action, f.version, err = state(ctx, db)
	}
	if errors.Is(err, errBroken) {
		f.action, f.cause = setAside, err
		return f, nil
	}
	return f, err
}

func historyState(ctx context.Context, db *database) (action, string, error) {
	version, err := historyVersion(ctx, db)
	if err != nil {
		return keep, "", err
	}
	order, err := compareVersions(version, sqliteschema.Version)
	switch {
	case err != nil:
		return keep, version, fmt.Errorf("%w: %w", errBroken, err)
	case order > 0:
		return keep, version, &NewerError{File: db.path, Version: version, Ours: sqliteschema.Version}
	case order < 0:
		return upgrade, version, nil
	}
	return keep, version, nil
}

func visibilityState(ctx context.Context, db *database) (action, string, error) {
	theirs, err := readVisibilityOrigin(ctx, db)
	if err != nil {
		return keep, "", err
	}
	ours, _, err := ourVisibility()
	if err != nil {
		return keep, "", err
	}
	if theirs.Hash == ours.Hash {
		return keep, theirs.Server, nil
	}
	order, err := compareVersions(theirs.Server, ours.Server)
	if err != nil {
		return keep, theirs.Server, fmt.Errorf("%w: %w", errBroken, err)
	}
	if order > 0 {
		return keep, theirs.Server, &NewerError{File: db.path, Version: theirs.Server, Ours: ours.Server}
	}
	return upgrade, theirs.Server, nil
}

// prepareHistory carries out f.action. It turns f.action into create when the file had to be set aside.
func prepareHistory(ctx context.Context, f *finding, stamp string) (notices []string, err error) {
	if f.action == upgrade {
		var kept string
		if kept, f.cause = upgradeFile(ctx, f, stamp, migrateHistory); f.cause == nil {
			return []string{fmt.Sprintf("temporal history %s: migrated from schema %s to %s, the old file is kept as %s",
				f.path, f.version, sqliteschema.Version, kept)}, nil
		}
		if !errors.Is(f.cause, errBroken) {
			return nil, f.cause
		}
		f.action = setAside
	}
	if f.action == setAside {
		notice, err := moveAside(f, stamp, "past runs are not shown and runs that were under way are lost")
		if err != nil {
			return nil, err
		}
		notices, f.action = append(notices, notice), create
	}
	if f.action == create {
		return notices, createHistory(ctx, f.path)
	}
	return notices, nil
}

func prepareVisibility(ctx context.Context, f *finding, stamp string) (notices []string, err error) {
	if f.action == upgrade {
		var kept string
		if kept, f.cause = upgradeFile(ctx, f, stamp, rebuildVisibility); f.cause == nil {
			return []string{fmt.Sprintf("temporal run list %s: rebuilt, it was written by server %s, the old file is kept as %s",
				f.path, f.version, kept)}, nil
		}
		if !errors.Is(f.cause, errBroken) {
			return nil, f.cause
		}
		f.action = setAside
	}
	if f.action == setAside {
		notice, err := moveAside(f, stamp, "past runs and schedules are missing from lists until they change")
		if err != nil {
			return nil, err
		}
		notices, f.action = append(notices, notice), create
	}
	if f.action == create {
		return notices, createVisibility(ctx, f.path)
	}
	return notices, nil
}

// upgradeFile copies the file aside, then lets change work on it.
func upgradeFile(ctx context.Context, f *finding, stamp string, change func(context.Context, string) error) (kept string, err error) {
	kept = f.path + ".before-" + stamp
	db, err := openDatabase(f.path, "rw")
	if err != nil {
		return "", err
	}
	// Settled, the file is whole without its log and can be replaced by a rename.
	err = errors.Join(db.copyTo(ctx, kept), db.settle(ctx), db.Close())
	if err != nil {
		return "", err
	}
	return kept, change(ctx, f.path)
}

// moveAside keeps a damaged file for whoever can read more out of it than we do.
func moveAside(f *finding, stamp, loss string) (notice string, err error) {
	aside := f.path + ".damaged-" + stamp
	if err := rename(f.path, aside); err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	return fmt.Sprintf("temporal file %s could not be used (%v): set aside as %s and a fresh one was made; "+
		"%s, backups go on", f.path, f.cause, aside, loss), nil
}
