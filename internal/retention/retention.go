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

// Policy is what the operator asked for: a set stays when any of these keeps it. No value of it keeps nothing, see Plan.
type Policy struct {
	MaxAge      time.Duration // RETENTION_DAYS
	KeepLast    int           // KEEP_LAST: the newest verified sets that stay whatever their age, at least 1
	KeepDaily   int           // KEEP_DAILY: of each of the last so many UTC days that hold a verified set, the newest; 0 for none
	KeepWeekly  int           // KEEP_WEEKLY: the same for ISO weeks
	KeepMonthly int           // KEEP_MONTHLY: the same for UTC months
}

// Set is what retention needs to know of a set in one store. All of it comes from manifests, pins and the listing, never from file times.
type Set struct {
	ID       backupset.ID
	Own      bool              // sealed by this node, of its participant
	Verdict  backupset.Verdict // of the pair proof
	Complete bool              // all files that the manifest names are there, in their sizes
	Pinned   string            // why an operator keeps it, empty when nobody asked
	Epoch    string            // the synchronizer's state that it was taken in, see backupset.Manifest.Epoch; empty when it does not tell
}

// verified sets are the ones worth keeping: proven, and whole in this store.
func (s Set) verified() bool { return s.Verdict == backupset.Pass && s.Complete }

// Decision is the fate of one set.
type Decision struct {
	ID     backupset.ID `json:"set"`
	Keep   bool         `json:"keep"`
	Reason string       `json:"reason"` // every reason to keep it, joined by "; ", or the one to delete it
}

// Plan decides for every set, newest first. It never releases a foreign set, a set dated in the future, a pinned set, one of the newest
// KeepLast verified sets, the last verified set before the synchronizer was upgraded (domain R15), or the only own sets that there
// are (law 5); when our clock is behind a set, the set proves the clock wrong, so it is kept and does not push others out.
//
// Only own verified sets of the past take up places among the last ones and in the periods. Each rule looks at all of them, whatever another
// rule keeps, so that a policy with no field greater keeps no set that the other releases, and a plan of what is left releases nothing
// more. The one exception is the refusal, which is no answer to the policy but the lack of one: where no set is verified and all are
// older than MaxAge, all of them stay, and a longer MaxAge may keep the younger ones alone.
func Plan(now time.Time, sets []Set, policy Policy) []Decision {
	sorted := slices.Clone(sets)
	slices.SortStableFunc(sorted, func(a, b Set) int { return strings.Compare(string(b.ID), string(a.ID)) })

	byRule := places(now, sorted, policy)
	decisions := make([]Decision, 0, len(sorted))
	own, kept := 0, 0
	for i, s := range sorted {
		age := now.Sub(s.ID.Time())
		var reasons []string
		if s.Pinned != "" {
			reasons = append(reasons, "pinned: "+s.Pinned)
		}
		if age < -Skew {
			reasons = append(reasons, "dated in the future: check the clock of this host")
		}
		reasons = append(reasons, byRule[i]...)
		limit := fmt.Sprintf("%s old, kept for %s", days(age), days(policy.MaxAge))
		if age >= -Skew && age <= policy.MaxAge {
			reasons = append(reasons, limit)
		}
		d := Decision{ID: s.ID, Keep: len(reasons) > 0, Reason: strings.Join(reasons, "; ")}
		switch {
		case !s.Own:
			d.Keep, d.Reason = true, "not sealed by this node, or of another participant"
		case !d.Keep:
			d.Reason = limit
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

// places gives the reasons to keep that a set has by its place among the verified ones. The sets are sorted, newest first.
func places(now time.Time, sorted []Set, policy Policy) [][]string {
	reasons := make([][]string, len(sorted))
	add := func(i int, format string, args ...any) { reasons[i] = append(reasons[i], fmt.Sprintf(format, args...)) }

	var counted []int
	for i, s := range sorted {
		if s.Own && s.verified() && now.Sub(s.ID.Time()) >= -Skew {
			counted = append(counted, i)
		}
	}
	keepLast := max(policy.KeepLast, 1)
	for n, i := range counted[:min(keepLast, len(counted))] {
		add(i, "verified set %d of the last %d", n+1, keepLast)
	}
	for _, period := range []struct {
		unit string
		keep int
		name func(time.Time) string
	}{
		{"day", policy.KeepDaily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{"week", policy.KeepWeekly, func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", year, week) }},
		{"month", policy.KeepMonthly, func(t time.Time) string { return t.Format("2006-01") }},
	} {
		n, last := 0, ""
		for _, i := range counted {
			name := period.name(sorted[i].ID.Time())
			if name == last {
				continue
			}
			if n, last = n+1, name; n > period.keep {
				break
			}
			add(i, "newest of %s %s, %s %d of %d", period.unit, name, period.unit, n, period.keep)
		}
	}
	// The newest set of each stretch of one epoch. The newest stretch counts too: when its sets are followed by ones that do not tell their
	// epoch, it may be over. Sets that are not verified end no stretch, for they go by age and take the knowledge with them.
	after := ""
	for n, i := range counted {
		epoch := sorted[i].Epoch
		switch {
		case epoch == "" || epoch == after:
			continue
		case after != "":
			add(i, "last before the synchronizer upgrade from %s to %s", epoch, after)
		case n > 0:
			add(i, "last at synchronizer %s, the newer sets do not tell theirs", epoch)
		}
		after = epoch
	}
	return reasons
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
