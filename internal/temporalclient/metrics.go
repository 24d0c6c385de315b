package temporalclient

import (
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uber-go/tally/v4"
	tallyprom "github.com/uber-go/tally/v4/prometheus"
	"go.temporal.io/sdk/client"
	sdktally "go.temporal.io/sdk/contrib/tally"
)

// flushEvery is how often counts are handed over. Prometheus asks less often than that, and each time costs a little.
const flushEvery = 10 * time.Second

// buckets of latencies, in seconds: from a request to a dump of hours.
var buckets = []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600, 3600, 14400}

// Metrics makes a handler for Target.MetricsHandler that counts what Temporal's client and worker do, for Prometheus. Close it when
// the client is closed.
func Metrics(to prometheus.Registerer, logger *slog.Logger) (client.MetricsHandler, io.Closer) {
	reporter := tallyprom.NewReporter(tallyprom.Options{
		Registerer:              unchecked{to},
		DefaultTimerType:        tallyprom.HistogramTimerType,
		DefaultHistogramBuckets: buckets,
		// By default it would panic: a figure that is missing is no reason not to back up.
		OnRegisterError: func(err error) { logger.Warn("a metric of temporal's client is missing", "error", err) },
	})
	scope, closer := tally.NewRootScope(tally.ScopeOptions{
		CachedReporter:         reporter,
		Separator:              tallyprom.DefaultSeparator,
		SanitizeOptions:        &sdktally.PrometheusSanitizeOptions,
		OmitCardinalityMetrics: true,
	}, flushEvery)
	return sdktally.NewMetricsHandler(sdktally.NewPrometheusNamingScope(scope)), closer
}

// unchecked registers collectors that describe nothing. The SDK gives one metric now with these labels and now with those, which is
// valid at a scrape; a registry that knows of it beforehand refuses the second kind.
type unchecked struct{ prometheus.Registerer }

type undescribed struct{ prometheus.Collector }

func (undescribed) Describe(chan<- *prometheus.Desc) {}

func (u unchecked) Register(c prometheus.Collector) error {
	return u.Registerer.Register(undescribed{c})
}
