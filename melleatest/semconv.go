package melleatest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// Semconv holds the telemetry of a program under test against the OpenTelemetry conventions for generative AI and MCP, and
// against this module's own registry: see [check.All]. It is made by [CheckSemconv] and may be used by several goroutines.
type Semconv struct {
	tb      testing.TB
	least   check.Level
	allowed []allowance

	spans   sdktrace.SpanExporter
	reader  *sdkmetric.PeriodicReader
	records sdklog.Exporter

	mu     sync.Mutex
	data   check.Data
	failed error // what could not be read
}

type allowance struct {
	id        check.ID
	attribute string
}

// A SemconvOption changes what [CheckSemconv] asks for.
type SemconvOption func(*Semconv)

// Allow makes an exception: findings of a rule, about an attribute or, with "", about anything, do not fail the test. The
// reason is for whoever reads the test; without one the test fails.
func Allow(id check.ID, attribute, reason string) SemconvOption {
	return func(s *Semconv) {
		if strings.TrimSpace(reason) == "" {
			s.errorf("melleatest: Allow(%q, %q) has no reason", id, attribute)
		}
		s.allowed = append(s.allowed, allowance{id, attribute})
	}
}

// FailFrom sets the level of findings from which on the test fails. The default is [check.Violation].
func FailFrom(least check.Level) SemconvOption { return func(s *Semconv) { s.least = least } }

// CheckSemconv returns exporters for a program under test. When the test ends, it fails for each finding that is a
// violation and is not allowed, and also when nothing has arrived. Nothing leaves the process.
//
// Give a program that uses this module's telemetry [Semconv.Options], or let [Semconv.Setup] do it all. A program with
// providers of its own takes [Semconv.SpanExporter], [Semconv.MetricReader] and [Semconv.LogExporter]. What is still in a
// provider when the test ends is not seen: shut providers down, or flush them, before. With tb nil nothing fails, and
// [Semconv.Findings] tells.
func CheckSemconv(tb testing.TB, opts ...SemconvOption) *Semconv { //nolint:thelper // tb may be nil
	s := &Semconv{tb: tb, least: check.Violation}
	for _, o := range opts {
		o(s)
	}
	ctx := context.Background()
	client := &http.Client{Transport: (*catcher)(s)}
	spans, err1 := otlptracehttp.New(ctx, otlptracehttp.WithHTTPClient(client), otlptracehttp.WithEndpointURL(nowhere+"traces"))
	metrics, err2 := otlpmetrichttp.New(ctx, otlpmetrichttp.WithHTTPClient(client), otlpmetrichttp.WithEndpointURL(nowhere+"metrics"))
	records, err3 := otlploghttp.New(ctx, otlploghttp.WithHTTPClient(client), otlploghttp.WithEndpointURL(nowhere+"logs"))
	if err := errors.Join(err1, err2, err3); err != nil {
		panic("melleatest: " + err.Error()) // all of it is given here
	}
	s.spans, s.records = sharedSpans{spans}, sharedRecords{records}
	s.reader = sdkmetric.NewPeriodicReader(metrics, sdkmetric.WithInterval(24*time.Hour)) // it exports when it is flushed
	if tb != nil {
		tb.Cleanup(func() {
			s.report()
			_ = errors.Join(spans.Shutdown(ctx), s.reader.Shutdown(ctx), records.Shutdown(ctx)) // the provider may have done it
		})
	}
	return s
}

// nowhere is where the exporters believe that they send to.
const nowhere = "http://semconv.invalid/v1/"

// Options are those for [telemetry.Setup]: spans, metrics and log records come here, in addition to wherever else they go.
func (s *Semconv) Options() []telemetry.Option {
	return []telemetry.Option{
		telemetry.WithSpanExporter(s.spans),
		telemetry.WithMetricReader(s.reader),
		telemetry.WithLogExporter(s.records),
	}
}

