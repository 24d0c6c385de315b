// Package deploy_test holds what operators copy from this folder against the metrics that exist.
package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"canton-backup/internal/health"
	"canton-backup/internal/metrics"
	"canton-backup/internal/testkit/child"
	"canton-backup/internal/testkit/reports"
)

// expression is a piece of PromQL and where it stands.
type expression struct{ where, promql string }

type rule struct {
	Alert       string
	Record      string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	data, err := os.ReadFile("prometheus/canton-backup.rules.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &file))
	require.Len(t, file.Groups, 1)
	require.Greater(t, len(file.Groups[0].Rules), 15)
	return file.Groups[0].Rules
}

// alerts are the rules that alert.
func alerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(rules(t), func(r rule) bool { return r.Record != "" })
}

// expressions are those of all rules and panels.
func expressions(t *testing.T) []expression {
	t.Helper()
	var all []expression
	for _, r := range rules(t) {
		all = append(all, expression{"rule " + r.Alert + r.Record, r.Expr})
	}
	for _, file := range []string{"grafana/canton-backup.json", "grafana/canton-backup-alerts.json"} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var tree any
		require.NoError(t, json.Unmarshal(data, &tree), file)
		before := len(all)
		walk(tree, func(key, value string) {
			if key == "expr" || key == "definition" {
				all = append(all, expression{file, value})
			}
		})
		require.Greater(t, len(all), before+2, file)
	}
	return all
}

func walk(tree any, visit func(key, value string)) {
	switch node := tree.(type) {
	case map[string]any:
		for key, value := range node {
			if text, ok := value.(string); ok {
				visit(key, text)
			}
			walk(value, visit)
		}
	case []any:
		for _, value := range node {
			walk(value, visit)
		}
	}
}

var (
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)`)
	text     = regexp.MustCompile(`"[^"]*"`)
	grouping = regexp.MustCompile(`\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)`)
	span     = regexp.MustCompile(`\[[^\]]*\]|\b[0-9.]+[a-z]*\b`)
	function = regexp.MustCompile(`[a-zA-Z_][a-zA-Z0-9_]*\s*\(`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
)

var keywords = []string{"and", "or", "unless", "bool", "offset", "by", "on", "without", "ignoring"}

// series are the metrics that an expression names, with the labels that it asks of them.
func series(promql string) map[string][]string {
	found := map[string][]string{}
	bare := text.ReplaceAllString(promql, `""`)
	for _, m := range selector.FindAllStringSubmatch(bare, -1) {
		found[m[1]] = append(found[m[1]], labels(m[2])...)
	}
	bare = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(bare, "")
	for _, pattern := range []*regexp.Regexp{text, grouping, span} {
		bare = pattern.ReplaceAllString(bare, " ")
	}
	if rest, ok := strings.CutPrefix(bare, "label_values("); ok { // Grafana's own
		metric, _, _ := strings.Cut(rest, ",")
		bare = metric
	}
	for _, name := range word.FindAllString(function.ReplaceAllString(bare, "("), -1) {
		if !slices.Contains(keywords, name) {
			found[name] = append(found[name], []string{}...)
		}
	}
	return found
}

func labels(selector string) []string {
	var names []string
	for _, m := range matcher.FindAllStringSubmatch(selector, -1) {
		names = append(names, m[1])
	}
	return names
}

// known are the metrics that Prometheus finds at a worker: ours with their labels, those of the process as they are served, and few of
// Temporal's client, which a test of internal/temporalserver sees a worker make.
func known(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{"up": nil, "temporal_request_total": nil, "ALERTS": {"alertname", "alertstate", "node", "network"}}
	for _, m := range metrics.Table {
		all[m.Name] = append([]string{"node", "network"}, m.Labels...)
	}
	for _, r := range rules(t) {
		if r.Record != "" {
			all[r.Record] = []string{"node", "network"}
		}
	}
	for line := range strings.Lines(served()) {
		if name := word.FindString(line); strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "go_") {
			all[name] = nil
		}
	}
	return all
}

func served() string {
	answer := httptest.NewRecorder()
	metrics.Handler(metrics.NewRegistry(func(context.Context) health.Report { return reports.Good() })).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}

// unknown lists what an expression names and nobody serves.
func unknown(known map[string][]string, promql string) []string {
	var bad []string
	for name, asked := range series(promql) {
		have, ok := known[name]
		if !ok {
			bad = append(bad, name)
			continue
		}
		for _, label := range asked {
			if !slices.Contains(append([]string{"job", "instance"}, have...), label) {
				bad = append(bad, name+"{"+label+"}")
			}
		}
	}
	slices.Sort(bad)
	return bad
}

func TestEveryNamedMetricExists(t *testing.T) {
	served := known(t)
	named := map[string]bool{}
	for _, e := range expressions(t) {
		require.Empty(t, unknown(served, e.promql), "%s: %s", e.where, e.promql)
		require.NotEmpty(t, series(e.promql), e.promql)
		for name := range series(e.promql) {
			named[name] = true
		}
	}
	// And that the names are read at all: what the page of the seed asks for is among them.
	for _, name := range []string{"last_verified_timestamp_seconds", "set_bytes", "step_duration_seconds", "offset_margin", "drill_restore_seconds", "place_up", "alert_undelivered"} {
		require.True(t, named[metrics.Prefix+name], name)
	}
}

