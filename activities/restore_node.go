package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/bundle"
	"canton-backup/internal/canton"
	"canton-backup/internal/docker"
	"canton-backup/internal/postgres"
)

const (
	lookEvery   = time.Second
	serverLimit = 15 * time.Minute // for PostgreSQL to come up alone
	nodeLimit   = 30 * time.Minute // for the node to become healthy
	crashes     = 3                // restarts by the engine after which a container will not come up any more
)

// Nodes stops and starts the node.
type Nodes struct{ *Host }

// StopNode runs the node's own stop.sh and makes sure that nothing writes any more (domain R20).
func (n *Nodes) StopNode(ctx context.Context, in RestoreStep) error {
	return withHeartbeat(ctx, func() Progress { return Progress{Phase: "stopping the node"} }, func(ctx context.Context) error {
		if err := in.Plan.Bundle.Stop(ctx); err != nil {
			return err
		}
		node, err := canton.Look(ctx, n.Docker, canton.Query{Project: in.Plan.Bundle.Project})
		if errors.Is(err, canton.ErrNoNode) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, c := range []*docker.Container{node.Participant, node.Validator} {
			if c != nil && c.Running {
				return fmt.Errorf("stop node: %w: container %s still runs after stop.sh", errNodeRuns, c.Name)
			}
		}
		return nil
	})
}

// StartPostgres starts the server alone and waits until it is healthy and, where it was new, has made its databases.
func (n *Nodes) StartPostgres(ctx context.Context, in RestoreStep) error {
	return withHeartbeat(ctx, func() Progress { return Progress{Phase: "starting postgres alone"} }, func(ctx context.Context) error {
		settings, err := n.settings()
		if err != nil {
			return err
		}
		p := in.Plan
		if err := p.Bundle.StartPostgres(ctx, p.Will.Image, p.ParticipantDB(), p.Will.Migration); err != nil {
			return err
		}
		deadline := time.Now().Add(serverLimit)
		for {
			err := n.serverReady(ctx, settings.Node.Name, filepath.Join(restoring(settings), "run"), p)
			if err == nil || ctx.Err() != nil {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("start postgres: %w: not ready after %s: %w", errUnhealthy, serverLimit, err)
			}
			if !errors.Is(err, errNotYet) {
				return err
			}
			if err := pause(ctx, lookEvery); err != nil {
				return err
			}
		}
	})
}

// ParticipantDB is the participant's live database: the entry point makes it where it is missing.
func (p RestorePlan) ParticipantDB() string {
	if half, err := p.half(backupset.Participant); err == nil {
		return half.Live
	}
	return p.Other
}

var errNotYet = errors.New("not yet")

// serverReady is nil when the server answers over the network and has the node's databases: its entry point starts it twice, the first time
// on a socket that pg_isready takes for ready (domain 2.3).
func (n *Nodes) serverReady(ctx context.Context, owner, folder string, p RestorePlan) (err error) {
	node, err := canton.Look(ctx, n.Docker, canton.Query{Project: p.Bundle.Project})
	if errors.Is(err, canton.ErrAmbiguous) {
		return fmt.Errorf("%w: %w", errNotYet, err) // compose replaces a container: for a while there are two
	}
	if err != nil {
		return err
	}
	server := node.Postgres
	switch {
	case server.Restarts >= crashes:
		return fmt.Errorf("start postgres: %w: container %s ended %d times: %s", errUnhealthy, server.Name, server.Restarts, n.Docker.Words(ctx, server.ID))
	case !server.Running && !server.StartedAt.IsZero() && time.Since(server.StartedAt) > 5*time.Second:
		return fmt.Errorf("start postgres: %w: container %s ended: %s", errUnhealthy, server.Name, n.Docker.Words(ctx, server.ID))
	case !server.Running || server.Health != "" && server.Health != "healthy":
		return fmt.Errorf("%w: %s is %s", errNotYet, server.Name, cmp.Or(server.Health, "not running"))
	}
	console, err := node.Server(n.Docker, owner, folder).Console(ctx, "postgres", string(p.Request.Stamp)+" ready")
	if errors.Is(err, postgres.ErrUnreachable) {
		return fmt.Errorf("%w: %w", errNotYet, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, console.Close()) }()
	all, err := console.Databases(ctx)
	if err != nil {
		return err
	}
	if _, there := all[p.ParticipantDB()]; !there {
		return fmt.Errorf("%w: no database %q", errNotYet, p.ParticipantDB())
	}
	return nil
}

// Swap gives the loaded databases the live names, and the live ones names under which they are kept: all in one transaction.
func (r *Restores) Swap(ctx context.Context, in RestoreStep) error {
	return r.rename(ctx, in.Plan, "swapping databases", func(all map[string]postgres.Database) ([]postgres.Rename, error) {
		var renames []postgres.Rename
		for _, h := range in.Plan.Halves {
			_, loaded := all[h.Loading]
			_, kept := all[h.Before]
			_, there := all[h.Live]
			switch {
			case !loaded && kept && there:
				continue // swapped by an earlier attempt
			case !loaded:
				return nil, fmt.Errorf("swap: %w: %q is gone", errSwap, h.Loading)
			case there:
				renames = append(renames, postgres.Rename{From: h.Live, To: h.Before, Retire: true})
			}
			renames = append(renames, postgres.Rename{From: h.Loading, To: h.Live})
		}
		return renames, nil
	})
}

