package telemetry

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// newOTLPLogExporter makes the exporter of logs as newOTLPExporter makes that of spans.
func newOTLPLogExporter(ctx context.Context, c *otlpConfig) (e sdklog.Exporter, release func(), err error) {
	if c.protocol == protocolGRPC {
		all := []otlploggrpc.Option{
			otlploggrpc.WithEndpointURL(c.endpoint.String()),
			otlploggrpc.WithHeaders(c.headers),
			otlploggrpc.WithTimeout(c.timeout),
			otlploggrpc.WithRetry(otlploggrpc.RetryConfig{Enabled: false}),
		}
		if c.gzip {
			all = append(all, otlploggrpc.WithCompressor("gzip"))
		}
		e, err = otlploggrpc.New(ctx, all...)
		return e, func() {}, err
	}
	client, release := c.client()
	compression := otlploghttp.NoCompression
	if c.gzip {
		compression = otlploghttp.GzipCompression
	}
	e, err = otlploghttp.New(ctx,
		otlploghttp.WithEndpointURL(c.endpoint.String()),
		otlploghttp.WithHeaders(c.headers),
		otlploghttp.WithTimeout(c.timeout),
		otlploghttp.WithCompression(compression),
		otlploghttp.WithTLSClientConfig(nil),
		otlploghttp.WithHTTPClient(client),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: false}))
	return e, release, err
}

// queuedLogs stands between a batch processor and an exporter of log records as queuedExporter does for spans. What it
// reports about itself is not exported by it: see locally.
type queuedLogs struct {
	*delivery
	*sdklog.BatchProcessor

	next sdklog.Exporter
}

func newQueuedLogs(next sdklog.Exporter, name string, l *slog.Logger, b batchConfig, release func()) *queuedLogs {
	q := &queuedLogs{next: next, delivery: newDelivery(name, nounRecords, l, b.queue, release)}
	q.local = true
	q.BatchProcessor = sdklog.NewBatchProcessor(logsSide{q},
		sdklog.WithMaxQueueSize(b.queue), sdklog.WithExportMaxBatchSize(b.batch),
		sdklog.WithExportInterval(b.delay), sdklog.WithExportTimeout(b.timeout))
	return q
}

const nounRecords = "log records"

// OnEmit queues a record, or drops it when the queue is full.
func (q *queuedLogs) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !q.admit() {
		q.lost(1, errQueueFull)
		return nil
	}
	return q.BatchProcessor.OnEmit(ctx, r)
}

// Shutdown exports what waits and ends the exporter, within ctx.
func (q *queuedLogs) Shutdown(ctx context.Context) error {
	return q.end(ctx, q.BatchProcessor.Shutdown)
}

// logsSide is what the batch processor exports to.
type logsSide struct{ *queuedLogs }

// Export exports a batch and never fails: the SDK would print the error.
func (q logsSide) Export(ctx context.Context, records []sdklog.Record) error {
	if len(records) > 0 {
		q.send(ctx, len(records), func(ctx context.Context) error { return q.next.Export(ctx, records) }, retryable)
	}
	return nil
}

// ForceFlush flushes what the exporter holds itself.
func (q logsSide) ForceFlush(ctx context.Context) error { return q.next.ForceFlush(ctx) }

// Shutdown is called by the batch processor after the last export.
func (q logsSide) Shutdown(ctx context.Context) error {
	if err := q.finish(ctx, q.next.Shutdown); err != nil {
		return fmt.Errorf("telemetry: shut down %s: %w", q.name, err)
	}
	return nil
}
