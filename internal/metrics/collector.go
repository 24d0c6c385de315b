package metrics

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"canton-backup/internal/health"
)

// reportTime is what a scrape waits for a report. Prometheus itself gives up after ten seconds.
const reportTime = 8 * time.Second

// NewRegistry makes a registry that holds the metrics of the table, read from a fresh report at every scrape, and those of the process.
func NewRegistry(report func(context.Context) health.Report) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{report}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler serves what the registry holds. One bad metric does not take the others along.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// collector makes samples of a report. They come with each scrape, so that nothing is stale that the report is not.
type collector struct {
	report func(context.Context) health.Report
}

var _ prometheus.Collector = collector{}

// description is made per scrape rather than kept: there are few metrics, and a scrape is rare.
func (m Metric) description() *prometheus.Desc {
	return prometheus.NewDesc(m.Name, m.Help, append([]string{"node", "network"}, m.Labels...), nil)
}

// Describe sends the table's metrics.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range Table {
		to <- m.description()
	}
}

// Collect sends the samples of a report of now.
func (c collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), reportTime)
	defer cancel()
	r := c.report(ctx)
	if r.At.IsZero() {
		return // nobody has looked yet: no figure is better than a wrong one
	}
	for _, m := range Table {
		description, seen := m.description(), map[string]bool{}
		for _, s := range m.read(r) {
			values := clean(append([]string{r.Node, r.Network}, s.labels...))
			// A manifest may name a check twice. Two samples of one name would spoil the whole answer.
			if key := strings.Join(values, "\xff"); !seen[key] {
				seen[key] = true
				to <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, s.value, values...)
			}
		}
	}
}

// clean makes label values of texts that others wrote: valid UTF-8, and not endless.
func clean(texts []string) []string {
	for i, text := range texts {
		if runes := []rune(strings.ToValidUTF8(text, "\uFFFD")); len(runes) > 128 {
			texts[i] = string(runes[:128])
		} else {
			texts[i] = string(runes)
		}
	}
	return texts
}