// The reader of expressions itself sees a name that is wrong, wherever it stands.
func TestUnknownNamesAreSeen(t *testing.T) {
	served := known(t)
	for promql, want := range map[string][]string{
		`canton_backup_wrong`: {"canton_backup_wrong"},
		`time() - max by (node) (canton_backup_last_verified_timestamps{place!="local"}) > 3 * 60`: {"canton_backup_last_verified_timestamps"},
		`canton_backup_place_up{plaice="x"} == 0 or absent(upp{job="canton-backup"})`:              {"canton_backup_place_up{plaice}", "upp"},
		`rate(temporal_requests_total[5m]) unless on (node) canton_backup_verdict`:                 {"temporal_requests_total"},
		`label_values(canton_backup_inf, node)`:                                                    {"canton_backup_inf"},
		`last_over_time(canton_backup_fresh_seconds[2d]) offset 5m`:                                nil,
	} {
		require.Equal(t, want, unknown(served, promql), promql)
	}
}

// Every problem of the report's table is told by a rule, by its code or by the metric that it is made of.
func TestEveryProblemHasARule(t *testing.T) {
	by := map[string]string{"no-worker": "CantonBackupTemporalUnreachable", "schedule-missing": "CantonBackupScheduleMissing", "schedule-paused": "CantonBackupSchedulePaused",
		"no-verified-set": "CantonBackupOld", "set-too-old": "CantonBackupOld", "off-host-too-old": "CantonBackupOffHostOld", "place-unreadable": "CantonBackupPlaceDown",
		"set-damaged": "CantonBackupSetDamaged", "disk-full": "CantonBackupDiskFull", "disk-low": "CantonBackupDiskLow", "key-expires": "CantonBackupKeyExpires",
		"pair-unproven": "CantonBackupPairUnproven", "alert-undelivered": "CantonBackupAlertUndelivered"}
	all := alerts(t)
	for _, k := range health.Kinds {
		require.True(t, slices.ContainsFunc(all, func(r rule) bool {
			return r.Alert == by[k.Code] || strings.Contains(r.Expr, `code="`+k.Code+`"`)
		}), "no rule for problem %s", k.Code)
	}
	for _, r := range all {
		for _, m := range regexp.MustCompile(`code="([^"]*)"`).FindAllStringSubmatch(r.Expr, -1) {
			_, ok := health.KindOf(m[1])
			require.True(t, ok, "rule %s goes by problem %s, which does not exist", r.Alert, m[1])
		}
	}
}

func TestRulesAreWhole(t *testing.T) {
	tests, err := filepath.Glob("prometheus/tests/*.yml")
	require.NoError(t, err)
	var tested strings.Builder
	for _, file := range tests {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		tested.Write(data)
	}
	for _, r := range alerts(t) {
		require.Contains(t, []string{"critical", "warning"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		require.FileExists(t, filepath.Join("..", r.Annotations["runbook"]), r.Alert)
		require.Regexp(t, `alertname: `+r.Alert+`\n +exp_alerts:\n`, tested.String(), "a test in which %s fires", r.Alert)
		require.Regexp(t, `alertname: `+r.Alert+`\n +exp_alerts: \[\]`, tested.String(), "a test in which %s does not fire", r.Alert)
	}
}

func run(t *testing.T, stdin string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), child.Find(t, name, "make tools"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	t.Logf("%s", out)
}

// A node that got another address, or that two jobs look at, has each series twice: no rule and no panel may be an error for that, or it
// would be silent. promtool fails when a rule that it evaluates does.
func TestTwoAddressesOfOneNode(t *testing.T) {
	answer := httptest.NewRecorder()
	metrics.Handler(metrics.NewRegistry(func(context.Context) health.Report { return reports.Bad() })).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	var in []map[string]string
	for _, instance := range []string{"127.0.0.1:8234", "10.0.0.5:9234"} {
		target := `{job="canton-backup", instance="` + instance + `"`
		in = append(in, map[string]string{"series": "up" + target + "}", "values": "1x10 0x30"})
		for line := range strings.Lines(answer.Body.String()) {
			if name, rest, ok := strings.Cut(line, "{"); ok && strings.HasPrefix(name, metrics.Prefix) {
				end := strings.LastIndex(rest, "}")
				in = append(in, map[string]string{"series": name + target + ", " + rest[:end+1], "values": strings.TrimSpace(rest[end+1:]) + "+0x40"})
			}
		}
	}
	require.Greater(t, len(in), 80)
	var recorded []map[string]string
	for i, e := range expressions(t) {
		if strings.HasPrefix(e.where, "grafana/") && !strings.HasPrefix(e.promql, "label_values(") {
			promql := strings.NewReplacer("$node", ".+", "$network", ".+").Replace(e.promql)
			recorded = append(recorded, map[string]string{"record": fmt.Sprintf("panel:%d", i), "expr": promql})
		}
	}
	dir := t.TempDir()
	write := func(name string, tree any) {
		data, err := yaml.Marshal(tree)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	ours, err := filepath.Abs("prometheus/canton-backup.rules.yml")
	require.NoError(t, err)
	write("panels.yml", map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": recorded}}})
	write("test.yml", map[string]any{"rule_files": []string{ours, "panels.yml"}, "tests": []any{map[string]any{"interval": "1m", "input_series": in,
		"alert_rule_test": []any{map[string]any{"eval_time": "30m", "alertname": "None"}}}}})
	run(t, "", "promtool", "test", "rules", filepath.Join(dir, "test.yml"))
}

// Prometheus' and Alertmanager's own tools read these files as the servers do.
func TestTheirOwnTools(t *testing.T) {
	tests, err := filepath.Glob("prometheus/tests/*.yml")
	require.NoError(t, err)
	run(t, "", "promtool", "check", "rules", "prometheus/canton-backup.rules.yml")
	run(t, "", "promtool", "check", "config", "prometheus/prometheus.yml")
	run(t, "", "promtool", append([]string{"test", "rules"}, tests...)...)
	run(t, "", "amtool", "check-config", "prometheus/alertmanager.yml")
	run(t, served(), "promtool", "check", "metrics")
}
