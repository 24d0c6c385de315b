package activities

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"canton-backup/internal/backupset"
	"canton-backup/internal/bundle"
	"canton-backup/internal/canton"
	"canton-backup/internal/config"
	"canton-backup/internal/postgres"
	"canton-backup/internal/restore"
	"canton-backup/internal/store"
)

// RollbackRequest asks to take a restore back.
type RollbackRequest struct {
	Stamp backupset.ID `json:"stamp"`        // of the rollback: names what it puts aside
	Of    backupset.ID `json:"of,omitempty"` // stamp of the restore; empty: the newest whose old databases are still there

	StartArgs []string `json:"start_args,omitempty"` // of start.sh, instead of those that the node runs with
}

// PlanRollback finds the databases that a restore put aside. The plan's halves are those that take the live names again.
func (r *Restores) PlanRollback(ctx context.Context, in RollbackRequest) (RestorePlan, error) {
	plan := RestorePlan{Request: RestoreRequest{Stamp: in.Stamp}}
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "planning"} }, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		node, err := canton.Find(ctx, r.Docker, NodeQuery(settings))
		if err != nil {
			return err
		}
		facts := node.Facts()
		plan.Bundle = bundle.Bundle{Dir: facts.WorkingDir, Project: facts.Project}
		plan.Running = node.Participant != nil && node.Participant.Running
		if err := plan.Bundle.Check(); err != nil {
			return err
		}
		kept, participant, err := KeptDatabases(ctx, r.Host, settings)
		if err != nil {
			return err
		}
		plan.Was = canton.LaunchOf(facts, participant, fallback(settings))
		plan.Will, plan.StartArgs = plan.Was, in.StartArgs
		if len(in.StartArgs) == 0 {
			plan.StartArgs = plan.Was.Arguments()
			if !plan.Running || len(plan.Was.Lost) > 0 {
				return fmt.Errorf("plan rollback: %w: the node does not run, or does not show how it is started (%s): start it first, or give the arguments of start.sh, each with --start-arg", errBadRequest, strings.Join(plan.Was.Lost, ", "))
			}
		}
		plan.Request.StartArgs = in.StartArgs
		for _, k := range kept {
			if k.Purpose != restore.Before || in.Of != "" && k.Stamp != in.Of {
				continue
			}
			plan.Set = k.Stamp
			for _, d := range k.Databases {
				plan.Other = participant
				plan.Halves = append(plan.Halves, Half{Live: d.Live, Before: d.Name, Loading: restore.Name(d.Live, restore.Undone, in.Stamp)})
			}
			return nil
		}
		return fmt.Errorf("plan rollback: %w: no databases that a restore put aside; see canton-backup status", store.ErrNotFound)
	})
	return plan, err
}

func fallback(s config.Settings) canton.Fallback {
	return canton.Fallback{Sponsor: s.Toolkit.Sponsor, Scan: s.Toolkit.Scan, PartyHint: s.Toolkit.PartyHint, Migration: s.Toolkit.Migration}
}

// KeptDatabases finds what restores and rollbacks left on the node's server, newest first, and the name of the participant's database.
func KeptDatabases(ctx context.Context, h *Host, s config.Settings) (kept []restore.Kept, participant string, err error) {
	node, err := canton.Find(ctx, h.Docker, NodeQuery(s))
	if err != nil {
		return nil, "", err
	}
	console, err := node.Server(h.Docker, s.Node.Name, filepath.Join(restoring(s), "run")).Console(ctx, "postgres", "look")
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, console.Close()) }()
	all, err := console.Databases(ctx)
	if err != nil {
		return nil, "", err
	}
	sizes, open := map[string]int64{}, map[string]int64{}
	for name, d := range all {
		sizes[name] = d.Bytes
		if d.Connect && !restore.Aside(name) {
			open[name] = d.Bytes
		}
	}
	databases, err := node.Resolve(NodeQuery(s), open)
	if err != nil {
		return nil, "", err
	}
	return restore.FindKept(sizes, []string{databases.Validator, databases.Participant}), databases.Participant, nil
}

// Dropped is what DropOld removed.
type Dropped struct {
	Databases []string `json:"databases"`
	Bytes     int64    `json:"bytes"`
}

// DropOld removes the databases that restores and rollbacks left: there is no way back after that.
func (r *Restores) DropOld(ctx context.Context) (Dropped, error) {
	var dropped Dropped
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "dropping old databases"} }, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		kept, _, err := KeptDatabases(ctx, r.Host, settings)
		if err != nil {
			return err
		}
		node, err := canton.Find(ctx, r.Docker, NodeQuery(settings))
		if err != nil {
			return err
		}
		plan := RestorePlan{Bundle: bundle.Bundle{Project: node.Postgres.Project}}
		return r.onServer(ctx, settings, plan, func(_ *postgres.Server, console *postgres.Console) error {
			for _, k := range kept {
				for _, d := range k.Databases {
					if err := console.Drop(ctx, d.Name); err != nil {
						return err
					}
					dropped.Databases, dropped.Bytes = append(dropped.Databases, d.Name), dropped.Bytes+d.Bytes
				}
			}
			return nil
		})
	})
	return dropped, err
}
