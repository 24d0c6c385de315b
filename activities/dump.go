package activities

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"go.temporal.io/sdk/activity"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/encryption"
	"canton-backup/internal/postgres"
	"canton-backup/internal/seal"
	"canton-backup/internal/sqltext"
	"canton-backup/internal/store"
)

// Dumps takes the two dumps of a set.
type Dumps struct{ *Host }

// DumpInput asks for one dump.
type DumpInput struct {
	Set  backupset.ID `json:"set"`
	Plan Plan         `json:"plan"`
}

// DumpParticipantInput carries the validator's dump, so that the history shows which one came first.
type DumpParticipantInput struct {
	DumpInput
	Validator Dump `json:"validator"`
}

// Dump is a dump that lies staged, not yet sealed.
type Dump struct {
	Component backupset.Component `json:"component"`
	Staged    string              `json:"staged"` // its file's name in the set's staging folder, another one for each attempt
}

// DumpValidator dumps the validator app's database. The dump is complete when it returns.
func (d *Dumps) DumpValidator(ctx context.Context, in DumpInput) (Dump, error) {
	return d.dump(ctx, in, backupset.Validator, in.Plan.Validator)
}

// DumpParticipant dumps the participant's database, strictly after the validator's.
func (d *Dumps) DumpParticipant(ctx context.Context, in DumpParticipantInput) (Dump, error) {
	return d.dump(ctx, in.DumpInput, backupset.Participant, in.Plan.Participant)
}

// DiscardInput names a set that was not sealed.
type DiscardInput struct {
	Set backupset.ID `json:"set"`
}

// Discard removes what a failed run has staged, so that it does not lie on the disk until the next run.
func (d *Dumps) Discard(ctx context.Context, in DiscardInput) error {
	settings, err := d.settings()
	if err == nil {
		_, err = backupset.ParseID(string(in.Set)) // an empty one would name the folder of all sets
	}
	if err == nil {
		err = os.RemoveAll(stagingOf(settings, in.Set))
	}
	return mapped(ctx, err)
}

func (d *Dumps) dump(ctx context.Context, in DumpInput, role backupset.Role, database string) (Dump, error) {
	work := &capture{host: d.Host, in: in, role: role, database: database, attempt: int(activity.GetInfo(ctx).Attempt)}
	work.phase.set("dumping " + database)
	var dump Dump
	err := withHeartbeat(ctx, work.progress, func(ctx context.Context) error {
		var err error
		dump, err = work.run(ctx)
		return err
	})
	return dump, err
}

// capture is one attempt at one dump.
type capture struct {
	host     *Host
	in       DumpInput
	role     backupset.Role
	database string
	attempt  int
	to       *encryption.Recipients // nil: the dump stays plain
	writer   atomic.Pointer[seal.Writer]
	phase    phase
}

func (c *capture) progress() Progress {
	p := Progress{Phase: c.phase.text()}
	if w := c.writer.Load(); w != nil {
		p.Bytes = w.Plain()
	}
	return p
}

func (c *capture) run(ctx context.Context) (dump Dump, err error) {
	settings, err := c.host.settings()
	if err != nil {
		return Dump{}, err
	}
	local, err := c.host.Local(settings)
	if err != nil {
		return Dump{}, err
	}
	folder := stagingOf(settings, c.in.Set)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Dump{}, fmt.Errorf("make staging folder: %w", err)
	}
	node, err := canton.Find(ctx, c.host.Docker, NodeQuery(settings))
	if err != nil {
		return Dump{}, err
	}
	// What a killed worker left: a helper that it had made and not yet started does not end by itself.
	if _, err := c.host.Docker.RemoveHelpers(ctx, settings.Node.Name); err != nil {
		return Dump{}, err
	}
	session, err := c.host.open(ctx, settings, node, folder, c.database, fmt.Sprintf("%s %s %d", c.in.Set, c.role, c.attempt), &c.phase)
	if err != nil {
		return Dump{}, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	// An attempt that lost its worker may still dump beside us.
	if _, err := session.EndStrays(ctx); err != nil {
		return Dump{}, err
	}
	if c.to, err = planned(settings, c.in.Plan, c.host.Now()); err != nil {
		return Dump{}, err
	}
	component, err := c.describe(ctx, session)
	if err != nil {
		return Dump{}, err
	}
	dump = Dump{Component: component, Staged: stagedName(component)}
	contents := sqltext.NewReader()
	result, warnings, err := c.stream(ctx, session, local, filepath.Join(folder, dump.Staged), contents)
	if err != nil {
		return Dump{}, err
	}
	dump.Component.Contents = contents.Contents()
	dump.Component.Warnings = warnings
	dump.Component.Size, dump.Component.SHA256 = result.Size, result.SHA256
	dump.Component.ZstdLevel = result.ZstdLevel
	dump.Component.PlainSize, dump.Component.PlainSHA256 = result.PlainSize, result.PlainSHA256
	if dump.Component.EndLSN, err = session.Position(ctx); err != nil {
		return Dump{}, err
	}
	dump.Component.CompletedAt = c.host.Now().UTC()
	return dump, nil
}

