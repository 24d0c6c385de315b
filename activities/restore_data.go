package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/postgres"
	"canton-backup/internal/restore"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// RestoreStep is the input of every step behind the plan.
type RestoreStep struct {
	Plan RestorePlan `json:"plan"`
}

// Fetch brings the set's dumps to this host and digests them, before anything of the node is touched. A fetch that was cut goes on where
// it stopped. A set on this host is digested where it lies.
func (r *Restores) Fetch(ctx context.Context, in RestoreStep) error {
	var done, total atomic.Int64
	progress := func() Progress {
		return Progress{Phase: "fetching from " + in.Plan.Location, Bytes: done.Load(), Total: total.Load()}
	}
	return withHeartbeat(ctx, progress, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		for _, h := range in.Plan.Halves {
			total.Add(h.Component.Size)
		}
		local, err := r.Local(settings)
		if err != nil {
			return err
		}
		var source store.Store = local
		if in.Plan.From != Local {
			if source, err = r.target(settings, config.Kind(in.Plan.From)); err != nil {
				return err
			}
		}
		for _, h := range in.Plan.Halves {
			if err := r.opens(ctx, settings, string(in.Plan.Request.Stamp), source, h.Component); err != nil {
				return fmt.Errorf("fetch set %s: %w", in.Plan.Set, err)
			}
		}
		if in.Plan.From == Local {
			for _, h := range in.Plan.Halves {
				if err := digested(ctx, local.Path(h.Component.File), h.Component, &done); err != nil {
					return err
				}
			}
			return nil
		}
		if _, err := CheckSpace(ctx, local, total.Load()); err != nil {
			return fmt.Errorf("fetch set %s: %w", in.Plan.Set, err)
		}
		folder := filepath.Join(restoring(settings), string(in.Plan.Set))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("fetch set %s: %w", in.Plan.Set, err)
		}
		for _, h := range in.Plan.Halves {
			if err := fetch(ctx, source, h.Component, filepath.Join(folder, h.Component.File), &done); err != nil {
				return fmt.Errorf("fetch set %s from %s: %w", in.Plan.Set, source.Location(), err)
			}
		}
		return nil
	})
}

// fetch copies one object to path, going on with what an earlier attempt left. What does not have the manifest's digest is thrown away and
// fetched once more: the line, or the beginning that lay here, may have been at fault.
func fetch(ctx context.Context, source store.Store, c backupset.Component, path string, done *atomic.Int64) error {
	err := fetchOnce(ctx, source, c, path, done)
	if errors.Is(err, seal.ErrDiffers) {
		done.Add(-c.Size)
		err = fetchOnce(ctx, source, c, path, done)
	}
	return err
}

func fetchOnce(ctx context.Context, source store.Store, c backupset.Component, path string, done *atomic.Int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	has, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if has > c.Size {
		has = 0
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	if has < c.Size {
		object, err := source.Open(ctx, c.File, has)
		if err != nil {
			return err
		}
		defer object.Close()
		if _, err := f.Seek(has, io.SeekStart); err != nil {
			return err
		}
		done.Add(has)
		if _, err := io.Copy(counted{f, done}, io.LimitReader(object, c.Size-has)); err != nil {
			return fmt.Errorf("read %s: %w", c.File, err)
		}
		if err := f.Sync(); err != nil {
			return err
		}
		done.Add(-c.Size)
	}
	if err := digested(ctx, path, c, done); err != nil {
		if errors.Is(err, seal.ErrDiffers) {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	return nil
}

type counted struct {
	to   io.Writer
	done *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.done.Add(int64(n))
	return n, err
}

// digested proves that a file is the one of the manifest.
func digested(ctx context.Context, path string, c backupset.Component, done *atomic.Int64) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.File, err)
	}
	defer f.Close()
	sum, size, err := store.Digest(ctx, io.TeeReader(f, counted{io.Discard, done}))
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.File, err)
	}
	if sum != c.SHA256 || size != c.Size {
		return fmt.Errorf("verify %s: %w: it has %d bytes with SHA-256 %s, the manifest says %d with %s", c.File, seal.ErrDiffers, size, sum, c.Size, c.SHA256)
	}
	return nil
}

// fetched is where Fetch left a dump.
func (r *Restores) fetched(s config.Settings, p RestorePlan, c backupset.Component) (string, error) {
	if p.From != Local {
		return filepath.Join(restoring(s), string(p.Set), c.File), nil
	}
	local, err := r.Local(s)
	if err != nil {
		return "", err
	}
	return local.Path(c.File), nil
}

