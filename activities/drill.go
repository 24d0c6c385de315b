package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/docker"
	"canton-backup/internal/postgres"
	"canton-backup/internal/process"
	"canton-backup/internal/restore"
	"canton-backup/internal/secret"
	"canton-backup/internal/store"
)

// Drills restores sets into throw-away servers, to prove that they restore.
type Drills struct{ *Host }

// DrillRequest asks for a drill.
type DrillRequest struct {
	Stamp backupset.ID `json:"stamp"`
	Set   string       `json:"set"` // id or "latest"
	From  string       `json:"from,omitempty"`
}

// Drilled is what a drill found out, and the record that is kept beside the manifest.
type Drilled struct {
	Format   int               `json:"format"` // of this record: 1
	Drill    backupset.ID      `json:"drill"`  // when it began
	Set      backupset.ID      `json:"set"`
	From     string            `json:"from"` // the store whose copy was restored
	Verdict  backupset.Verdict `json:"verdict"`
	Problem  string            `json:"problem,omitempty"` // the error's name, of a FAIL
	Detail   string            `json:"detail,omitempty"`
	Checks   []backupset.Check `json:"checks,omitempty"`
	Tables   int               `json:"tables"`   // whose contents were compared
	Rows     int64             `json:"rows"`     // in them
	FetchS   float64           `json:"fetch_s"`  // seconds
	LoadS    float64           `json:"load_s"`   // seconds
	VerifyS  float64           `json:"verify_s"` // seconds
	Program  string            `json:"program"`
	Finished time.Time         `json:"finished"`
}

// PlanDrill finds the set, in the targets before this host: what a lost host leaves is what has to restore.
func (d *Drills) PlanDrill(ctx context.Context, in DrillRequest) (RestorePlan, error) {
	var plan RestorePlan
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "looking for the set"} }, func(ctx context.Context) error {
		settings, err := d.settings()
		if err != nil {
			return err
		}
		process.UseCores(settings.Cores)
		local, err := d.Local(settings)
		if err != nil {
			return err
		}
		request := RestoreRequest{Stamp: in.Stamp, Set: in.Set, From: in.From}
		if in.From == "" {
			request.From = Local
			if len(settings.Targets) > 0 {
				request.From = string(settings.Targets[0])
			}
		}
		m, at, err := d.locate(ctx, settings, local, request)
		if err != nil {
			return err
		}
		plan = RestorePlan{Request: request, Set: m.Set, Node: m.Node, Network: m.Network, From: at.name, Location: at.store.Location(), Bytes: m.Bytes(), Verdict: m.Verdict, Roles: m.Facts.Roles}
		for _, c := range m.Dumps() {
			plan.Halves = append(plan.Halves, Half{Component: c, Live: c.Database, Loading: c.Database})
		}
		return nil
	})
	return plan, err
}

// Rehearse restores the fetched set into a server of its own, without a network, and proves that the copy is what was dumped: the checks of the
// backup, and the contents of every table. A set that fails is a verdict, not an error; the error says that no verdict could be found.
func (d *Drills) Rehearse(ctx context.Context, in RestoreStep) (Drilled, error) {
	var at phase
	var read atomic.Int64
	at.set("starting a throw-away server")
	result := Drilled{Format: 1, Drill: in.Plan.Request.Stamp, Set: in.Plan.Set, From: in.Plan.From, Program: d.Program}
	progress := func() Progress { return Progress{Phase: at.text(), Bytes: read.Load(), Total: in.Plan.Bytes} }
	err := withHeartbeat(ctx, progress, func(ctx context.Context) error {
		err := d.rehearse(ctx, in.Plan, &at, &read, &result)
		if name := ErrorName(err); err != nil && ctx.Err() == nil && verdicts[name] {
			result.Verdict, result.Problem, result.Detail = backupset.Fail, name, err.Error()
			err = nil
		}
		result.Finished = d.Now().UTC()
		return err
	})
	return result, err
}

// verdicts are the errors that say something about the set, and not about the host that tried it.
var verdicts = map[string]bool{BackupCorrupt: true, DumpTruncated: true, LoadFailed: true, PairBroken: true, RestoreDiffers: true, KeysDiffer: true, ContentDiffers: true}

func (d *Drills) rehearse(ctx context.Context, p RestorePlan, at *phase, read *atomic.Int64, result *Drilled) (err error) {
	settings, err := d.settings()
	if err != nil {
		return err
	}
	if _, err := d.Docker.RemoveHelpers(ctx, settings.Node.Name); err != nil {
		return err
	}
	node, err := canton.Look(ctx, d.Docker, NodeQuery(settings))
	if err != nil {
		return err
	}
	if err := roomFor(node, p); err != nil {
		return err
	}
	server, end, err := d.scratch(ctx, settings, node)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	begin := time.Now()
	for _, h := range p.Halves {
		at.set("loading " + h.Loading)
		if err := d.loadInto(ctx, settings, server, p, h, read); err != nil {
			return err
		}
	}
	result.LoadS = time.Since(begin).Seconds()
	begin = time.Now()
	at.set("checking")
	loaded := map[backupset.Role]backupset.Component{}
	for _, h := range p.Halves {
		c, err := evidenceOf(ctx, server, h.Loading, h.Component)
		if err != nil {
			return err
		}
		loaded[h.Component.Role] = c
	}
	// The pair first: of two halves that do not belong together, each may well be what it was.
	checks, verdict := backupset.ProveRestored(loaded[backupset.Validator], loaded[backupset.Participant])
	result.Checks, result.Verdict = checks, verdict
	if verdict == backupset.Fail {
		return fmt.Errorf("drill set %s: %w: %s", p.Set, errPairBroken, backupset.Failed(checks))
	}
	for _, h := range p.Halves {
		if err := sameAsDumped(h.Component, loaded[h.Component.Role]); err != nil {
			return fmt.Errorf("drill set %s: database %s: %w", p.Set, h.Live, err)
		}
	}
	for _, h := range p.Halves {
		if h.Component.Contents == nil { // the set is older than this proof: nothing was compared, so nothing was proven
			result.Verdict, result.Detail = backupset.Unknown, "the set does not say what its tables held"
			continue
		}
		at.set("comparing every row of " + h.Loading)
		if err := sameContents(ctx, server, h, result); err != nil {
			return fmt.Errorf("drill set %s: database %s: %w", p.Set, h.Live, err)
		}
	}
	result.VerifyS = time.Since(begin).Seconds()
	return nil
}