// stagedName is another one for each attempt: one that lost its worker may still write.
func stagedName(c backupset.Component) string {
	return fmt.Sprintf("%s.%d-%s", c.File, c.Attempt, strings.ToLower(rand.Text()[:8]))
}

// describe reads positions and evidence in the transaction whose snapshot pg_dump will use.
func (c *capture) describe(ctx context.Context, s *postgres.Session) (backupset.Component, error) {
	component := backupset.Component{
		Role: c.role, Database: c.database, Codec: c.in.Plan.Codec, StartedAt: c.host.Now().UTC(), Attempt: c.attempt,
	}
	component.Encryption, component.Recipients = c.to.Describe()
	component.File = backupset.DumpName(c.database, c.in.Set, component.Codec, component.Encryption)
	tables, err := canton.Tables(ctx, s)
	if err != nil {
		return component, err
	}
	if tables == 0 {
		return component, fmt.Errorf("dump %s: %w: database %q holds no tables", c.role, canton.ErrNoDatabase, c.database)
	}
	component.StartLSN = s.Start()
	if err := s.QueryJSON(ctx, "SELECT pg_database_size(current_database())", &component.DatabaseSize); err != nil {
		return component, err
	}
	if component.SystemID, err = s.SystemID(ctx); err != nil {
		return component, err
	}
	if component.Client, err = s.Version(ctx); err != nil {
		return component, err
	}
	switch c.role {
	case backupset.Validator:
		component.ValidatorEvidence, err = canton.ReadValidator(ctx, s)
	case backupset.Participant:
		component.ParticipantEvidence, err = canton.ReadParticipant(ctx, s)
	}
	return component, err
}

// dumpStall is how long a dump may stand still. Lock waits are bounded on their own; a paused or wedged server says nothing at all.
const dumpStall = 10 * time.Minute

// stream dumps into the file and keeps an eye on the disk, which may be the database's own.
func (c *capture) stream(ctx context.Context, s *postgres.Session, local LocalStore, path string, contents io.Writer) (seal.Result, string, error) {
	w, err := seal.Create(path, seal.Form{Codec: c.in.Plan.Codec, Levels: c.in.Plan.Zstd, To: c.to, Watch: contents})
	if err != nil {
		return seal.Result{}, "", err
	}
	c.writer.Store(w)
	spared, done := sparing(ctx, "dump "+string(c.role)+" to "+local.Location(), func() (disk, bool) {
		free, total, err := local.Space(ctx)
		return disk{free, total}, err == nil
	})
	defer done()
	watched, cancel := context.WithCancelCause(spared)
	defer cancel(nil)
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		seen, moved := int64(0), time.Now()
		for {
			select {
			case <-watched.Done():
				return
			case <-ticker.C:
				if now := w.Plain(); now != seen {
					seen, moved = now, time.Now()
				} else if time.Since(moved) > dumpStall {
					cancel(fmt.Errorf("dump %s: %w for %s, after %s", c.role, errDumpStalled, dumpStall, humanize.IBytes(uint64(seen))))
				}
			}
		}
	}()
	warnings, err := s.Dump(watched, w)
	if err != nil {
		if cause := context.Cause(watched); ctx.Err() == nil && (errors.Is(cause, store.ErrFull) || errors.Is(cause, errDumpStalled)) {
			err = cause
		}
		return seal.Result{}, "", errors.Join(err, w.Abort())
	}
	result, err := w.Close()
	return result, warnings, err
}