// SwapBack undoes Swap, wherever it got to.
func (r *Restores) SwapBack(ctx context.Context, in RestoreStep) error {
	return r.rename(ctx, in.Plan, "swapping databases back", func(all map[string]postgres.Database) ([]postgres.Rename, error) {
		var renames []postgres.Rename
		for _, h := range in.Plan.Halves {
			_, kept := all[h.Before]
			_, loaded := all[h.Loading]
			if !kept || loaded {
				continue // never swapped, or swapped back already
			}
			renames = append(renames, postgres.Rename{From: h.Live, To: h.Loading, Retire: true}, postgres.Rename{From: h.Before, To: h.Live})
		}
		return renames, nil
	})
}

func (r *Restores) rename(ctx context.Context, p RestorePlan, phase string, decide func(map[string]postgres.Database) ([]postgres.Rename, error)) error {
	return withHeartbeat(ctx, func() Progress { return Progress{Phase: phase} }, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		return r.onServer(ctx, settings, p, func(_ *postgres.Server, console *postgres.Console) error {
			all, err := console.Databases(ctx)
			if err != nil {
				return err
			}
			renames, err := decide(all)
			if err == nil && len(renames) > 0 {
				err = console.RenameAll(ctx, renames)
			}
			if err != nil {
				return err
			}
			// An attempt that was cut may have closed databases that keep their names.
			for _, h := range p.Halves {
				if err := console.Open(ctx, h.Live); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// DiscardFetched removes what a restore had fetched.
func (r *Restores) DiscardFetched(ctx context.Context, in RestoreStep) error {
	r.Keys.Release(string(in.Plan.Request.Stamp))
	settings, err := r.settings()
	if err == nil {
		err = os.RemoveAll(restoring(settings))
	}
	return mapped(ctx, err)
}

// DropLoaded removes the databases that an undone restore had loaded, and what it had fetched.
func (r *Restores) DropLoaded(ctx context.Context, in RestoreStep) error {
	r.Keys.Release(string(in.Plan.Request.Stamp))
	return withHeartbeat(ctx, func() Progress { return Progress{Phase: "removing what was loaded"} }, func(ctx context.Context) error {
		settings, err := r.settings()
		if err != nil {
			return err
		}
		err = r.onServer(ctx, settings, in.Plan, func(_ *postgres.Server, console *postgres.Console) error {
			for _, h := range in.Plan.Halves {
				if err := console.Drop(ctx, h.Loading); err != nil {
					return err
				}
			}
			return nil
		})
		return errors.Join(err, os.RemoveAll(restoring(settings)))
	})
}

// StartInput is how the node is to be started.
type StartInput struct {
	Bundle   bundle.Bundle `json:"bundle"`
	ImageTag string        `json:"image_tag,omitempty"`
	Args     []string      `json:"args"`
	Database string        `json:"database,omitempty"` // that the participant must use, when it is known
}

// StartNode runs start.sh and waits until participant and validator app are healthy. start.sh itself waits for Scan for up to five minutes.
// A container that ends again and again is not waited for.
func (n *Nodes) StartNode(ctx context.Context, in StartInput) error {
	var at phase
	at.set("running start.sh")
	return withHeartbeat(ctx, func() Progress { return Progress{Phase: at.text()} }, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			defer close(ended)
			ended <- in.Bundle.Start(ctx, in.ImageTag, in.Args)
		}()
		defer func() {
			cancel()
			for range ended { // start.sh is not left behind
			}
		}()
		script := ended // nil once start.sh is done
		for deadline := time.Now().Add(nodeLimit); ; {
			why, err := n.healthy(ctx, in)
			switch {
			case err != nil:
				return err
			case why == "" && script == nil:
				return nil
			case time.Now().After(deadline):
				return fmt.Errorf("start node: %w: %s after %s", errUnhealthy, why, nodeLimit)
			}
			select {
			case err := <-script:
				if err != nil {
					return err
				}
				script = nil
				at.set("waiting until the node is healthy")
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(lookEvery):
			}
		}
	})
}

// healthy says what the node still lacks, empty when it is healthy. The error says that it will not become so.
func (n *Nodes) healthy(ctx context.Context, in StartInput) (string, error) {
	node, err := canton.Look(ctx, n.Docker, canton.Query{Project: in.Bundle.Project})
	if errors.Is(err, canton.ErrNoNode) {
		return "no container is there", nil
	}
	if errors.Is(err, canton.ErrAmbiguous) {
		return "compose replaces a container", nil
	}
	if err != nil {
		return "", err
	}
	missing := ""
	for name, c := range map[string]*docker.Container{"participant": node.Participant, "validator": node.Validator} {
		switch {
		case c == nil:
			missing = "the " + name + " container is not there"
		case c.Restarts >= crashes:
			return "", fmt.Errorf("start node: %w: container %s ended %d times: %s", errUnhealthy, c.Name, c.Restarts, n.Docker.Words(ctx, c.ID))
		case !c.Running || c.Health != "" && c.Health != "healthy":
			missing = fmt.Sprintf("container %s is %s", c.Name, cmp.Or(c.Health, "not running"))
		}
	}
	// A wrong -m starts a healthy node on another database (domain R23).
	if used := node.ParticipantDB(); missing == "" && in.Database != "" && used != in.Database {
		return "", fmt.Errorf("start node: %w: the participant uses database %q, not %q", errUnhealthy, used, in.Database)
	}
	return missing, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