// LoadInput asks for one half to be loaded.
type LoadInput struct {
	Plan RestorePlan    `json:"plan"`
	Role backupset.Role `json:"role"`
}

// Load makes a new database beside the live one and loads the dump into it. A repeated Load begins anew.
func (r *Restores) Load(ctx context.Context, in LoadInput) error {
	half, err := in.Plan.half(in.Role)
	if err != nil {
		return mapped(ctx, err)
	}
	var read atomic.Int64
	progress := func() Progress {
		return Progress{Phase: "loading " + half.Loading, Bytes: read.Load(), Total: half.Component.Size}
	}
	return withHeartbeat(ctx, progress, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		path, err := r.fetched(settings, in.Plan, half.Component)
		if err != nil {
			return err
		}
		key, err := r.key(settings, string(in.Plan.Request.Stamp), half.Component)
		if err != nil {
			return err
		}
		return r.onServer(ctx, settings, in.Plan, func(server *postgres.Server, console *postgres.Console) error {
			all, err := console.Databases(ctx)
			if err != nil {
				return err
			}
			if err := console.Drop(ctx, half.Loading); err != nil {
				return err
			}
			if err := console.EnsureRoles(ctx, in.Plan.Roles); err != nil {
				return err
			}
			if err := console.Create(ctx, half.Loading, all[half.Live].Locale); err != nil {
				return err
			}
			return loadFile(ctx, server, path, key, half, string(in.Plan.Request.Stamp), &read, true)
		})
	})
}

// loadFile loads a dump into an empty database of the server, then gathers the planner's statistics if analyze.
func loadFile(ctx context.Context, server *postgres.Server, path string, key *encryption.Key, h Half, app string, read *atomic.Int64,
	analyze bool) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load %s: %w", h.Component.File, err)
	}
	defer file.Close()
	text, err := seal.Decode(ctx, io.TeeReader(file, counted{io.Discard, read}), h.Component, key)
	if err != nil {
		return fmt.Errorf("load %s: %w", h.Component.File, err)
	}
	defer text.Close()
	ctx, done := sparing(ctx, "load "+h.Component.File, func() (disk, bool) { return diskNear(server.Data) })
	defer done()
	defer func() {
		if cause := context.Cause(ctx); errors.Is(cause, store.ErrFull) {
			err = cause // whatever broke because of it
		}
	}()
	loader, err := server.Console(ctx, h.Loading, app+" load", postgres.LoadParameters()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loader.Close()) }()
	err = loader.Load(ctx, text)
	if errors.Is(err, postgres.ErrTruncated) {
		err = fmt.Errorf("%w: %w", errFileTruncated, err)
	}
	if err != nil {
		return fmt.Errorf("load %s into %q: %w", h.Component.File, h.Loading, err)
	}
	if !analyze {
		return nil
	}
	return loader.Analyze(ctx)
}

func (p RestorePlan) half(role backupset.Role) (Half, error) {
	for _, h := range p.Halves {
		if h.Component.Role == role {
			return h, nil
		}
	}
	return Half{}, fmt.Errorf("find half: %w: the plan has no %s", errBadRequest, role)
}

// onServer runs work with a console of the running server, after strays of killed workers were removed.
func (r *Restores) onServer(ctx context.Context, s config.Settings, p RestorePlan, work func(*postgres.Server, *postgres.Console) error) (err error) {
	if _, err := r.Docker.RemoveHelpers(ctx, s.Node.Name); err != nil {
		return err
	}
	node, err := canton.Find(ctx, r.Docker, canton.Query{Project: p.Bundle.Project})
	if err != nil {
		return err
	}
	server := node.Server(r.Docker, s.Node.Name, filepath.Join(restoring(s), "run"))
	console, err := server.Console(ctx, "postgres", string(p.Request.Stamp)+" restore")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, console.Close()) }()
	if _, err := console.EndStrays(ctx); err != nil {
		return err
	}
	return work(server, console)
}

// Restored is what Check found.
type Restored struct {
	Checks []backupset.Check `json:"checks"`
	After  []string          `json:"after,omitempty"` // what the old databases have and the restored ones do not
}

