// Package monitoring_test runs Debian's Prometheus and Alertmanager against a worker's panel, with the rules and the configuration of
// the folder deploy.
package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"canton-backup/internal/backupset"
	"canton-backup/internal/health"
	"canton-backup/internal/metrics"
	"canton-backup/internal/panel"
	"canton-backup/internal/testkit/child"
	"canton-backup/internal/testkit/reports"
)

// patience is for a machine that does ten other things. Where all is well an alert takes a few seconds.
const patience = 2 * time.Minute

// node is a worker's panel whose report the test writes.
type node struct {
	mu     sync.Mutex
	change func(*health.Report)
}

func (n *node) report(context.Context) health.Report {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := reports.GoodAt(time.Now())
	if n.change != nil {
		n.change(&r)
		r = health.Judge(r)
	}
	return r
}

func (n *node) set(change func(*health.Report)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.change = change
}

// pager takes Alertmanager's messages.
type pager struct {
	mu       sync.Mutex
	messages []message
}

type message struct {
	Status string
	Alerts []struct {
		Status      string
		Labels      map[string]string
		Annotations map[string]string
	}
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, m)
}

// told lists what was told since the test began, in order: "firing CantonBackupOld".
func (p *pager) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.messages {
		for _, a := range m.Alerts {
			all = append(all, m.Status+" "+a.Labels["alertname"])
		}
	}
	return all
}

func (p *pager) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = nil
}

// Each fault raises exactly one message, and is told to be over when it is mended.
func TestMonitoring_OneMessageForEachFault(t *testing.T) {
	n, p := &node{}, &pager{}
	address := fmt.Sprintf("127.0.0.1:%d", child.FreePort(t))
	serve := func() *panel.Server {
		s, err := panel.Serve(panel.Options{Report: n.report, Address: address, Metrics: metrics.Handler(metrics.NewRegistry(n.report))})
		require.NoError(t, err)
		return s
	}
	worker := serve()
	t.Cleanup(func() { require.NoError(t, worker.Close()) })
	prometheus := monitor(t, address, p)

	// All rules have been looked at with a worker that is well, and are silent.
	require.Eventually(t, func() bool { return ask(t, prometheus, `count(canton_backup_info)`) == "1" }, patience, 100*time.Millisecond)
	require.Eventually(t, func() bool { return ask(t, prometheus, `min(prometheus_rule_group_iterations_total) > 3`) != "" }, patience, 100*time.Millisecond)
	require.Empty(t, p.told())

	late := func(r *health.Report) {
		r.Sets = r.Sets[2:]
		good := r.Sets[0].Set
		r.LastGood.Set, r.LastGood.OffHost = good, good
		r.LastGood.AgeS = int64(r.At.Sub(good.Time()).Seconds())
		r.LastGood.OffHostAgeS = r.LastGood.AgeS
		for i := range r.Places {
			r.Places[i].LastGood = good
		}
	}
	for _, fault := range []struct {
		name   string
		change func(*health.Report) // nil: the worker is taken away
		alert  string
	}{
		{"no set for 6 h", late, "CantonBackupOld"},
		{"no set for 6 h, for the schedule is paused", func(r *health.Report) { late(r); r.Schedule.Paused = true }, "CantonBackupSchedulePaused"},
		{"sets stay on the host", func(r *health.Report) {
			for i := range r.Places[1:] {
				r.Places[i+1].LastGood = r.Sets[2].Set
			}
			r.LastGood.OffHost, r.LastGood.OffHostAgeS = r.Sets[2].Set, 8*3600
		}, "CantonBackupOffHostOld"},
		{"a target is down", func(r *health.Report) { r.Places[1].Error, r.Places[1].LastGood = "connection refused", "" }, "CantonBackupPlaceDown"},
		{"a set is damaged", func(r *health.Report) { r.Places[2].Faults = []string{"a file is missing"} }, "CantonBackupSetDamaged"},
		{"a drill fails", func(r *health.Report) { r.Drill.Verdict = backupset.Fail }, "CantonBackupDrillFailed"},
		{"the disk is full", func(r *health.Report) { r.Disk.Free = 9 << 30 }, "CantonBackupDiskFull"},
		{"the participant is cut off", func(r *health.Report) {
			old := r.At.AddDate(0, 0, -8)
			r.Sets[0].RecordTime = &old
		}, "CantonBackupRecordTimeOld"},
		{"the pair is not proven", func(r *health.Report) { r.Sets[0].Checks[1].Verdict = backupset.Unknown }, "CantonBackupPairUnproven"},
		{"a key expires", func(r *health.Report) { soon := r.At.AddDate(0, 0, 3); r.Keys[0].Expires = &soon }, "CantonBackupKeyExpires"},
		{"an alert is not delivered", func(r *health.Report) {
			r.Alerts = []health.Told{{Key: "Backup", Undelivered: "telegram: 502"}}
		}, "CantonBackupAlertUndelivered"},
		{"Temporal is gone", func(r *health.Report) { r.Worker, r.Schedule = "nothing listens", nil }, "CantonBackupTemporalUnreachable"},
		{"nobody looks", func(r *health.Report) { r.At = r.At.Add(-time.Hour) }, "CantonBackupReportOld"},
		{"the worker is dead", nil, "CantonBackupWorkerDown"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			p.forget()
			if fault.change != nil {
				n.set(fault.change)
			} else {
				require.NoError(t, worker.Close())
			}
			firing, over := "firing "+fault.alert, "resolved "+fault.alert
			require.Eventually(t, func() bool { return len(p.told()) > 0 }, patience, 50*time.Millisecond, "the fault is told")
			settled(t, prometheus, 3)
			require.Equal(t, []string{firing}, p.told())
			n.set(nil)
			if fault.change == nil {
				worker = serve()
			}
			require.Eventually(t, func() bool { return len(p.told()) > 1 }, patience, 50*time.Millisecond, "its end is told")
			settled(t, prometheus, 1)
			require.Equal(t, []string{firing, over}, p.told())
		})
	}
}

