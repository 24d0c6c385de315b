package activities

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"canton-backup/internal/backupset"
	"canton-backup/internal/catalog"
	"canton-backup/internal/config"
	"canton-backup/internal/retention"
)

// CatchUpInput names a target that holds the set just made.
type CatchUpInput struct {
	Set    backupset.ID `json:"set"`
	Target config.Kind  `json:"target"`
}

// CaughtUp says which sets the target had missed and has now.
type CaughtUp struct {
	Sets []backupset.ID `json:"sets,omitempty"`
	Left int            `json:"left,omitempty"` // that a later run will send
}

// CatchUp copies to a target the sets of this host that it missed: it was down, full or not there yet. The newest come first, and a set
// that retention would release there at once is not sent. When half the time to the next backup is over, the rest is left to later runs:
// old sets must not keep the node from its next one. A repeated CatchUp goes on where the last one stopped.
func (s *Sets) CatchUp(ctx context.Context, in CatchUpInput) (CaughtUp, error) {
	var sent, total atomic.Int64
	var caught CaughtUp
	progress := func() Progress {
		return Progress{Phase: fmt.Sprintf("bringing %s what it missed", in.Target), Bytes: sent.Load(), Total: total.Load()}
	}
	err := withHeartbeat(ctx, progress, func(ctx context.Context) error {
		settings, local, target, err := s.ends(in.Target)
		if err != nil {
			return err
		}
		m, _, err := catalog.LocalManifest(local.Path(backupset.ManifestName(in.Set)))
		if err != nil {
			return err
		}
		own := owner(settings).Like(m)
		here, err := catalog.List(ctx, local, own)
		if err != nil {
			return err
		}
		there, err := catalog.List(ctx, target, own)
		if err != nil {
			return err
		}
		missed := Missed(s.Now(), here, there, settings)
		for _, e := range missed {
			total.Add(e.Manifest.Bytes())
		}
		if err := os.MkdirAll(staging(settings), 0o700); err != nil {
			return fmt.Errorf("make staging folder: %w", err)
		}
		enough := s.Now().Add(settings.Every / 2)
		for _, e := range missed {
			if s.Now().After(enough) {
				caught.Left++
				continue
			}
			m, before := e.Manifest, sent.Load()
			_, manifest, err := catalog.LocalManifest(local.Path(backupset.ManifestName(m.Set)))
			if errors.Is(err, catalog.ErrUnsealed) {
				continue // somebody removed it by hand since it was listed
			}
			if err != nil {
				return err
			}
			if err := catalog.Publish(ctx, target, m, local.Path, manifest, func(n int64) { sent.Store(before + n) }); err != nil {
				return err
			}
			if e.Pinned != "" { // or the next prune there would take what was just sent
				if err := catalog.Pin(ctx, target, own, m, e.Pinned, s.Now(), staging(settings)); err != nil {
					return err
				}
			}
			caught.Sets = append(caught.Sets, m.Set)
		}
		return nil
	})
	return caught, err
}

// Missed are the sets of this node that lie here, whole, and not there, newest first: without those that retention would release there, and
// without plain ones when the settings encrypt by now.
func Missed(now time.Time, here, there catalog.Listing, s config.Settings) []catalog.Entry {
	has := map[backupset.ID]bool{}
	for _, e := range there.Sets {
		has[e.Manifest.Set] = true
	}
	both := catalog.Listing{Sets: there.Sets}
	var candidates []catalog.Entry
	for _, e := range here.Sets {
		if !e.Own || e.Damage != "" || has[e.Manifest.Set] || s.Encryption.Method != backupset.Unencrypted && e.Manifest.Plain() {
			continue
		}
		candidates = append(candidates, e)
		both.Sets = append(both.Sets, e)
	}
	kept := map[backupset.ID]bool{}
	for _, d := range PlanPrune(now, both, s.Retention) {
		kept[d.ID] = kept[d.ID] || d.Keep
	}
	var missed []catalog.Entry
	for _, e := range candidates {
		if kept[e.Manifest.Set] && !e.Manifest.Set.Time().After(now.Add(retention.Skew)) {
			missed = append(missed, e)
		}
	}
	return missed
}