// roomFor refuses a drill that would fill the disk of the node's own database.
func roomFor(node canton.Node, p RestorePlan) error {
	need := int64(0)
	for _, h := range p.Halves {
		need += restore.Size(h.Component)
	}
	if free := freeNear(node.DataFolder()); free != restore.NotKnown && free < need+need/10 {
		return fmt.Errorf("drill: %w: the restored databases need %d MB, %d MB may be used", store.ErrFull, need>>20, max(0, free)>>20)
	}
	return nil
}

// scratch starts a server from the node's own image. It may lose everything in a crash, and is quick for it.
func (d *Drills) scratch(ctx context.Context, s config.Settings, node canton.Node) (*postgres.Server, func() error, error) {
	id, err := d.Docker.StartScratch(ctx, docker.ScratchSpec{
		Node: s.Node.Name, Image: node.Postgres.ImageID,
		Command: []string{"postgres", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off", "-c", "max_wal_size=4GB",
			"-c", "wal_level=minimal", "-c", "max_wal_senders=0"}, // an index is not logged then
		Env: []string{"POSTGRES_USER=" + node.User, "POSTGRES_HOST_AUTH_METHOD=trust", "POSTGRES_DB=postgres"},
	})
	if err != nil {
		return nil, nil, err
	}
	folder := filepath.Join(restoring(s), "run")
	server := &postgres.Server{Docker: d.Docker, Node: s.Node.Name, Container: id, Image: node.Postgres.ImageID, User: node.User, Password: secret.New("none"), Folder: folder,
		Data: node.DataFolder()} // the engine keeps its containers and its volumes on one disk, as a rule
	end := func() error { return d.Docker.RemoveScratch(id) }
	for deadline := time.Now().Add(serverLimit); ; {
		console, err := server.Console(ctx, "postgres", "drill")
		if err == nil {
			return server, end, console.Close()
		}
		if c, lookErr := d.Docker.Inspect(ctx, id); lookErr == nil && !c.Running {
			err = fmt.Errorf("start throw-away server: it ended: %s", d.Docker.Words(ctx, id))
		} else if errors.Is(err, postgres.ErrUnreachable) && time.Now().Before(deadline) {
			err = pause(ctx, lookEvery)
		}
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
	}
}

func (d *Drills) loadInto(ctx context.Context, s config.Settings, server *postgres.Server, p RestorePlan, h Half, read *atomic.Int64) (err error) {
	console, err := server.Console(ctx, "postgres", "drill")
	if err != nil {
		return err
	}
	err = errors.Join(console.EnsureRoles(ctx, p.Roles), console.Create(ctx, h.Loading, ""), console.Close())
	if err != nil {
		return err
	}
	restores := Restores{d.Host}
	path, err := restores.fetched(s, p, h.Component)
	if err != nil {
		return err
	}
	key, err := d.key(s, string(p.Request.Stamp), h.Component)
	if err != nil {
		return err
	}
	return loadFile(ctx, server, path, key, h, "drill", read, false)
}

// sameContents dumps the restored copy and compares what it holds with what was dumped, table by table.
func sameContents(ctx context.Context, server *postgres.Server, h Half, result *Drilled) (err error) {
	session, err := server.Open(ctx, h.Loading, "compare")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	got, err := session.Contents(ctx)
	if err != nil {
		return err
	}
	if lines := backupset.Differences(*h.Component.Contents, *got); len(lines) > 0 {
		return fmt.Errorf("%w: %s", errContentDiffers, strings.Join(lines[:min(len(lines), 10)], "; "))
	}
	for _, t := range got.Tables {
		result.Tables++
		result.Rows += t.Rows
	}
	return nil
}

// RecordInput is a drill's result for one store.
type RecordInput struct {
	Drilled Drilled `json:"drilled"`
	From    string  `json:"from"`
}

// Record keeps a drill's result beside the manifest, at the store whose copy was tried, and on this host.
func (d *Drills) Record(ctx context.Context, in RecordInput) error {
	return withHeartbeat(ctx, func() Progress { return Progress{Phase: "recording"} }, func(ctx context.Context) error {
		settings, err := d.settings()
		if err != nil {
			return err
		}
		local, err := d.Local(settings)
		if err != nil {
			return err
		}
		places := []store.Store{local}
		if in.From != Local {
			target, err := d.target(settings, config.Kind(in.From))
			if err != nil {
				return err
			}
			places = append(places, target)
		}
		if err := os.MkdirAll(restoring(settings), 0o700); err != nil {
			return fmt.Errorf("record drill: %w", err)
		}
		name := backupset.DrillName(in.Drilled.Set, in.Drilled.Drill)
		file, err := catalog.WriteJSON(filepath.Join(restoring(settings), name), in.Drilled)
		if err != nil {
			return err
		}
		for _, s := range places {
			if err := s.Put(ctx, name, file, nil); err != nil {
				return fmt.Errorf("record drill: %w", err)
			}
		}
		return nil
	})
}
