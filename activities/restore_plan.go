package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"canton-backup/internal/backupset"
	"canton-backup/internal/bundle"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/process"
	"canton-backup/internal/restore"
	"canton-backup/internal/store"
)

// Restores brings a node back from a set.
type Restores struct{ *Host }

// Local is the word for this host's own store, beside the kinds of target.
const Local = "local"

// RestoreRequest is what an operator asks for.
type RestoreRequest struct {
	Stamp     backupset.ID   `json:"stamp"`                // of the restore: names what it makes
	Set       string         `json:"set"`                  // id or "latest"
	From      string         `json:"from,omitempty"`       // "local" or a target; empty: this host, else the first target that has it
	Only      backupset.Role `json:"only,omitempty"`       // one half alone
	Override  []string       `json:"override,omitempty"`   // gates
	StartArgs []string       `json:"start_args,omitempty"` // of start.sh, instead of the recorded ones
}

// Half is one database of a restore.
type Half struct {
	Component backupset.Component `json:"component"`
	Live      string              `json:"live"`    // name that the node uses
	Loading   string              `json:"loading"` // name under which it is loaded and checked
	Before    string              `json:"before"`  // name under which the old one is kept
}

// RestorePlan is what a restore will do, as the operator reads it before.
type RestorePlan struct {
	Request    RestoreRequest    `json:"request"`
	Set        backupset.ID      `json:"set"`
	Node       string            `json:"node"`    // of the set
	Network    string            `json:"network"` // of the set
	From       string            `json:"from"`
	Location   string            `json:"location"`
	Bytes      int64             `json:"bytes"`
	RecordTime *time.Time        `json:"record_time,omitempty"`
	Verdict    backupset.Verdict `json:"verdict"`
	Halves     []Half            `json:"halves"`
	Other      string            `json:"other,omitempty"` // the database that stays, when one half alone is restored
	Gates      []restore.Gate    `json:"gates,omitempty"`
	Bundle     bundle.Bundle     `json:"bundle"`
	Roles      []string          `json:"roles,omitempty"` // that the dumps may grant to
	Running    bool              `json:"running"`         // the node runs now, and is started again when the restore is undone
	Was        canton.Launch     `json:"was"`             // how it runs now
	Will       canton.Launch     `json:"will"`            // how it is started after
	StartArgs  []string          `json:"start_args"`
	Text       []string          `json:"text"`  // the plan in sentences
	After      []string          `json:"after"` // what the operator must do afterwards (domain R25)
}

// Refused says why the plan may not be carried out, empty when it may.
func (p RestorePlan) Refused() []restore.Gate { return restore.Refused(p.Gates) }

// PlanRestore finds the set and the node, and decides what stands against the restore. It changes nothing.
func (r *Restores) PlanRestore(ctx context.Context, in RestoreRequest) (RestorePlan, error) {
	var plan RestorePlan
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "planning"} }, func(ctx context.Context) error {
		settings, err := r.settings()
		if err == nil {
			plan, err = PlanRestore(ctx, r.Host, settings, in)
		}
		return err
	})
	return plan, err
}

// PlanRestore is the activity of that name, for the command line's --plan.
func PlanRestore(ctx context.Context, h *Host, s config.Settings, in RestoreRequest) (RestorePlan, error) {
	plan := RestorePlan{Request: in}
	if unknown := restore.Unknown(in.Override); len(unknown) > 0 {
		return plan, fmt.Errorf("plan restore: %w: no gate %q can be overridden", errBadRequest, unknown)
	}
	if in.Only != "" && in.Only != backupset.Validator && in.Only != backupset.Participant {
		return plan, fmt.Errorf("plan restore: %w: only %q is neither validator nor participant", errBadRequest, in.Only)
	}
	process.UseCores(s.Cores)
	local, err := h.Local(s)
	if err != nil {
		return plan, err
	}
	m, where, err := h.locate(ctx, s, local, in)
	if err != nil {
		return plan, err
	}
	plan.Set, plan.Node, plan.Network, plan.From, plan.Bytes, plan.Verdict = m.Set, m.Node, m.Network, where.name, m.Bytes(), m.Verdict
	plan.Location, plan.Roles = where.store.Location(), m.Facts.Roles
	if p, ok := m.Component(backupset.Participant); ok && p.ParticipantEvidence != nil {
		plan.RecordTime = p.ParticipantEvidence.RecordTime
	}
	live, err := h.live(ctx, s, local, m, &plan)
	if err != nil {
		return plan, err
	}
	for _, c := range m.Dumps() {
		c.Contents = nil // a hundred tables that no step of a restore needs
		if in.Only != "" && in.Only != c.Role {
			plan.Other = c.Database
		} else {
			plan.Halves = append(plan.Halves, Half{Component: c, Live: c.Database,
				Loading: restore.Name(c.Database, restore.Loading, in.Stamp), Before: restore.Name(c.Database, restore.Before, in.Stamp)})
		}
	}
	plan.Gates = restore.Closed(m, live, h.Now(), in.Override)
	plan.describe(h.Now())
	return plan, nil
}

