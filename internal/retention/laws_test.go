package retention_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"canton-backup/internal/backupset"
	"canton-backup/internal/retention"
)

const histories = 10_000

// check runs a property on so many random histories, more when -rapid.checks asks for more.
func check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	if n, err := strconv.Atoi(before); err != nil || n < histories {
		require.NoError(t, checks.Set(strconv.Itoa(histories)))
		defer func() { require.NoError(t, checks.Set(before)) }()
	}
	ran := 0
	rapid.Check(t, func(r *rapid.T) { ran++; property(r) })
	require.GreaterOrEqual(t, ran, histories)
}

// history draws the sets of one store: sealed every few hours with gaps, or all in a heap, own and foreign, proven and not, whole and
// damaged, pinned, across synchronizer upgrades, and with a clock that may be behind all of them.
var history = rapid.Custom(func(t *rapid.T) []retention.Set {
	hours := rapid.SliceOfNDistinct(rapid.IntRange(-60, 3000), 0, 24, rapid.ID[int]).Draw(t, "hours")
	if rapid.IntRange(0, 9).Draw(t, "clock") == 0 {
		for i := range hours {
			hours[i] -= 2900 // our clock is behind most of them
		}
	}
	sound := rapid.IntRange(0, 9).Draw(t, "sound") // of ten sets so many are in order, none of them in some histories
	sets := make([]retention.Set, len(hours))
	for i, h := range hours {
		s := good(time.Duration(h) * time.Hour)
		traits := rapid.IntRange(0, 9999).Draw(t, "traits")
		s.Own = traits%10 < 8
		if traits/10%10 >= sound {
			s.Complete = traits/100%2 == 0
			s.Verdict = []backupset.Verdict{backupset.Unknown, backupset.Fail, backupset.Pass}[traits%3]
		}
		if traits/1000 == 0 {
			s.Pinned = "asked for"
		}
		// An upgrade every 900 hours or so, told by most sets, and one that goes back.
		if traits/100%10 > 1 {
			s.Epoch = fmt.Sprintf("sync::35-%d", []int{1, 2, 1, 3, 4, 4, 5}[(h+3000)/900%7])
		}
		sets[i] = s
	}
	return sets
})

var policy = rapid.Custom(func(t *rapid.T) retention.Policy {
	few := rapid.OneOf(rapid.Just(0), rapid.IntRange(-1, 8))
	return retention.Policy{
		MaxAge:      time.Duration(rapid.IntRange(0, 60).Draw(t, "days")) * day,
		KeepLast:    rapid.IntRange(-1, 6).Draw(t, "last"),
		KeepDaily:   few.Draw(t, "daily"),
		KeepWeekly:  few.Draw(t, "weekly"),
		KeepMonthly: few.Draw(t, "monthly"),
	}
})

func counts(s retention.Set) bool {
	return s.Own && s.Complete && s.Verdict == backupset.Pass && !s.ID.Time().After(now.Add(retention.Skew))
}

// kept gives the sets that stay, newest first, and whether the prune was refused.
func kept(t *rapid.T, sets []retention.Set, p retention.Policy) (left []retention.Set, refused bool) {
	decisions := retention.Plan(now, sets, p)
	if len(decisions) != len(sets) {
		t.Fatalf("%d decisions for %d sets", len(decisions), len(sets))
	}
	for _, d := range decisions {
		if d.Reason == "" {
			t.Fatalf("no reason for %s", d.ID)
		}
		refused = refused || strings.HasPrefix(d.Reason, "refused")
		if d.Keep {
			left = append(left, sets[slices.IndexFunc(sets, func(s retention.Set) bool { return s.ID == d.ID })])
		}
	}
	return left, refused
}

func has(sets []retention.Set, id backupset.ID) bool {
	return slices.ContainsFunc(sets, func(s retention.Set) bool { return s.ID == id })
}

