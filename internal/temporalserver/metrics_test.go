package temporalserver

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/temporalclient"
)

// What a real worker counts must be what Prometheus can take: the registry refuses the whole answer otherwise.
func TestMetrics_ofARealWorker(t *testing.T) {
	registry := prometheus.NewRegistry()
	handler, closer := temporalclient.Metrics(registry, slog.New(slog.DiscardHandler))
	s := start(t, t.TempDir())
	c, err := temporalclient.Dial(t.Context(), temporalclient.Target{EmbeddedAddress: s.Address(), Env: nothing{}, MetricsHandler: handler})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	t.Cleanup(func() { require.NoError(t, closer.Close()) })
	work(t, c)
	runGreet(t, c, "counted")

	want := []string{"temporal_request_total", "temporal_request_latency_seconds", "temporal_long_request_total", "temporal_workflow_completed_total", "temporal_workflow_endtoend_latency_seconds", "temporal_num_pollers", "temporal_worker_task_slots_available"}
	require.Eventually(t, func() bool {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, name := range want {
			if !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name }) {
				return false
			}
		}
		return true
	}, time.Minute, 100*time.Millisecond)
	families, err := registry.Gather()
	require.NoError(t, err)
	series := 0
	for _, f := range families {
		series += len(f.GetMetric())
	}
	t.Logf("%d metrics, %d series", len(families), series)
	require.Less(t, series, 500, "an idle worker makes few series")
}
