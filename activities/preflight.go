package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/process"
	"canton-backup/internal/restore"
	"canton-backup/internal/store"
)

// Node looks at the node before anything is done to it.
type Node struct{ *Host }

// PreflightInput begins a run.
type PreflightInput struct {
	Set backupset.ID `json:"set"`
}

// Plan is what Preflight found out and the later steps go by: settings that do not change within a run, and the node's facts. No secret.
type Plan struct {
	Node        string               `json:"node"`
	Network     string               `json:"network"`
	Container   string               `json:"container"` // name of the postgres container
	Validator   string               `json:"validator_db"`
	Participant string               `json:"participant_db"`
	Codec       backupset.Codec      `json:"codec"`
	Zstd        backupset.Levels     `json:"zstd,omitzero"` // of that codec
	Encryption  backupset.Encryption `json:"encryption,omitempty"`
	Recipients  []string             `json:"recipients,omitempty"` // fingerprints of the keys that will open the set
	Targets     []Target             `json:"targets"`              // empty: sets stay on this host
	Facts       backupset.NodeFacts  `json:"facts"`
	Estimate    int64                `json:"estimate"` // bytes that the set may need
	LastGood    backupset.ID         `json:"last_good,omitempty"`
	Searchable  bool                 `json:"searchable"`       // search attributes may be set
	Alerts      []string             `json:"alerts,omitempty"` // what somebody is to be told although the backup is made
	Warnings    []string             `json:"warnings,omitempty"`
}

// Target is a place that gets a copy of each set.
type Target struct {
	Kind     config.Kind `json:"kind"`
	Location string      `json:"location"`
}

// Preflight clears what earlier runs left, finds node and databases, and checks disk and targets. A target that does not answer is a
// warning here: the set is worth having on this host, and Upload says what is wrong with the target.
func (n *Node) Preflight(ctx context.Context, in PreflightInput) (Plan, error) {
	var plan Plan
	var at phase
	at.set("looking at node and targets")
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: at.text()} }, func(ctx context.Context) error {
		var err error
		plan, err = n.preflight(ctx, &at)
		return err
	})
	return plan, err
}

func (n *Node) preflight(ctx context.Context, at *phase) (Plan, error) {
	settings, err := n.settings()
	if err != nil {
		return Plan{}, err
	}
	process.UseCores(settings.Cores)
	plan := Plan{Node: settings.Node.Name, Network: settings.Node.Network, Codec: settings.Codec, Warnings: settings.Warnings, Searchable: n.Searchable}
	local, err := n.Local(settings)
	if err != nil {
		return Plan{}, err
	}
	if err := n.clear(ctx, settings, local, &plan); err != nil {
		return Plan{}, err
	}
	if err := n.encrypts(settings, &plan); err != nil {
		return Plan{}, err
	}
	if n.Watchdog != nil {
		if why := n.Watchdog(ctx); why != "" {
			plan.Alerts = append(plan.Alerts, "WatchdogOff: between the runs nobody looks: "+why)
		}
	}
	if err := n.inspect(ctx, settings, at, &plan); err != nil {
		return Plan{}, err
	}
	if err := n.room(ctx, settings, local, &plan); err != nil {
		return Plan{}, err
	}
	if err := n.look(ctx, settings, checkLimit, &plan); err != nil {
		return Plan{}, err
	}
	plan.Zstd = settings.Zstd
	plan.Zstd.Link = n.link(settings, plan.Targets)
	return plan, ctx.Err()
}

// link is the rate in bytes a second of the slowest target, as far as it is known.
func (h *Host) link(s config.Settings, targets []Target) int64 {
	var locations []string
	for _, t := range targets {
		locations = append(locations, t.Location)
	}
	rate := h.rates(s).Slowest(locations)
	if limit := s.Upload.Limit; limit > 0 && len(targets) > 0 && (rate == 0 || rate > limit) {
		return limit
	}
	return rate
}

// checkLimit bounds the look at one target: a dead one must not keep the set from this host.
const checkLimit = time.Minute

// look checks the targets.
func (n *Node) look(ctx context.Context, s config.Settings, limit time.Duration, plan *Plan) error {
	for _, kind := range s.Targets {
		target, err := n.Remote(s, kind)
		if err != nil {
			return err
		}
		plan.Targets = append(plan.Targets, Target{Kind: kind, Location: target.Location()})
		switch err := checked(ctx, target, limit); {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, store.ErrNoDelete):
			plan.Warnings = append(plan.Warnings, err.Error())
		default:
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s does not answer: %v", target.Location(), err))
		}
	}
	return nil
}

