// Package retention decides which backup sets may be deleted, and says why. It is pure: it gets the time and the sets, and
// returns decisions; the caller acts on them.
package retention

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"canton-backup/internal/backupset"
)

// Skew is how far a set may be dated ahead of our clock before it counts as dated in the future.
const Skew = 5 * time.Minute

// Policy is what the operator asked for.
type Policy struct {
	MaxAge   time.Duration // RETENTION_DAYS
	KeepLast int           // KEEP_LAST: the newest verified sets that stay whatever their age, at least 1
}

// Set is what retention needs to know of a set in one store. All of it comes from manifests and the listing, never from file times.
type Set struct {
	ID       backupset.ID
	Own      bool              // sealed by this node, of its participant
	Verdict  backupset.Verdict // of the pair proof
	Complete bool              // all files that the manifest names are there, in their sizes
}

// verified sets are the ones worth keeping: proven, and whole in this store.
func (s Set) verified() bool { return s.Verdict == backupset.Pass && s.Complete }

// Decision is the fate of one set.
type Decision struct {
	ID     backupset.ID `json:"set"`
	Keep   bool         `json:"keep"`
	Reason string       `json:"reason"`
}

// Plan decides for every set, newest first. It never releases a foreign set, a set dated in the future, one of the newest
// KeepLast verified sets, or the only own sets that there are (law 5); when our clock is behind a set, the set proves the
// clock wrong, so it is kept and does not push others out.
func Plan(now time.Time, sets []Set, policy Policy) []Decision {
	sorted := slices.Clone(sets)
	slices.SortStableFunc(sorted, func(a, b Set) int { return strings.Compare(string(b.ID), string(a.ID)) })

	keepLast := max(policy.KeepLast, 1)
	decisions := make([]Decision, 0, len(sorted))
	verified, own, kept := 0, 0, 0
	for _, s := range sorted {
		d := Decision{ID: s.ID, Keep: true}
		age := now.Sub(s.ID.Time())
		future := age < -Skew
		if s.Own && !future && s.verified() {
			verified++
		}
		switch {
		case !s.Own:
			d.Reason = "not sealed by this node, or of another participant"
		case future:
			d.Reason = "dated in the future: check the clock of this host"
		case s.verified() && verified <= keepLast:
			d.Reason = fmt.Sprintf("verified set %d of the last %d", verified, keepLast)
		case age <= policy.MaxAge:
			d.Reason = fmt.Sprintf("%s old, kept for %s", days(age), days(policy.MaxAge))
		default:
			d.Keep = false
			d.Reason = fmt.Sprintf("%s old, kept for %s", days(age), days(policy.MaxAge))
		}
		if s.Own {
			own++
			if d.Keep {
				kept++
			}
		}
		decisions = append(decisions, d)
	}
	if own > 0 && kept == 0 {
		for i := range decisions {
			if !decisions[i].Keep {
				decisions[i].Keep, decisions[i].Reason = true, "refused: nothing would be left of this node"
			}
		}
	}
	return decisions
}

// Released returns the ids that may be deleted, oldest first, so that an interrupted prune has removed the least valuable ones.
func Released(decisions []Decision) []backupset.ID {
	var ids []backupset.ID
	for _, d := range slices.Backward(decisions) {
		if !d.Keep {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

func days(d time.Duration) string { return fmt.Sprintf("%.1f d", d.Hours()/24) }
