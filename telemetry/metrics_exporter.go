package telemetry

import (
	"context"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// newOTLPMetricExporter makes the exporter of metrics as newOTLPExporter makes that of spans. It does not try again: the
// next collection brings the same sums.
func newOTLPMetricExporter(ctx context.Context, c *otlpConfig) (e sdkmetric.Exporter, release func(), err error) {
	if c.protocol == protocolGRPC {
		all := []otlpmetricgrpc.Option{
			otlpmetricgrpc.WithEndpointURL(c.endpoint.String()),
			otlpmetricgrpc.WithHeaders(c.headers),
			otlpmetricgrpc.WithTimeout(c.timeout),
			otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{Enabled: false}),
		}
		if c.gzip {
			all = append(all, otlpmetricgrpc.WithCompressor("gzip"))
		}
		e, err = otlpmetricgrpc.New(ctx, all...)
		return e, func() {}, err
	}
	client, release := c.client()
	compression := otlpmetrichttp.NoCompression
	if c.gzip {
		compression = otlpmetrichttp.GzipCompression
	}
	e, err = otlpmetrichttp.New(ctx,
		otlpmetrichttp.WithEndpointURL(c.endpoint.String()),
		otlpmetrichttp.WithHeaders(c.headers),
		otlpmetrichttp.WithTimeout(c.timeout),
		otlpmetrichttp.WithCompression(compression),
		otlpmetrichttp.WithTLSClientConfig(nil),
		otlpmetrichttp.WithHTTPClient(client),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}))
	return e, release, err
}

// A quietExporter reports the first failure of an exporter and keeps the others to itself: the SDK would print each, and
// an export that fails is made up for by the next, as sums are cumulative.
type quietExporter struct {
	sdkmetric.Exporter

	name   string
	logger *slog.Logger
	once   sync.Once
}

// Export exports and never fails, panics included.
func (q *quietExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	if err := q.try(ctx, rm); err != nil {
		q.once.Do(func() {
			logger(q.logger).LogAttrs(ctx, slog.LevelWarn,
				"telemetry: metrics could not be exported; further failures are not logged",
				slog.String("exporter", q.name), slog.String("error", exportError(err)))
		})
	}
	return nil
}

func (q *quietExporter) try(ctx context.Context, rm *metricdata.ResourceMetrics) (err error) {
	defer func() {
		if recover() != nil {
			err = errExporterPanicked
		}
	}()
	return q.Exporter.Export(ctx, rm)
}
