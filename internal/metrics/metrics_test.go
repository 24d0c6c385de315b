package metrics_test

import (
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
	"canton-backup/internal/metrics"
	"canton-backup/internal/testkit/reports"
)

var update = flag.Bool("update", false, "write golden files anew")

// scrape is the answer to a scrape, without the metrics of the process.
func scrape(t *testing.T, r health.Report) string {
	t.Helper()
	answer := httptest.NewRecorder()
	registry := metrics.NewRegistry(func(context.Context) health.Report { return r })
	metrics.Handler(registry).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, answer.Code, answer.Body)
	var ours []string
	for line := range strings.Lines(answer.Body.String()) {
		if strings.Contains(line, metrics.Prefix) {
			ours = append(ours, line)
		}
	}
	return strings.Join(ours, "")
}

func TestCollector_Golden(t *testing.T) {
	bad := reports.Good()
	bad.LastGood, bad.Drill, bad.Disk, bad.Identity = nil, nil, nil, &health.Identity{Set: "20261128_080000", State: "NONE"}
	bad.Places[0].LastGood = ""
	bad.Places[1].Error, bad.Places[1].LastGood = "ssh: connection refused", ""
	bad.Places[2].Faults = []string{"set 20261128_080000: file missing"}
	bad.Sets[0].Checks[1].Verdict, bad.Sets[0].Verdict, bad.Sets[0].Margin = backupset.Unknown, backupset.Unknown, nil
	bad.Schedule.Paused = true
	bad.Running = &health.Run{Type: "BackupNode", Started: reports.Now.Add(-bad.At.Sub(bad.Sets[0].Set.Time()))}
	bad.Alerts = []health.Told{{Key: "Backup/Upload/rsync", Undelivered: "telegram: 502"}, {Key: "schedule-paused"}}
	expires := reports.Now.AddDate(0, 0, 10)
	bad.Keys[0].Expires = &expires
	for name, r := range map[string]health.Report{"good": reports.Good(), "bad": health.Judge(bad)} {
		t.Run(name, func(t *testing.T) {
			got, golden := scrape(t, r), "testdata/"+name+".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// A metric that no report can make would be a row of the documentation and nothing else.
func TestTable_EveryMetricIsSeen(t *testing.T) {
	all := ""
	for _, name := range []string{"good", "bad"} {
		data, err := os.ReadFile("testdata/" + name + ".golden")
		require.NoError(t, err)
		all += string(data)
	}
	for _, m := range metrics.Table {
		require.Contains(t, all, "\n"+m.Name+"{", "%s is in no golden file", m.Name)
		require.Regexp(t, regexp.MustCompile(`^[A-Z1].*\.$`), m.Help, m.Name)
	}
}

func TestCollector_BeforeTheFirstReport(t *testing.T) {
	require.Empty(t, scrape(t, health.Report{}))
}

// Names, checks and places are texts of others: they are labels, and must neither make lines of their own nor spoil the answer.
func TestCollector_HostileText(t *testing.T) {
	r := reports.Good()
	r.Node, r.Network = "a\"} 1\ncanton_backup_evil 1\n", "\xff\xfe"
	r.Places = append(r.Places, r.Places[0])
	r.Sets[0].Checks = append(r.Sets[0].Checks, backupset.Check{Name: "pair", Verdict: backupset.Fail}, backupset.Check{Name: strings.Repeat("x", 1<<16), Verdict: backupset.Pass})
	r.Keys = append(r.Keys, r.Keys...)
	text := scrape(t, r)
	require.NotContains(t, text, "\ncanton_backup_evil")
	require.Contains(t, text, `node="a\"} 1\ncanton_backup_evil 1\n"`)
	require.Equal(t, 1, strings.Count(text, `check="pair"`))
	require.NotContains(t, text, strings.Repeat("x", 200))
}
