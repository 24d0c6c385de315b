package retention_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"canton-backup/internal/backupset"
	"canton-backup/internal/retention"
)

var update = flag.Bool("update", false, "write golden files anew")

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func good(age time.Duration) retention.Set {
	return retention.Set{ID: backupset.NewID(now.Add(-age)), Own: true, Verdict: backupset.Pass, Complete: true}
}

func with(s retention.Set, change func(*retention.Set)) retention.Set { change(&s); return s }

func TestPlan_Golden(t *testing.T) {
	unproven := func(s *retention.Set) { s.Verdict = backupset.Unknown }
	damaged := func(s *retention.Set) { s.Complete = false }
	foreign := func(s *retention.Set) { s.Own = false }
	for name, tc := range map[string]struct {
		sets   []retention.Set
		policy retention.Policy
	}{
		"by_age":              {[]retention.Set{good(0), good(4 * time.Hour), good(20 * time.Hour), good(25 * time.Hour), good(3 * day)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"keep_last":           {[]retention.Set{good(40 * day), good(41 * day), good(42 * day), good(43 * day)}, retention.Policy{MaxAge: day, KeepLast: 3}},
		"unproven_fill_not":   {[]retention.Set{with(good(0), unproven), with(good(2*day), unproven), good(9 * day), good(10 * day)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"damaged_count_not":   {[]retention.Set{with(good(2*day), damaged), good(9 * day), good(10 * day)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"foreign_untouched":   {[]retention.Set{good(0), with(good(90*day), foreign), good(91 * day)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"future_prunes_none":  {[]retention.Set{good(-30 * day), good(-29 * day), good(3 * day), good(4 * day)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"nothing_would_stay":  {[]retention.Set{with(good(3*day), unproven), with(good(4*day), damaged)}, retention.Policy{MaxAge: day, KeepLast: 3}},
		"empty":               {nil, retention.Policy{MaxAge: day, KeepLast: 3}},
		"clock_far_ahead":     {[]retention.Set{good(4000 * day), good(4001 * day), good(4002 * day), good(4003 * day)}, retention.Policy{MaxAge: day, KeepLast: 3}},
		"keep_last_zero_is_1": {[]retention.Set{good(9 * day), good(10 * day)}, retention.Policy{MaxAge: day}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(retention.Plan(now, tc.sets, tc.policy), "", "  ")
			require.NoError(t, err)
			golden := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got)+"\n")
		})
	}
}

// Random histories and policies: whatever they are, the laws hold.
func TestPlan_Laws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := retention.Policy{
			MaxAge:   time.Duration(rapid.IntRange(0, 60).Draw(t, "days")) * day,
			KeepLast: rapid.IntRange(-1, 6).Draw(t, "keepLast"),
		}
		ages := rapid.SliceOfNDistinct(rapid.IntRange(-100, 3000), 0, 40, rapid.ID[int]).Draw(t, "hours")
		sets := map[backupset.ID]retention.Set{}
		var list []retention.Set
		for _, hours := range ages {
			s := good(time.Duration(hours) * time.Hour)
			s.Own = rapid.Float64().Draw(t, "own") < 0.8
			s.Complete = rapid.Float64().Draw(t, "complete") < 0.8
			s.Verdict = rapid.SampledFrom([]backupset.Verdict{backupset.Pass, backupset.Pass, backupset.Unknown}).Draw(t, "verdict")
			sets[s.ID] = s
			list = append(list, s)
		}
		decisions := retention.Plan(now, list, policy)
		if len(decisions) != len(list) {
			t.Fatalf("%d decisions for %d sets", len(decisions), len(list))
		}
		proven := func(s retention.Set) bool {
			return s.Own && s.Complete && s.Verdict == backupset.Pass && !s.ID.Time().After(now.Add(retention.Skew))
		}
		var own, ownLeft, provenAll, provenLeft int
		var left []retention.Set
		for _, d := range decisions {
			s := sets[d.ID]
			if d.Reason == "" {
				t.Fatalf("no reason for %s", d.ID)
			}
			if s.Own {
				own++
			}
			if proven(s) {
				provenAll++
			}
			if d.Keep {
				left = append(left, s)
				if s.Own {
					ownLeft++
				}
				if proven(s) {
					provenLeft++
				}
				continue
			}
			if !s.Own {
				t.Fatalf("foreign set %s released", d.ID)
			}
			if age := now.Sub(s.ID.Time()); age <= policy.MaxAge {
				t.Fatalf("set %s released at age %s, kept for %s", d.ID, age, policy.MaxAge)
			}
		}
		if own > 0 && ownLeft == 0 {
			t.Fatal("nothing left")
		}
		if floor := min(provenAll, max(policy.KeepLast, 1)); provenLeft < floor {
			t.Fatalf("%d verified sets left, want at least %d", provenLeft, floor)
		}
		if again := retention.Released(retention.Plan(now, left, policy)); len(again) != 0 {
			t.Fatalf("a second prune releases %v", again)
		}
		later := retention.Plan(now.Add(day), list, policy)
		released := map[backupset.ID]bool{}
		for _, id := range retention.Released(later) {
			released[id] = true
		}
		future := false
		for _, s := range list {
			future = future || s.ID.Time().After(now.Add(retention.Skew))
		}
		for _, id := range retention.Released(decisions) {
			if !future && !released[id] {
				t.Fatalf("set %s released today, not tomorrow", id)
			}
		}
	})
}
