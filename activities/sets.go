package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/store"
)

// Sets seals sets and copies them to targets.
type Sets struct{ *Host }

// SealInput is a pair of staged dumps.
type SealInput struct {
	Set         backupset.ID `json:"set"`
	Reason      string       `json:"reason,omitempty"`
	Plan        Plan         `json:"plan"`
	Validator   Dump         `json:"validator"`
	Participant Dump         `json:"participant"`
	Identities  *Dump        `json:"identities,omitempty"`
}

// dumps are what was staged, in the order of the manifest.
func (in SealInput) dumps() []Dump {
	all := []Dump{in.Validator, in.Participant}
	if in.Identities != nil {
		all = append(all, *in.Identities)
	}
	return all
}

// Sealed is what became of the pair.
type Sealed struct {
	Verdict backupset.Verdict `json:"verdict"`
	Checks  []backupset.Check `json:"checks"`
	Bytes   int64             `json:"bytes"`
	Changed string            `json:"changed,omitempty"` // the node became another participant, see becameAnother
}

// Seal proves that the two dumps belong together, then publishes them on this host, the manifest last. A pair that fails a check
// is thrown away: it must not look like a backup to anybody (law 4).
func (s *Sets) Seal(ctx context.Context, in SealInput) (Sealed, error) {
	var sealed Sealed
	err := withHeartbeat(ctx, func() Progress { return Progress{Phase: "sealing"} }, func(ctx context.Context) error {
		var err error
		sealed, err = s.seal(ctx, in)
		return err
	})
	return sealed, err
}

func (s *Sets) seal(ctx context.Context, in SealInput) (Sealed, error) {
	settings, err := s.settings()
	if err != nil {
		return Sealed{}, err
	}
	local, err := s.Local(settings)
	if err != nil {
		return Sealed{}, err
	}
	folder := stagingOf(settings, in.Set)
	staged := map[string]string{}
	var components []backupset.Component
	for _, d := range in.dumps() {
		staged[d.Component.File] = d.Staged
		components = append(components, d.Component)
		if d.Staged != filepath.Base(d.Staged) {
			return Sealed{}, fmt.Errorf("seal set %s: %q is no file of the staging folder", in.Set, d.Staged)
		}
	}
	checks, verdict := backupset.Prove(in.Validator.Component, in.Participant.Component)
	if verdict == backupset.Fail {
		err := fmt.Errorf("seal set %s: %w: %s", in.Set, errPairBroken, backupset.Failed(checks))
		return Sealed{}, errors.Join(err, os.RemoveAll(folder))
	}
	m := backupset.Manifest{
		Format: backupset.FormatFor(components), Set: in.Set, Node: in.Plan.Node, Network: in.Plan.Network, Reason: in.Reason,
		SealedAt: s.Now().UTC(), Program: s.Program, Facts: in.Plan.Facts,
		Components: components, Checks: checks, Verdict: verdict,
	}
	changed, err := s.becameAnother(ctx, settings, local, m)
	if err != nil {
		return Sealed{}, err
	}
	manifest, err := s.manifest(folder, local, m)
	if err != nil {
		return Sealed{}, err
	}
	err = catalog.Adopt(ctx, local, m, func(file string) string { return filepath.Join(folder, staged[file]) }, manifest)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: %w", errStagedGone, err)
	}
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{Verdict: verdict, Checks: checks, Bytes: m.Bytes(), Changed: changed}, os.RemoveAll(folder)
}