// checked is what the target's Check says within the limit. One that does not return is left behind.
func checked(ctx context.Context, target store.Store, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no word of it within %s", limit))
	defer cancel()
	said := make(chan error, 1)
	go func() { said <- target.Check(ctx) }()
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// encrypts refuses a run whose files could not be encrypted as the settings want it: they are never made plain instead.
func (n *Node) encrypts(s config.Settings, plan *Plan) error {
	to, err := Recipients(s, n.Now())
	if err != nil || to == nil {
		return err
	}
	if err := to.Try(); err != nil {
		return err
	}
	if _, err := IdentitiesRecipients(s, n.Now()); err != nil {
		return fmt.Errorf("IDENTITIES_RECIPIENTS: %w", err)
	}
	plan.Encryption, plan.Recipients = to.Describe()
	plan.Warnings = append(plan.Warnings, ExpiryNotices(to, n.Now())...)
	plan.Alerts = expiryDue(to, n.Now(), s.Every)
	return nil
}

// clear ends and removes what killed workers left: helper containers, staged dumps, open sets.
func (n *Node) clear(ctx context.Context, s config.Settings, local LocalStore, plan *Plan) error {
	if _, err := n.Docker.Ping(ctx); err != nil {
		return err
	}
	helpers, err := n.Docker.RemoveHelpers(ctx, s.Node.Name)
	if err != nil {
		return err
	}
	if helpers > 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("ended %d helper container(s) of an earlier run", helpers))
	}
	if err := emptyStaging(s); err != nil {
		return err
	}
	if err := os.MkdirAll(staging(s), 0o700); err != nil {
		return fmt.Errorf("make staging folder: %w", err)
	}
	if _, err := catalog.Sweep(ctx, local, owner(s)); err != nil {
		return err
	}
	return nil
}

func (n *Node) inspect(ctx context.Context, s config.Settings, at *phase, plan *Plan) (err error) {
	query := NodeQuery(s)
	node, err := canton.Find(ctx, n.Docker, query)
	if err != nil {
		return err
	}
	plan.Container, plan.Facts = node.Postgres.Name, node.Facts()
	session, err := n.open(ctx, s, node, staging(s), "postgres", "preflight", at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	strays, err := session.EndStrays(ctx)
	if err != nil {
		return err
	}
	if strays > 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("ended %d database session(s) of an earlier run", strays))
	}
	all, err := canton.ServerFacts(ctx, session, &plan.Facts)
	if err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ int64) bool { return restore.Aside(name) })
	databases, err := node.Resolve(query, all)
	if err != nil {
		return err
	}
	plan.Validator, plan.Participant = databases.Validator, databases.Participant
	// A dump is at most as large as the database: what bytea gains as hex text, compression takes away again.
	plan.Estimate = all[databases.Validator] + all[databases.Participant]
	return nil
}

// NodeQuery is which node the settings mean.
func NodeQuery(s config.Settings) canton.Query {
	return canton.Query{Project: s.Node.ComposeProject, ValidatorDB: s.Node.ValidatorDB, ParticipantDB: s.Node.ParticipantDB}
}

// room refuses to begin when the set may not fit. The last set tells best how large this one will be.
func (n *Node) room(ctx context.Context, s config.Settings, local LocalStore, plan *Plan) error {
	sets, err := catalog.List(ctx, local, owner(s))
	if err != nil {
		return err
	}
	if last := lastSize(sets, n.Now()); last > 0 {
		plan.Estimate = last
	}
	if good, found := sets.LastGood(n.Now()); found {
		plan.LastGood = good.Manifest.Set
	}
	_, err = CheckSpace(ctx, local, plan.Estimate)
	return err
}

// LastSize is how many bytes the next set may need, going by the last one; 0 when there is none.
func LastSize(ctx context.Context, s config.Settings, local LocalStore, now time.Time) int64 {
	sets, err := catalog.List(ctx, local, owner(s))
	if err != nil {
		return 0
	}
	return lastSize(sets, now)
}

func lastSize(sets catalog.Listing, now time.Time) int64 {
	last, err := sets.Find(catalog.Latest, now)
	if err != nil {
		return 0
	}
	return last.Manifest.Bytes() * 13 / 10
}