// Setup sets telemetry up for the test, without regard to the environment, with all of it coming here. It is
// shut down before the check. It needs a test, which it ends when the options cannot work.
func (s *Semconv) Setup(ctx context.Context, opts ...telemetry.Option) *telemetry.Telemetry {
	s.tb.Helper()
	tel, err := telemetry.Setup(ctx, append(append([]telemetry.Option{telemetry.WithEnviron(nil)}, s.Options()...), opts...)...)
	if err != nil {
		s.tb.Fatalf("melleatest: %v", err)
	}
	s.tb.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			s.tb.Errorf("melleatest: %v", err)
		}
	})
	return tel
}

// SpanExporter returns an exporter for any number of an application's own tracer providers. Their shutdown does not shut
// it down.
func (s *Semconv) SpanExporter() sdktrace.SpanExporter { return s.spans }

// MetricReader returns the reader for an application's own meter provider. A reader reads one provider, so it is either
// this or [Semconv.Options].
func (s *Semconv) MetricReader() sdkmetric.Reader { return s.reader }

// LogExporter returns an exporter for any number of an application's own logger providers. Their shutdown does not shut it
// down.
func (s *Semconv) LogExporter() sdklog.Exporter { return s.records }

// Findings returns what is found in all that has arrived, but what is allowed, whatever the level.
func (s *Semconv) Findings() check.Findings {
	_ = s.reader.ForceFlush(context.Background()) // it may read no provider, or one that has been shut down
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept check.Findings
	for _, f := range check.All(s.data) {
		if !s.allows(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

func (s *Semconv) allows(f check.Finding) bool {
	for _, a := range s.allowed {
		if a.id == f.ID && (a.attribute == "" || a.attribute == f.Attribute) {
			return true
		}
	}
	return false
}

// report fails the test for what is found.
func (s *Semconv) report() {
	for _, g := range s.Findings().AtLeast(s.least).Groups() {
		times := ""
		if g.Count > 1 {
			times = fmt.Sprintf(" (%d times)", g.Count)
		}
		s.errorf("telemetry: %s%s", g.Finding, times)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		s.errorf("telemetry: %v", s.failed)
	case len(s.data.Traces)+len(s.data.Metrics)+len(s.data.Logs) == 0:
		s.errorf("telemetry: nothing has arrived: install it with mellea.WithHooks, and shut it down before the test ends")
	}
}

func (s *Semconv) errorf(format string, args ...any) {
	if s.tb != nil {
		s.tb.Helper()
		s.tb.Errorf(format, args...)
	}
}

// A catcher takes what the exporters send off the wire, so that what is checked is OTLP as a collector would get it.
type catcher Semconv

func (c *catcher) RoundTrip(r *http.Request) (*http.Response, error) {
	err := c.take(r)
	if err != nil {
		c.mu.Lock()
		c.failed = err
		c.mu.Unlock()
	}
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-protobuf"}}, Body: io.NopCloser(bytes.NewReader(nil))}, nil
}

func (c *catcher) take(r *http.Request) error {
	defer func() { _ = r.Body.Close() }()
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" { // the environment may ask the exporters for it
		z, err := gzip.NewReader(from)
		if err != nil {
			return err
		}
		from = z
	}
	body, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch strings.TrimPrefix(r.URL.Path, "/v1/") {
	case "traces":
		m := &coltrace.ExportTraceServiceRequest{}
		c.data.Traces = append(c.data.Traces, m)
		return proto.Unmarshal(body, m)
	case "metrics":
		m := &colmetrics.ExportMetricsServiceRequest{}
		c.data.Metrics = append(c.data.Metrics, m)
		return proto.Unmarshal(body, m)
	default:
		m := &collogs.ExportLogsServiceRequest{}
		c.data.Logs = append(c.data.Logs, m)
		return proto.Unmarshal(body, m)
	}
}

// Exporters that outlive the providers they are given to.
type (
	sharedSpans   struct{ sdktrace.SpanExporter }
	sharedRecords struct{ sdklog.Exporter }
)

func (sharedSpans) Shutdown(context.Context) error   { return nil }
func (sharedRecords) Shutdown(context.Context) error { return nil }