// settled waits until all rules were looked at that often again, and Alertmanager had time to tell what came of it.
func settled(t *testing.T, prometheus string, rounds int) {
	t.Helper()
	begin := ask(t, prometheus, `min(prometheus_rule_group_iterations_total)`)
	require.Eventually(t, func() bool {
		return ask(t, prometheus, `min(prometheus_rule_group_iterations_total) > `+begin+` + `+strconv.Itoa(rounds)) != ""
	}, patience, 100*time.Millisecond)
}

// ask is the value of an expression, empty without one.
func ask(t *testing.T, prometheus, promql string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, prometheus+"/api/v1/query", nil)
	require.NoError(t, err)
	r.URL.RawQuery = "query=" + strings.NewReplacer(" ", "%20", "+", "%2B").Replace(promql)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "" // it has not started yet
	}
	defer response.Body.Close()
	var answer struct {
		Data struct{ Result []struct{ Value []any } }
	}
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&answer) != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

// monitor starts both servers on the files that operators get, with all waiting cut short, and returns Prometheus' address.
func monitor(t *testing.T, target string, p *pager) string {
	t.Helper()
	dir, pages := t.TempDir(), httptest.NewServer(p)
	t.Cleanup(pages.Close)
	prometheus, alertmanager := fmt.Sprintf("127.0.0.1:%d", child.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", child.FreePort(t))
	copied := func(name string, change ...string) string {
		data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", name))
		require.NoError(t, err)
		text := string(data)
		for i := 0; i < len(change); i += 2 {
			pattern := regexp.MustCompile(change[i])
			require.Regexp(t, pattern, text)
			text = pattern.ReplaceAllString(text, change[i+1])
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	copied("canton-backup.rules.yml", `(?m)^(        for): .*$`, "$1: 1s")
	config := copied("prometheus.yml", `_interval: 30s`, "_interval: 500ms", `127\.0\.0\.1:8234`, target, `127\.0\.0\.1:9093`, alertmanager,
		`scrape_configs:`, "scrape_configs:\n  - job_name: itself\n    static_configs:\n      - targets: [\""+prometheus+"\"]")
	routes := copied("alertmanager.yml", `group_wait: 30s`, "group_wait: 1s", `group_interval: 5m`, "group_interval: 1s", `http://127\.0\.0\.1:9099/alerts`, pages.URL)

	child.Start(t, exec.Command(child.Find(t, "prometheus-alertmanager", "make tools"), "--config.file="+routes, "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+alertmanager, "--cluster.listen-address="))
	child.Start(t, exec.Command(child.Find(t, "prometheus", "make tools"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+prometheus))
	return "http://" + prometheus
}
