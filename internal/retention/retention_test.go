package retention_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/retention"
)

var update = flag.Bool("update", false, "write golden files anew")

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func good(age time.Duration) retention.Set {
	return retention.Set{ID: backupset.NewID(now.Add(-age)), Own: true, Verdict: backupset.Pass, Complete: true}
}

func with(s retention.Set, changes ...func(*retention.Set)) retention.Set {
	for _, change := range changes {
		change(&s)
	}
	return s
}

func every(interval time.Duration, n int) []retention.Set {
	var sets []retention.Set
	for i := range n {
		sets = append(sets, good(time.Duration(i)*interval))
	}
	return sets
}

func TestPlan_Golden(t *testing.T) {
	unproven := func(s *retention.Set) { s.Verdict = backupset.Unknown }
	damaged := func(s *retention.Set) { s.Complete = false }
	foreign := func(s *retention.Set) { s.Own = false }
	pinned := func(s *retention.Set) { s.Pinned = "before the key rotation" }
	at := func(epoch string) func(*retention.Set) { return func(s *retention.Set) { s.Epoch = epoch } }
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
		"days_weeks_months":   {every(12*time.Hour, 200), retention.Policy{MaxAge: day, KeepLast: 2, KeepDaily: 4, KeepWeekly: 3, KeepMonthly: 2}},
		"periods_with_gaps":   {[]retention.Set{good(0), good(30 * day), good(31 * day), good(400 * day), good(401 * day)}, retention.Policy{MaxAge: day, KeepDaily: 3, KeepMonthly: 3}},
		"damaged_fill_no_day": {[]retention.Set{good(0), with(good(3*day), damaged), good(3*day + time.Hour), good(4 * day)}, retention.Policy{MaxAge: day, KeepDaily: 2}},
		"pinned_past_all":     {[]retention.Set{good(0), with(good(5000*day), pinned), with(good(5001*day), unproven, pinned), good(5002 * day)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"pinned_foreign":      {[]retention.Set{good(0), with(good(90*day), foreign, pinned)}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"synchronizer_upgrade": {[]retention.Set{with(good(0), at("35-4")), with(good(40*day), at("35-4")), with(good(41*day), at("35-3"), unproven), with(good(42*day), at("35-3")),
			with(good(43*day), at("35-3")), with(good(90*day), at("")), with(good(91*day), at("34-2"))}, retention.Policy{MaxAge: day, KeepLast: 1}},
		"synchronizer_untold": {[]retention.Set{good(0), good(day), with(good(2*day), at("35-3")), with(good(3*day), at("35-3"))}, retention.Policy{MaxAge: day, KeepLast: 1}},
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