// shelf is a store and the name that operators have for it.
type shelf struct {
	name  string
	store store.Store
}

// locate finds the set: on this host, else at the targets in the order of the settings.
func (h *Host) locate(ctx context.Context, s config.Settings, local LocalStore, in RestoreRequest) (backupset.Manifest, shelf, error) {
	var shelves []shelf
	if in.From == "" || in.From == Local {
		shelves = append(shelves, shelf{Local, local})
	}
	for _, kind := range s.Targets {
		if in.From == "" || in.From == string(kind) {
			target, err := h.Remote(s, kind)
			if err != nil {
				return backupset.Manifest{}, shelf{}, err
			}
			shelves = append(shelves, shelf{string(kind), target})
		}
	}
	if len(shelves) == 0 {
		return backupset.Manifest{}, shelf{}, fmt.Errorf("find set: %w: no store %q in the settings, use local or one of BACKUP_TYPE", errBadRequest, in.From)
	}
	own, err := owner(s).LikeNewest(ctx, local, h.Now())
	if err != nil {
		own = owner(s) // a host without a set of its own: the node's name must do
	}
	var errs []error
	var found backupset.Manifest
	var at shelf
	for _, one := range shelves {
		listing, err := catalog.List(ctx, one.store, own)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		e, err := listing.Find(in.Set, h.Now())
		if err != nil || found.Set >= e.Manifest.Set {
			continue
		}
		if e.Damage != "" {
			errs = append(errs, fmt.Errorf("set %s at %s: %w: %s", e.Manifest.Set, one.store.Location(), store.ErrCorrupt, e.Damage))
			continue
		}
		found, at = e.Manifest, one
	}
	if at.store == nil {
		return found, at, errors.Join(append(errs, fmt.Errorf("find set %s: %w, sealed and whole, in any store; see canton-backup list", in.Set, store.ErrNotFound))...)
	}
	return found, at, nil
}

// live finds out what the node is now. A node that is down, or whose databases cannot be read, is what restores are for: what
// cannot be found out stays empty.
func (h *Host) live(ctx context.Context, s config.Settings, local LocalStore, m backupset.Manifest, plan *RestorePlan) (restore.Live, error) {
	live := restore.Live{Node: s.Node.Name, Network: s.Node.Network, Free: restore.NotKnown}
	participant, _ := m.Component(backupset.Participant)
	plan.Bundle = bundle.Bundle{Dir: m.Facts.WorkingDir, Project: m.Facts.Project}
	plan.Will = canton.LaunchOf(m.Facts, participant.Database, fallback(s))
	query := NodeQuery(s)
	node, err := canton.Look(ctx, h.Docker, query)
	switch {
	case errors.Is(err, canton.ErrNoNode):
		if folder, err := h.Docker.VolumeFolder(ctx, m.Facts.PostgresVolume); err == nil {
			live.Free = freeNear(folder)
		}
		if plan.From != Local && !h.knows(ctx, s, local, m.Facts.WorkingDir) {
			live.LaunchProblems = append(live.LaunchProblems, fmt.Sprintf("whether %s is the node's folder: only the set at %s says so, and its scripts would be run", m.Facts.WorkingDir, plan.Location))
		}
	case err != nil:
		return live, err
	default:
		facts := node.Facts()
		plan.Bundle = bundle.Bundle{Dir: facts.WorkingDir, Project: facts.Project}
		live.ParticipantDB = node.ParticipantDB()
		plan.Running = node.Participant != nil && node.Participant.Running
		plan.Was = canton.LaunchOf(facts, cmp.Or(live.ParticipantDB, participant.Database), fallback(s))
		plan.Will.Image = plan.Was.Image
		live.Free = freeNear(node.DataFolder())
		if node.Postgres.Running {
			h.ask(ctx, s, node, participant.Database, &live)
		}
	}
	if query.Project != "" {
		plan.Bundle.Project = query.Project
	}
	if err := plan.Bundle.Check(); err != nil {
		live.BundleProblem = err.Error()
	}
	plan.StartArgs = plan.Request.StartArgs
	if len(plan.StartArgs) == 0 {
		plan.StartArgs, live.LaunchProblems = plan.Will.Arguments(), append(live.LaunchProblems, plan.Will.Lost...)
		if plan.Running {
			for _, lost := range plan.Was.Lost { // an undo starts the node as it runs now
				live.LaunchProblems = append(live.LaunchProblems, lost+", as the node runs now")
			}
			if plan.Was.Auth && !plan.Will.Auth {
				live.LaunchProblems = append(live.LaunchProblems, "whether auth shall be off: it was when the set was made, and is on now")
			}
		}
	}
	live.ScanProblem = scanProblem(ctx, canton.ScanAddress(plan.StartArgs))
	if plan.From != Local {
		live.ToFetch = m.Bytes()
		free, total, err := local.Space(ctx)
		if err != nil {
			return live, err
		}
		live.StagingFree = free - reserve(total)
	}
	return live, ctx.Err()
}

