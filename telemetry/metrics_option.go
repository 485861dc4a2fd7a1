package telemetry

import (
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// WithMetrics switches metrics on or off.
func WithMetrics(on bool) Option { return func(o *options) { o.metrics = &on } }

// WithMeterProvider records with an application's own provider, and switches metrics on. Readers, exporters and the
// resource are the provider's business then, and [Telemetry.Shutdown] flushes the provider but leaves it running.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(o *options) { o.meterProvider = p }
}

// WithMetricReader lets r read the metrics as well, and switches metrics on. Shutdown shuts r down.
func WithMetricReader(r sdkmetric.Reader) Option {
	return func(o *options) { o.readers = append(o.readers, r) }
}

// WithMetricsConsole prints metrics to w, a line for each series, at the interval of OTEL_METRIC_EXPORT_INTERVAL and at
// Shutdown, and switches metrics on. MELLEA_METRICS_CONSOLE does the same to standard error.
func WithMetricsConsole(w io.Writer) Option { return func(o *options) { o.metricsConsole = w } }

// WithPrometheus registers the metrics with r, and switches metrics on. Shutdown takes them out again.
// MELLEA_METRICS_PROMETHEUS does the same with the default registry of the Prometheus client, or serves them.
func WithPrometheus(r prometheus.Registerer) Option { return func(o *options) { o.registerer = r } }

// WithMetricNames sets by which names the metrics of the GenAI conventions are recorded. The default is [LatestNames].
func WithMetricNames(n Naming) Option { return func(o *options) { o.naming = n } }

// WithPricing counts cost by the prices of p, which replace those of this version: see [Pricing.Over].
func WithPricing(p *Pricing) Option { return func(o *options) { o.prices = p } }