// Check proves on the loaded databases what was proven at the backup, and that they say what the manifest recorded.
func (r *Restores) Check(ctx context.Context, in RestoreStep) (Restored, error) {
	var restored Restored
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "checking the loaded databases"} }, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		return r.onServer(ctx, settings, in.Plan, func(server *postgres.Server, console *postgres.Console) error {
			restored, err = r.check(ctx, server, console, in.Plan)
			return err
		})
	})
	return restored, err
}

func (r *Restores) check(ctx context.Context, server *postgres.Server, console *postgres.Console, p RestorePlan) (Restored, error) {
	loaded := map[backupset.Role]backupset.Component{}
	for _, h := range p.Halves {
		c, err := evidenceOf(ctx, server, h.Loading, h.Component)
		if err != nil {
			return Restored{}, err
		}
		if err := sameAsDumped(h.Component, c); err != nil {
			return Restored{}, fmt.Errorf("check %q: %w", h.Loading, err)
		}
		loaded[h.Component.Role] = c
	}
	if p.Request.Only != "" { // the other half stays what it is
		other := backupset.Component{Role: backupset.Validator, Database: p.Other}
		if p.Request.Only == backupset.Validator {
			other.Role = backupset.Participant
		}
		c, err := evidenceOf(ctx, server, other.Database, other)
		if err != nil {
			return Restored{}, err
		}
		loaded[other.Role] = c
	}
	checks, verdict := backupset.ProveRestored(loaded[backupset.Validator], loaded[backupset.Participant])
	// The set's own verdict went through the gate; a pair that this restore makes of an old half and a new one has none yet.
	if verdict == backupset.Fail || verdict != backupset.Pass && p.Request.Only != "" && !slices.Contains(p.Request.Override, restore.GatePair) {
		return Restored{}, fmt.Errorf("check restored databases: %w: %s", errPairBroken, backupset.Unproven(checks))
	}
	after, err := r.lost(ctx, server, console, p)
	return Restored{Checks: checks, After: after}, err
}

// sameAsDumped proves that a restored database tells what was recorded when it was dumped.
func sameAsDumped(recorded, restored backupset.Component) error {
	if keys := backupset.SameKeys(recorded, restored); keys != "" {
		return fmt.Errorf("%w: %s", errKeysDiffer, keys)
	}
	if other := backupset.SameEvidence(recorded, restored); other != "" {
		return fmt.Errorf("%w: %s", errRestoreDiffers, other)
	}
	return nil
}

// evidenceOf reads the evidence of a component from a database.
func evidenceOf(ctx context.Context, server *postgres.Server, database string, c backupset.Component) (_ backupset.Component, err error) {
	session, err := server.Open(ctx, database, "check")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	c.ValidatorEvidence, c.ParticipantEvidence = nil, nil
	if c.Role == backupset.Validator {
		c.ValidatorEvidence, err = canton.ReadValidator(ctx, session)
	} else {
		c.ParticipantEvidence, err = canton.ReadParticipant(ctx, session)
	}
	return c, err
}

// lost compares the old participant database with the restored one: what was set up since the set was made, and is to be done again. An old
// database that cannot be read any more tells nothing.
func (r *Restores) lost(ctx context.Context, server *postgres.Server, console *postgres.Console, p RestorePlan) ([]string, error) {
	half, err := p.half(backupset.Participant)
	if err != nil {
		return nil, nil // only the validator is restored
	}
	all, err := console.Databases(ctx)
	if err != nil {
		return nil, err
	}
	if !all[half.Live].Connect {
		return nil, nil
	}
	var lines []string
	for _, kind := range canton.Configuration {
		before, err := list(ctx, server, half.Live, kind.Query)
		if err != nil {
			continue
		}
		now, err := list(ctx, server, half.Loading, kind.Query)
		if err != nil {
			return nil, err
		}
		for name := range before {
			if !now[name] {
				lines = append(lines, fmt.Sprintf("%s is not in the restored database: %s", kind.What, name))
			}
		}
	}
	slices.Sort(lines)
	return lines, ctx.Err()
}

// list reads a column of texts from a database.
func list(ctx context.Context, server *postgres.Server, database, query string) (_ map[string]bool, err error) {
	session, err := server.Open(ctx, database, "compare")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	var texts []string
	if err := session.TryJSON(ctx, "SELECT coalesce(json_agg(x), '[]') FROM ("+query+") q(x)", &texts); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, t := range texts {
		found[t] = true
	}
	return found, nil
}