// becameAnother says so when the node is another participant than in the set before: it was onboarded anew, or the wrong database was
// dumped. Sets of the one before are not pruned any more: nothing else may hold its keys.
func (s *Sets) becameAnother(ctx context.Context, settings config.Settings, local LocalStore, m backupset.Manifest) (string, error) {
	listing, err := catalog.List(ctx, local, owner(settings))
	if err != nil || m.ParticipantID() == "" {
		return "", err
	}
	for _, e := range listing.Sets {
		// Not the set itself, which an earlier attempt may have sealed.
		before := e.Manifest.ParticipantID()
		if !e.Own || e.Manifest.Set >= m.Set || before == "" {
			continue
		}
		if before == m.ParticipantID() {
			return "", nil
		}
		return fmt.Sprintf("this node is now %s, in set %s it was %s; the sets of that one stay until you delete them", m.ParticipantID(), e.Manifest.Set, before), nil
	}
	return "", nil // the first set
}

// manifest writes the manifest to be published. An earlier attempt may have published one already, with its own time in it:
// then that one counts, for a sealed manifest never changes.
func (s *Sets) manifest(folder string, local LocalStore, m backupset.Manifest) (store.File, error) {
	for _, name := range []string{backupset.ManifestName(m.Set), backupset.IntentName(m.Set)} {
		if earlier, file, err := catalog.LocalManifest(local.Path(name)); err == nil && same(earlier, m) {
			return file, nil
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return store.File{}, fmt.Errorf("make staging folder: %w", err)
	}
	return catalog.WriteManifest(filepath.Join(folder, backupset.ManifestName(m.Set)), m)
}

// same reports whether two manifests describe the same files of the same node.
func same(a, b backupset.Manifest) bool {
	if a.Set != b.Set || a.Node != b.Node || a.Network != b.Network || len(a.Components) != len(b.Components) {
		return false
	}
	for i := range a.Components {
		if a.Components[i].File != b.Components[i].File || a.Components[i].SHA256 != b.Components[i].SHA256 {
			return false
		}
	}
	return true
}

// ends are the two ends of a copy, and the settings as they are now.
func (s *Sets) ends(kind config.Kind) (config.Settings, LocalStore, store.Store, error) {
	settings, err := s.settings()
	if err != nil {
		return settings, nil, nil, err
	}
	local, err := s.Local(settings)
	if err != nil {
		return settings, nil, nil, err
	}
	target, err := s.target(settings, kind)
	return settings, local, target, err
}

// UploadInput asks for a copy of a sealed set.
type UploadInput struct {
	Set    backupset.ID `json:"set"`
	Target config.Kind  `json:"target"`
}

// Uploaded is a copy that the target confirmed.
type Uploaded struct {
	Location string `json:"location"`
	Bytes    int64  `json:"bytes"`
}

// Upload copies a sealed set to one target, the manifest last. It returns when the target has shown every size and digest.
// A repeated Upload goes on where the last one stopped.
func (s *Sets) Upload(ctx context.Context, in UploadInput) (Uploaded, error) {
	var sent, total atomic.Int64
	var done Uploaded
	progress := func() Progress {
		return Progress{Phase: fmt.Sprintf("uploading to %s", in.Target), Bytes: sent.Load(), Total: total.Load()}
	}
	err := withHeartbeat(ctx, progress, func(ctx context.Context) error {
		settings, local, target, err := s.ends(in.Target)
		if err != nil {
			return err
		}
		m, manifest, err := catalog.LocalManifest(local.Path(backupset.ManifestName(in.Set)))
		if err != nil {
			return err
		}
		if settings.Encryption.Required && m.Plain() {
			return fmt.Errorf("upload set %s: %w", in.Set, errPlain)
		}
		total.Store(m.Bytes())
		done = Uploaded{Location: target.Location(), Bytes: m.Bytes()}
		begin := time.Now()
		if err := catalog.Publish(ctx, target, m, local.Path, manifest, sent.Store); err != nil || attempt(ctx) > 1 { // a later attempt may have found most of it there
			return err
		}
		if err := s.rates(settings).Note(target.Location(), m.Bytes(), time.Since(begin).Seconds()); err != nil {
			activity.GetLogger(ctx).Warn(err.Error()) // a hint, see uplink.Rates
		}
		return nil
	})
	return done, err
}