// knows reports whether a set on this host names that folder, too.
func (h *Host) knows(ctx context.Context, s config.Settings, local LocalStore, folder string) bool {
	listing, err := catalog.List(ctx, local, owner(s))
	return err == nil && slices.ContainsFunc(listing.Sets, func(e catalog.Entry) bool { return e.Manifest.Facts.WorkingDir == folder })
}

// ask reads what the running server tells of itself and of the participant.
func (h *Host) ask(ctx context.Context, s config.Settings, node canton.Node, database string, live *restore.Live) {
	folder := restoring(s)
	if session, err := node.Server(h.Docker, s.Node.Name, folder).Open(ctx, database, "plan"); err == nil {
		if evidence, err := canton.ReadParticipant(ctx, session); err == nil {
			live.Synchronizers = evidence.Synchronizers
			if len(evidence.NodeIDs) == 1 {
				live.Participant = evidence.NodeIDs[0]
			}
		}
		_ = session.Close() // its helper ends by itself
	}
	if session, err := node.Server(h.Docker, s.Node.Name, folder).Open(ctx, "postgres", "plan"); err == nil {
		var facts backupset.NodeFacts
		if _, err := canton.ServerFacts(ctx, session, &facts); err == nil {
			live.ServerVersion = facts.ServerVersion
		}
		_ = session.Close() // its helper ends by itself
	}
}

const scanLimit = 15 * time.Second

// scanProblem asks Scan what start.sh will ask it.
func scanProblem(ctx context.Context, address string) string {
	if address == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/scan/v0/splice-instance-names", nil)
	if err != nil {
		return fmt.Sprintf("Scan's address %q is malformed", address)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Sprintf("Scan at %s does not answer: %v", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("Scan at %s answers %s", address, response.Status)
	}
	return ""
}

// restoring is where a restore keeps what it fetched, and its pipes.
func restoring(s config.Settings) string { return filepath.Join(s.BackupDir, ".restore-"+s.Node.Name) }

// describe says in sentences what will happen.
func (p *RestorePlan) describe(now time.Time) {
	say := func(format string, args ...any) { p.Text = append(p.Text, fmt.Sprintf(format, args...)) }
	say("set %s of node %s (%s), %s, pair %s, from %s", p.Set, p.Node, p.Network, humanize.IBytes(uint64(p.Bytes)), p.Verdict, p.Location)
	if p.RecordTime != nil {
		say("its newest transaction is of %s, %s ago; the node catches up from the network, what it alone knew since then is lost", p.RecordTime.Format(time.DateTime+" UTC"), age(now.Sub(*p.RecordTime)))
	}
	if c := p.Halves[0].Component; c.Encryption != backupset.Unencrypted {
		say("it is encrypted (%s), and opens for the private key of %s", c.Encryption, strings.Join(c.Recipients, " or "))
	}
	say("the node stops, its databases are loaded beside the present ones, checked, and take their names:")
	for _, h := range p.Halves {
		say("  %s; the present one stays as %s until you drop it", h.Live, h.Before)
	}
	say("then it is started: %s", p.StartLine())
	say("whatever fails on the way is undone, and the node runs on what it has now")
	p.After = []string{
		"hold applications that submit commands back until the participant has passed the time at which it stopped: command deduplication does not know what was submitted since",
		"reset every client that keeps ledger offsets to a state of the set's time or before: offsets may differ",
		"onboard again the users that were onboarded after the set was made, and upload again the DARs that were uploaded after",
		"when all is well: canton-backup restore --drop-old; when it is not: canton-backup rollback",
		"make a backup: canton-backup backup --reason after-restore, and save the node's identities anew",
	}
}

// StartLine is what an operator types to start the node as the restore would.
func (p RestorePlan) StartLine() string {
	return canton.CommandLine(p.Bundle.Dir, p.Will.Image, p.StartArgs)
}

// WasArgs are the arguments of start.sh with which the node ran before.
func (p RestorePlan) WasArgs() []string {
	if len(p.Request.StartArgs) > 0 && (len(p.Was.Lost) > 0 || !p.Running) {
		return p.Request.StartArgs
	}
	return p.Was.Arguments()
}

// WasLine is what an operator types to start the node as it ran before.
func (p RestorePlan) WasLine() string {
	return canton.CommandLine(p.Bundle.Dir, p.Was.Image, p.WasArgs())
}

func age(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
