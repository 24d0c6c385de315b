package temporalclient_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"canton-backup/internal/temporalclient"
)

// The SDK counts one name under several sets of labels, and Prometheus has to see all of them.
func TestMetrics_OneNameManyLabels(t *testing.T) {
	registry := prometheus.NewRegistry()
	handler, closer := temporalclient.Metrics(registry, slog.New(slog.DiscardHandler))
	requests := handler.WithTags(map[string]string{"namespace": "default"})
	requests.Counter("temporal_request").Inc(2)
	requests.WithTags(map[string]string{"operation": "PollWorkflowTaskQueue"}).Counter("temporal_request").Inc(3)
	requests.Timer("temporal_request_latency").Record(40 * time.Millisecond)
	requests.Timer("temporal_request_latency").Record(3 * time.Hour)
	handler.Gauge("temporal_num_pollers").Update(7)
	require.NoError(t, closer.Close()) // hands over what was counted

	families, err := registry.Gather()
	require.NoError(t, err)
	found := map[string]int{}
	for _, f := range families {
		found[f.GetName()] = len(f.GetMetric())
		if f.GetName() == "temporal_request_latency_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			require.EqualValues(t, 2, h.GetSampleCount())
			require.EqualValues(t, 1, h.GetBucket()[1].GetCumulativeCount(), "40 ms are at most 0.05 s")
		}
	}
	require.Equal(t, map[string]int{"temporal_request_total": 2, "temporal_request_latency_seconds": 1, "temporal_num_pollers": 1}, found)
}
