package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A queuedExporter stands between a batch processor and an exporter. It keeps the promise that export never slows or
// fails a program: the queue is bounded, errors and panics of the exporter end here, what is lost is counted and
// reported once.
//
// It is the processor as well, because only at the door of the queue can be counted what does not get in.
type queuedExporter struct {
	sdktrace.SpanProcessor // the batch processor, which exports to exporterSide

	next    sdktrace.SpanExporter
	name    string
	logger  *slog.Logger
	release func()
	limit   int64

	waiting atomic.Int64 // spans in the queue and in the batch under way
	dropped atomic.Int64
	once    sync.Once
	failing atomic.Pointer[string] // why the last try failed, nil when it did not

	base    context.Context // of exports; ends when Shutdown may wait no longer
	abort   context.CancelFunc
	closing chan struct{} // closes when Shutdown begins
	closed  chan struct{} // closes when the exporter has been shut down, after the last export
	stop    sync.Once
	stopErr error
}

// backoff is the wait before each new try of a batch.
var backoff = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

func newQueuedExporter(next sdktrace.SpanExporter, name string, l *slog.Logger, b batchConfig, release func()) *queuedExporter {
	q := &queuedExporter{next: next, name: name, logger: l, release: release, limit: int64(b.queue),
		closing: make(chan struct{}), closed: make(chan struct{})}
	q.base, q.abort = context.WithCancel(context.Background())
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(exporterSide{q},
		sdktrace.WithMaxQueueSize(b.queue), sdktrace.WithMaxExportBatchSize(b.batch),
		sdktrace.WithBatchTimeout(b.delay), sdktrace.WithExportTimeout(b.timeout))
	return q
}

// OnEnd queues a span, or drops it when the queue is full.
func (q *queuedExporter) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.waiting.Add(1) > q.limit {
		q.waiting.Add(-1)
		q.lost(1, errQueueFull)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

var errQueueFull = errors.New("the queue is full")

func (q *queuedExporter) lost(n int, err error) {
	q.dropped.Add(int64(n))
	q.once.Do(func() {
		reason := exportError(err)
		if cause := q.failing.Load(); err == errQueueFull && cause != nil {
			reason += ", as nothing gets through: " + *cause
		}
		logger(q.logger).LogAttrs(context.Background(), slog.LevelWarn,
			"telemetry: spans are lost; what is lost from here on is counted and not logged",
			slog.String("exporter", q.name), slog.Int("spans", n), slog.String("error", reason))
	})
}

// exportError says what went wrong without the URL, which may hold a key, and without what the collector answered.
func exportError(err error) string {
	if err == errQueueFull {
		return err.Error()
	}
	if errors.Is(err, errWebPage) {
		return errWebPage.Error()
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
			return "HTTP status 404: is the path right? an endpoint of one signal, such as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, is used as it is, and /v1/traces or /v1/metrics is added to OTEL_EXPORTER_OTLP_ENDPOINT"
		}
		return "HTTP status " + status[1]
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, errExporterPanicked} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ErrorType(err)
}

// The exporters give no typed errors (or one of the gRPC module, which this package has no other use for), so what they
// say is read off their text.
var httpStatus = regexp.MustCompile(`failed to send (?:metrics )?to \S+: (\d{3}) `)

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
	case "Unavailable", "Aborted", "ResourceExhausted", "DeadlineExceeded":
		return true
	}
	return strings.Contains(text, "retry-able request failure")
}

// exporterSide is what the batch processor exports to.
type exporterSide struct{ *queuedExporter }

// ExportSpans exports a batch and never fails: the SDK would print the error.
func (q exporterSide) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer q.waiting.Add(-int64(len(spans)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.base, cancel)()
	if err := q.try(ctx, spans); err != nil {
		q.lost(len(spans), err)
	}
	return nil
}

func (q exporterSide) try(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	for n := 0; ; n++ {
		err := q.export(ctx, spans)
		q.note(err)
		if err == nil || n == len(backoff) || !retryable(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-q.closing: // what failed a moment ago is not worth the program's last seconds
			return err
		default:
		}
		timer := time.NewTimer(backoff[n])
		select {
		case <-timer.C:
		case <-q.closing: // one more, at once
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// note keeps why a try failed, for when the queue overflows because of it.
func (q *queuedExporter) note(err error) {
	if err == nil {
		q.failing.Store(nil)
		return
	}
	reason := exportError(err)
	q.failing.Store(&reason)
}

func (q exporterSide) export(ctx context.Context, spans []sdktrace.ReadOnlySpan) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errExporterPanicked
		}
	}()
	return q.next.ExportSpans(ctx, spans)
}

var errExporterPanicked = errors.New("telemetry: the exporter panicked")

// Shutdown is called by the batch processor after the last export.
func (q exporterSide) Shutdown(ctx context.Context) error {
	defer close(q.closed)
	if q.release != nil {
		defer q.release()
	}
	err := q.next.Shutdown(ctx)
	if err != nil {
		return fmt.Errorf("telemetry: shut down %s: %w", q.name, err)
	}
	return nil
}

// Shutdown exports what waits and ends the exporter. When ctx ends first, exports under way are cancelled and the rest
// is dropped. It returns when nothing of the exporter runs any more, unless the exporter ignores its context. Further
// calls return the result of the first.
func (q *queuedExporter) Shutdown(ctx context.Context) error {
	q.stop.Do(func() { q.stopErr = q.end(ctx) })
	return q.stopErr
}

func (q *queuedExporter) end(ctx context.Context) error {
	close(q.closing)
	defer q.abort()
	err := q.SpanProcessor.Shutdown(ctx)
	if ctx.Err() == nil {
		return err
	}
	q.abort()
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case <-q.closed:
	case <-grace.C:
	}
	return err
}
