package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"canton-backup/internal/metrics"
	"canton-backup/internal/testkit/page"
)

const head = `# Metrics

<!-- Made from internal/metrics by ` + "`make docs`" + `. Edit that. -->

Served at ` + "`http://127.0.0.1:8234/metrics`" + ` (` + "`HEALTH_ADDRESS`" + `) by the worker, in Prometheus' text format; [how to use them](../how-to/monitoring.md). All are gauges, and carry the
labels ` + "`node` and `network`" + ` beside their own. They are of the same report as the status page. What is not known has no sample.

| Metric | Labels | Meaning |
|---|---|---|
`

const tail = `
On the same page are Temporal's client and worker (` + "`temporal_…`" + `), and what every Go program tells of itself (` + "`go_…`, `process_…`" + `).
`

func TestDocs_Metrics(t *testing.T) {
	var b strings.Builder
	b.WriteString(head)
	for _, m := range metrics.Table {
		labels := make([]string, len(m.Labels))
		for i, label := range m.Labels {
			labels[i] = "`" + label + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.Name, strings.Join(labels, ", "), m.Help)
	}
	b.WriteString(tail)
	page.Current(t, "docs/reference/metrics.md", b.String())
}
