package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"canton-backup/internal/backupset"
	"canton-backup/internal/canton"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/encryption"
	"canton-backup/internal/identities"
	"canton-backup/internal/seal"
	"canton-backup/internal/store"
)

// The names of what may be wrong with a set's identities, beside those of the identities package.
const (
	IdentitiesStale   = "IdentitiesStale"   // the node could not be asked; the set holds those of an earlier set
	IdentitiesMissing = "IdentitiesMissing" // nor is there an earlier one: the set holds none
)

// IdentitiesInput asks for the node's identities, which must be those of the participant that was dumped.
type IdentitiesInput struct {
	DumpInput
	Participant string `json:"participant"` // its id, "" when the database does not tell
}

// IdentitiesDump is what DumpIdentities staged, and what is wrong with it.
type IdentitiesDump struct {
	Dump    *Dump  `json:"dump,omitempty"` // nil: the set holds none
	Warning string `json:"warning,omitempty"`
	// New: the set before had fresh ones, so that this is the time to tell somebody.
	New bool `json:"new,omitempty"`
}

// DumpIdentities fetches the node's identities for the set (domain R5, R7, R27). For want of them no backup fails: what is wrong comes back as a
// warning with a name, and those of the last set that has them are carried on.
func (d *Dumps) DumpIdentities(ctx context.Context, in IdentitiesInput) (IdentitiesDump, error) {
	var dump IdentitiesDump
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "fetching the node's identities"} }, func(ctx context.Context) error {
		settings, err := d.settings()
		if err != nil || settings.Identities.Off {
			return err
		}
		if _, err := planned(settings, in.Plan, d.Now()); err != nil {
			return err
		}
		fetched, err := d.fetchIdentities(ctx, settings, in)
		if err == nil {
			dump.Dump = fetched
			return nil
		}
		if identities.Name(err) == "" { // nothing that is wrong with the node
			return err
		}
		dump, err = d.carryOn(ctx, settings, in, err)
		return err
	})
	return dump, err
}

func (d *Dumps) fetchIdentities(ctx context.Context, s config.Settings, in IdentitiesInput) (*Dump, error) {
	node, err := canton.Find(ctx, d.Docker, NodeQuery(s))
	if err != nil {
		return nil, err
	}
	source, err := identities.Locate(node.Validator, s.Identities)
	if err != nil {
		return nil, err
	}
	fetched, err := identities.Fetch(ctx, source)
	if err != nil {
		return nil, err
	}
	if err := fetched.Belongs(in.Participant); err != nil {
		return nil, err
	}
	to, err := IdentitiesRecipients(s, d.Now())
	if err != nil {
		return nil, err
	}
	now := d.Now().UTC()
	c := backupset.Component{
		Role: backupset.Identities, StartedAt: now, CompletedAt: now, Attempt: int(activity.GetInfo(ctx).Attempt),
		IdentitiesEvidence: &backupset.IdentitiesEvidence{ID: fetched.ID, Version: fetched.Version, Keys: fetched.KeyDigest, TakenAt: now, For: in.Set},
	}
	c.Encryption, c.Recipients = to.Describe()
	return stageIdentities(s, in.Set, c, to, func(w io.Writer) error {
		_, err := w.Write(fetched.Reveal())
		return err
	})
}

// stageIdentities writes a component into the set's staging folder.
func stageIdentities(s config.Settings, set backupset.ID, c backupset.Component, to *encryption.Recipients, write func(io.Writer) error) (*Dump, error) {
	folder := stagingOf(s, set)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make staging folder: %w", err)
	}
	c.File = backupset.IdentitiesName(set, c.Encryption)
	staged := stagedName(c)
	w, err := seal.Create(filepath.Join(folder, staged), seal.Form{To: to})
	if err != nil {
		return nil, err
	}
	if err := write(w); err != nil {
		return nil, errors.Join(fmt.Errorf("stage identities: %w", err), w.Abort())
	}
	result, err := w.Close()
	if err != nil {
		return nil, err
	}
	c.Size, c.SHA256, c.PlainSize, c.PlainSHA256 = result.Size, result.SHA256, result.PlainSize, result.PlainSHA256
	return &Dump{Component: c, Staged: staged}, nil
}

// carryOn stages the identities of the newest set that has those of the same participant, as they lie there: this host cannot open them.
func (d *Dumps) carryOn(ctx context.Context, s config.Settings, in IdentitiesInput, cause error) (IdentitiesDump, error) {
	name := identities.Name(cause)
	missing := IdentitiesDump{Warning: fmt.Sprintf("%s: %s: %v; the set holds none", IdentitiesMissing, name, cause)}
	local, err := d.Local(s)
	if err != nil {
		return IdentitiesDump{}, err
	}
	listing, err := catalog.List(ctx, local, owner(s))
	if err != nil {
		return IdentitiesDump{}, err
	}
	to, err := IdentitiesRecipients(s, d.Now())
	if err != nil {
		return IdentitiesDump{}, err
	}
	method, prints := to.Describe()
	missing.New = freshBefore(listing, in.Set)
	for _, e := range listing.Sets {
		c, has := e.Manifest.Component(backupset.Identities)
		if !has || !e.Own || e.Damage != "" || c.IdentitiesEvidence == nil || in.Participant == "" || c.IdentitiesEvidence.ID != in.Participant {
			continue
		}
		// Those that were encrypted to other keys, or to none, may be what the keys were changed for.
		if c.Encryption != method || !slices.Equal(c.Recipients, prints) {
			continue
		}
		stored, err := readStored(ctx, local, c)
		if errors.Is(err, seal.ErrDiffers) {
			continue // rotten: an older set may still have them whole
		}
		if err != nil {
			return IdentitiesDump{}, err
		}
		dump, err := stageIdentities(s, in.Set, c, nil, func(w io.Writer) error { _, err := w.Write(stored); return err })
		if err != nil {
			return IdentitiesDump{}, err
		}
		dump.Component.PlainSize, dump.Component.PlainSHA256 = c.PlainSize, c.PlainSHA256
		taken := c.IdentitiesEvidence.TakenAt
		return IdentitiesDump{Dump: dump, New: missing.New, Warning: fmt.Sprintf("%s: %s: %v; those of %s are kept, which are %s old", IdentitiesStale, name, cause, taken.Format(time.DateTime+" UTC"), age(d.Now().Sub(taken)))}, nil
	}
	return missing, nil
}

// freshBefore reports whether the newest set before that one holds identities of its own time.
func freshBefore(listing catalog.Listing, set backupset.ID) bool {
	for _, e := range listing.Sets {
		if e.Own && e.Manifest.Set < set {
			return e.Manifest.FreshIdentities()
		}
	}
	return false
}

const identitiesLimit = 4 << 20 // bytes, encrypted

// readStored reads a small component and proves that it is what its manifest says.
func readStored(ctx context.Context, from store.Store, c backupset.Component) ([]byte, error) {
	r, err := from.Open(ctx, c.File, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, identitiesLimit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.File, err)
	}
	return data, seal.VerifyStored(strings.NewReader(string(data)), c)
}

// IdentitiesRecipients are the public keys for the identities: their own when the settings name some, else those of the dumps.
func IdentitiesRecipients(s config.Settings, now time.Time) (*encryption.Recipients, error) {
	own := s.Encryption.IdentitiesTo
	if len(own) == 0 {
		return Recipients(s, now)
	}
	other := s
	other.Encryption.AgeRecipients, other.Encryption.GPGPublicKeys = slices.Clone(own), slices.Clone(own)
	return Recipients(other, now)
}