// What no policy releases, whatever the history.
func TestPlan_NeverReleases(t *testing.T) {
	check(t, func(t *rapid.T) {
		sets, p := history.Draw(t, "sets"), policy.Draw(t, "policy")
		left, _ := kept(t, sets, p)

		own, ownLeft := 0, 0
		var counted []retention.Set
		for _, s := range sets {
			stays := has(left, s.ID)
			if s.Own {
				own++
				if stays {
					ownLeft++
				}
			}
			if counts(s) {
				counted = append(counted, s)
			}
			switch age := now.Sub(s.ID.Time()); {
			case stays:
			case !s.Own:
				t.Fatalf("foreign set %s released", s.ID)
			case s.Pinned != "":
				t.Fatalf("pinned set %s released", s.ID)
			case age < -retention.Skew:
				t.Fatalf("set %s released, which is dated in the future", s.ID)
			case age <= p.MaxAge:
				t.Fatalf("set %s released at age %s, kept for %s", s.ID, age, p.MaxAge)
			}
		}
		if own > 0 && ownLeft == 0 {
			t.Fatal("nothing left")
		}

		slices.SortFunc(counted, func(a, b retention.Set) int { return strings.Compare(string(b.ID), string(a.ID)) })
		for i, s := range counted {
			if i < max(p.KeepLast, 1) && !has(left, s.ID) {
				t.Fatalf("set %s released, number %d of the last %d", s.ID, i+1, p.KeepLast)
			}
		}
		var told []retention.Set
		for _, s := range counted {
			if s.Epoch != "" {
				told = append(told, s)
			}
		}
		for i, s := range told {
			if i > 0 && s.Epoch != told[i-1].Epoch && !has(left, s.ID) {
				t.Fatalf("set %s released, the last before the upgrade from %s to %s", s.ID, s.Epoch, told[i-1].Epoch)
			}
		}
		for _, rule := range []struct {
			keep   int
			period func(time.Time) string
		}{
			{p.KeepDaily, func(t time.Time) string { return t.Format(time.DateOnly) }},
			{p.KeepWeekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, "-", w) }},
			{p.KeepMonthly, func(t time.Time) string { return t.Format("2006-01") }},
		} {
			seen := map[string]bool{}
			for _, s := range counted {
				if name := rule.period(s.ID.Time()); !seen[name] && len(seen) < rule.keep {
					seen[name] = true
					if !has(left, s.ID) {
						t.Fatalf("set %s released, the newest of %s", s.ID, name)
					}
				}
			}
		}
	})
}

// The order in which a store lists its sets decides nothing, and a prune leaves nothing to the next one, today or tomorrow.
func TestPlan_SameAnswerTwice(t *testing.T) {
	check(t, func(t *rapid.T) {
		sets, p := history.Draw(t, "sets"), policy.Draw(t, "policy")
		first := retention.Plan(now, sets, p)
		shuffled := rapid.Permutation(sets).Draw(t, "shuffled")
		if second := retention.Plan(now, shuffled, p); !slices.Equal(first, second) {
			t.Fatalf("first %v\nthen %v", first, second)
		}
		left, _ := kept(t, sets, p)
		if again := retention.Released(retention.Plan(now, left, p)); len(again) > 0 {
			t.Fatalf("a second prune releases %v", again)
		}
		future := slices.ContainsFunc(sets, func(s retention.Set) bool { return s.ID.Time().After(now.Add(retention.Skew)) })
		later := retention.Plan(now.Add(day), sets, p)
		refused := slices.ContainsFunc(later, func(d retention.Decision) bool { return strings.HasPrefix(d.Reason, "refused") })
		tomorrow := retention.Released(later)
		for _, id := range retention.Released(first) {
			if !future && !refused && !slices.Contains(tomorrow, id) {
				t.Fatalf("set %s released today, not tomorrow", id)
			}
		}
	})
}

// A policy with no field greater keeps no set that the other releases. A refusal is not a policy's answer: it happens only where no set
// counts and all are too old, and then the greater policy keeps what it keeps by age alone.
func TestPlan_ShorterKeepsNoMore(t *testing.T) {
	refusals := 0
	check(t, func(t *rapid.T) {
		sets, long := history.Draw(t, "sets"), policy.Draw(t, "policy")
		short := long
		less := func(field string, value *int) { *value = rapid.IntRange(-1, max(*value, -1)).Draw(t, field) }
		less("less last", &short.KeepLast)
		less("less daily", &short.KeepDaily)
		less("less weekly", &short.KeepWeekly)
		less("less monthly", &short.KeepMonthly)
		short.MaxAge = time.Duration(rapid.IntRange(0, int(long.MaxAge/day)).Draw(t, "less days")) * day

		fewer, refused := kept(t, sets, short)
		more, _ := kept(t, sets, long)
		if refused {
			refusals++
			if len(fewer) != len(sets) {
				t.Fatal("a refused prune deletes nothing")
			}
			for _, s := range sets {
				if s.Own && (counts(s) || s.Pinned != "" || now.Sub(s.ID.Time()) <= short.MaxAge) {
					t.Fatalf("refused although set %s stays", s.ID)
				}
			}
			return
		}
		for _, s := range fewer {
			if !has(more, s.ID) {
				t.Fatalf("%+v keeps %s, %+v does not", short, s.ID, long)
			}
		}
	})
	require.NotZero(t, refusals, "no history came to a refusal")
}

// A pin decides the fate of its own set alone, except that it ends a refusal.
func TestPlan_PinTouchesNoOther(t *testing.T) {
	check(t, func(t *rapid.T) {
		sets, p := history.Draw(t, "sets"), policy.Draw(t, "policy")
		if len(sets) == 0 {
			return
		}
		before, refused := kept(t, sets, p)
		if refused {
			return
		}
		pinned := slices.Clone(sets)
		one := rapid.IntRange(0, len(sets)-1).Draw(t, "one")
		pinned[one].Pinned = "asked for"
		after, _ := kept(t, pinned, p)
		for _, s := range sets {
			if s.ID != sets[one].ID && has(before, s.ID) != has(after, s.ID) {
				t.Fatalf("the pin of %s changes the fate of %s", sets[one].ID, s.ID)
			}
		}
	})
}
