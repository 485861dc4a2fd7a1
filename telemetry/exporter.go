package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A queuedExporter stands between a batch processor and an exporter of spans: see [delivery].
//
// It is the processor as well, because only at the door of the queue can be counted what does not get in.
type queuedExporter struct {
	*delivery
	sdktrace.SpanProcessor // the batch processor, which exports to exporterSide

	next sdktrace.SpanExporter
}

func newQueuedExporter(next sdktrace.SpanExporter, name string, l *slog.Logger, b batchConfig, release func()) *queuedExporter {
	q := &queuedExporter{next: next, delivery: newDelivery(name, signalTraces.noun, l, b.queue, release)}
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(exporterSide{q},
		sdktrace.WithMaxQueueSize(b.queue), sdktrace.WithMaxExportBatchSize(b.batch),
		sdktrace.WithBatchTimeout(b.delay), sdktrace.WithExportTimeout(b.timeout))
	return q
}

// OnEnd queues a span, or drops it when the queue is full.
func (q *queuedExporter) OnEnd(s sdktrace.ReadOnlySpan) {
	switch {
	case !s.SpanContext().IsSampled():
	case q.admit():
		q.SpanProcessor.OnEnd(s)
	default:
		q.lost(1, errQueueFull)
	}
}

// Shutdown exports what waits and ends the exporter, within ctx.
func (q *queuedExporter) Shutdown(ctx context.Context) error {
	return q.end(ctx, q.SpanProcessor.Shutdown)
}

// exporterSide is what the batch processor exports to.
type exporterSide struct{ *queuedExporter }

// ExportSpans exports a batch and never fails: the SDK would print the error.
func (q exporterSide) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	q.send(ctx, len(spans), func(ctx context.Context) error { return q.next.ExportSpans(ctx, spans) }, retryable)
	return nil
}

// Shutdown is called by the batch processor after the last export.
func (q exporterSide) Shutdown(ctx context.Context) error {
	if err := q.finish(ctx, q.next.Shutdown); err != nil {
		return fmt.Errorf("telemetry: shut down %s: %w", q.name, err)
	}
	return nil
}

// exportError says what went wrong without the URL, which may hold a key, and without what the collector answered.
func exportError(err error) string {
	if err == errQueueFull {
		return err.Error()
	}
	if errors.Is(err, errWebPage) {
		return errWebPage.Error()
	}
	if _, ok := refused(err); ok {
		return "the collector took the batch and refused some of it"
	}
	if we, ok := errors.AsType[*webhookError](err); ok {
		return we.Error()
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok { // of a file
		return pe.Error()
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		if text := ue.Err.Error(); !strings.Contains(text, "malformed HTTP response") {
			return text
		}
		return "the answer is not HTTP/1: is the port that of gRPC? OTEL_EXPORTER_OTLP_PROTOCOL=grpc is for it"
	}
	text := err.Error()
	if code := between(text, "rpc error: code = ", " "); code != "" {
		return "gRPC status " + code
	}
	if status := httpStatus.FindStringSubmatch(text); status != nil {
		if status[1] == "404" {
			return "HTTP status 404: is the path right? an endpoint of one signal, such as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, is used as it is, and /v1/traces, /v1/metrics or /v1/logs is added to OTEL_EXPORTER_OTLP_ENDPOINT"
		}
		return "HTTP status " + status[1]
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, errExporterPanicked, errNoAnswer} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	// Of what an exporter wraps only the part that package net or tls has to say: around it may be a URL.
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Error()
	}
	if de, ok := errors.AsType[*net.DNSError](err); ok {
		return de.Error()
	}
	if ce, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ce.Error()
	}
	return ErrorType(err)
}

// The exporters give no typed errors (or one of the gRPC module, which this package has no other use for), so what they
// say is read off their text.
var httpStatus = regexp.MustCompile(`failed to send (?:metrics |logs )?to \S+: (\d{3}) `)

func between(s, before, after string) string {
	_, rest, ok := strings.Cut(s, before)
	if !ok {
		return ""
	}
	found, _, _ := strings.Cut(rest, after)
	return found
}

var errWebPage = errors.New("a web page answered: is the endpoint a collector's, and not that of its user interface?")

// noWebPages fails where a user interface answers with a page, and with success, as Jaeger's does. The exporter would
// take that for a collector's answer and all spans would be lost unseen.
type noWebPages struct{ next http.RoundTripper }

func (t noWebPages) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil || resp.StatusCode >= 300 {
		return resp, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" {
		_ = resp.Body.Close() // nothing of it is wanted
		return nil, errWebPage
	}
	return resp, nil
}

// retryable reports whether a batch may get through later: the collector did not answer, or said so. A batch that it
// refused is not sent again.
func retryable(err error) bool {
	if errors.Is(err, errWebPage) {
		return false
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	text := err.Error()
	switch between(text, "rpc error: code = ", " ") {
	case "Unavailable", "Aborted", "DeadlineExceeded": // ResourceExhausted is that of a batch, unless it says when to come again
		return true
	}
	return strings.Contains(text, "retry-able request failure")
}
