package panel_test

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
	"canton-backup/internal/testkit/reports"
)

var tags = regexp.MustCompile(`<(style|title|desc)[^>]*>[^<]*</(style|title|desc)>|<[^>]*>`)

// text is what the page says, without its tags.
func text(t *testing.T, r health.Report) string {
	t.Helper()
	w := get(t, r, "/")
	require.Equal(t, 200, w.Code)
	return html.UnescapeString(strings.Join(strings.Fields(tags.ReplaceAllString(w.Body.String(), " ")), " "))
}

// The answer is what the page is for: it must never promise more than the report holds.
func TestPage_Answer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *health.Report)
		says   []string
		never  string
	}{
		"all is well": {func(*health.Report) {}, []string{"✓ Yes, to 28 Nov 2026 08:00 UTC , 12 min ago", "It lies on this host, rsync, r2.", "If this host is lost: the same, from a target.", "✓ OK"}, "need"},
		"no target": {func(r *health.Report) {
			r.Places, r.LastGood.OffHost, r.LastGood.OffHostAgeS = r.Places[:1], "", 0
		}, []string{"Yes,", "If this host is lost, so are its sets: no target is set"}, ""},
		"targets hold none": {func(r *health.Report) { r.LastGood.OffHost = "" }, []string{"! Yes,", "If this host is lost: no. No target holds a verified set.", "✕ FAILED off-host-too-old"}, "the same, from a target"},
		"targets hold an older one": {func(r *health.Report) {
			r.LastGood.OffHost, r.LastGood.OffHostAgeS = r.Sets[5].Set, int64(r.At.Sub(r.Sets[5].Set.Time()).Seconds())
		}, []string{"If this host is lost: to 27 Nov 2026 12:00 UTC (set 20261127_120000, made 20 h 12 min ago)."}, "the same, from a target"},
		"no set": {func(r *health.Report) { r.LastGood, r.Sets = nil, nil }, []string{"✕ No: there is no verified set", "Recovery paths: 1 of 3 open"}, "Yes"},
		"no set, and a place that cannot be listed": {func(r *health.Report) {
			r.LastGood, r.Sets, r.Places[1].Error = nil, nil, "refused"
		}, []string{"✕ No: no verified set can be seen", "What lies on rsync is not known", "No verified set can be seen."}, "there is no verified set"},
		"the first one is being made": {func(r *health.Report) {
			r.LastGood, r.Sets, r.Running = nil, nil, &health.Run{Type: "BackupNode", Started: r.At.Add(-time.Minute), Line: "Dumping participant DB"}
			for i := range r.Places {
				r.Places[i].Sets = 0
			}
		}, []string{"Not yet: the first backup is being made", "Running now Backup since 28 Nov 2026 08:11 UTC, 1 min ago Dumping participant DB"}, "Yes"},
		"too old for the network": {func(r *health.Report) {
			old := r.At.AddDate(0, 0, -31)
			r.Sets[0].RecordTime = &old
		}, []string{"✕ No: the newest set is too old for the network", "31 d 0 h of 30 days used up", "Recovery paths: 1 of 3 open"}, "Yes"},
		"it does not restore": {func(r *health.Report) {
			r.Drill.Verdict, r.Drill.Problem, r.Drill.Detail = backupset.Fail, "RestoreFailed", "psql ended with 3"
		}, []string{"✕ Perhaps, to 28 Nov 2026 08:00 UTC", "The newest drill found that a set does not restore.", "does not restore RestoreFailed: psql ended with 3"}, "Yes"},
		"nothing is known yet":  {func(r *health.Report) { *r = health.Report{} }, []string{"? Not known yet", "No report yet."}, "Yes"},
		"nobody looks any more": {func(r *health.Report) { r.At = r.At.Add(-3 * time.Hour) }, []string{"This report is 3 h 0 min old."}, ""},
		"paused":                {func(r *health.Report) { r.Schedule.Paused = true }, []string{"Next backup ✕ Paused no reason given", "canton-backup schedule resume"}, "every 4 h"},
		"no schedule":           {func(r *health.Report) { r.Schedule.Missing = true }, []string{"Next backup ✕ None Temporal has no schedule backup-validator-1"}, "every 4 h"},
		"missed runs":           {func(r *health.Report) { r.Schedule.Missed = 3 }, []string{"3 missed: no worker was there"}, ""},
		"no worker":             {func(r *health.Report) { r.Schedule, r.Worker = nil, "nothing listens" }, []string{"Next backup ! Not known Temporal could not be asked nothing listens"}, ""},
		"drills off":            {func(r *health.Report) { r.Drill, r.DrillS, r.Drills = nil, 0, nil }, []string{"Last drill Never Drills are off", "A restore takes Not measured"}, ""},
		"disk full":             {func(r *health.Report) { r.Disk.Free = 9 << 30 }, []string{"Room on this host ✕ Full"}, ""},
		"no disk":               {func(r *health.Report) { r.Disk = nil }, []string{"Room on this host ! Not known"}, ""},
		"KMS":                   {func(r *health.Report) { r.KMS = 3 }, []string{"Recovery paths: 3 of 3 open", "3 of the node's keys are kept in a KMS"}, "That is no fault"},
		"record time not known": {func(r *health.Report) { r.Sets[0].RecordTime = nil }, []string{"The newest verified set tells no record time."}, "of 30 days"},
		"unreadable place": {func(r *health.Report) {
			r.Places[2].Error, r.Places[2].LastGood = "403 Forbidden", ""
		}, []string{"r2 r2://canton-backups/mainnet/validator-1 ? ? ? ✕ FAILED 403 Forbidden"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := reports.Good()
			c.change(&r)
			if !r.At.IsZero() {
				r = health.Judge(r)
			}
			page := text(t, r)
			for _, want := range c.says {
				require.Contains(t, page, want)
			}
			if c.never != "" {
				require.NotContains(t, page, c.never)
			}
		})
	}
}

func TestPage_EverySetIsARow(t *testing.T) {
	page := get(t, reports.Good(), "/").Body.String()
	require.Equal(t, 42, strings.Count(page, "of 4 checks passed</summary>"))
	for _, s := range reports.Good().Sets {
		require.Contains(t, page, `<span class="id">`+string(s.Set)+`</span>`)
		if s.RunURL != "" {
			require.Contains(t, page, `<a href="`+s.RunURL+`" rel="noreferrer">run</a>`)
		}
	}
	require.Contains(t, text(t, reports.Good()), "pinned: before the upgrade to 0.5.3")
}

// A chart without sets, with one, with sets of nothing, and with more than fit.
func TestPage_Charts(t *testing.T) {
	for _, n := range []int{0, 1, 2, 42} {
		r := reports.Good()
		r.Sets = r.Sets[:n]
		page := get(t, r, "/").Body.String()
		require.NotContains(t, page, "NaN")
		require.NotContains(t, page, "Inf")
		require.Equal(t, n > 1, strings.Contains(page, "How long a backup took"), n)
	}
	r := reports.Good()
	for i := range r.Sets {
		r.Sets[i].Bytes, r.Sets[i].DurationS, r.Sets[i].DumpS = 0, 0, health.DumpSeconds{}
	}
	r.Sets[1].Bytes, r.Sets[1].DurationS = 1<<62, 1e7
	page := get(t, r, "/").Body.String()
	require.NotContains(t, page, "NaN")
	for len(r.Sets) < 1000 {
		r.Sets = append(r.Sets, r.Sets...)
	}
	require.Equal(t, 200, get(t, r, "/").Code)
}
