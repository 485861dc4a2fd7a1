package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// discard is an exporter that keeps nothing.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }

// chatCall fires the points of one chat call, as the engine does: an action, its rendering, one generation.
func chatCall(ctx context.Context, set *hook.Set, ref hookpoint.SessionRef, g hookpoint.GenerationEnd) {
	info := backend.Info{Provider: "openai", Model: "gpt-4o-mini", ServerAddress: "api.example.com", ServerPort: 443}
	_, _ = hookpoint.Component.Do(ctx, set, hookpoint.ComponentStart{Session: ref, Kind: "message"},
		func(ctx context.Context, _ hookpoint.ComponentStart) (hookpoint.ComponentEnd, error) {
			_, _ = hookpoint.Format.Do(ctx, set, hookpoint.FormatStart{Session: ref, Phase: hookpoint.Render, Kind: "message"},
				func(context.Context, hookpoint.FormatStart) (hookpoint.FormatEnd, error) {
					return hookpoint.FormatEnd{Template: "message", Length: 5}, nil
				})
			end, err := hookpoint.Generation.Do(ctx, set, hookpoint.GenerationStart{Session: ref, Info: info, Kind: "message"},
				func(ctx context.Context, _ hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
					backend.Inject(ctx, func(string, string) {})
					return g, nil
				})
			return hookpoint.ComponentEnd{Reply: end.Reply, Generations: 1, Success: true}, err
		})
}

func chatReply() hookpoint.GenerationEnd {
	return hookpoint.GenerationEnd{Reply: content.Assistant("hello"), Generation: backend.Generation{
		Provider: "openai", Model: "gpt-4o-mini", ResponseModel: "gpt-4o-mini-2024", ResponseID: "chatcmpl-1", RequestID: "req_1",
		FinishReasons: content.ListOf("stop"), Usage: content.Usage{InputTokens: 10, OutputTokens: 2},
		Sent: backend.Options{}.WithTemperature(0.2), ServerAddress: "api.example.com", ServerPort: 443,
		Started: time.Now(), Ended: time.Now(),
	}}
}

// maxAllocations of tracing for one chat call: two spans, their attributes, the traceparent header. The whole call has
// 130, of which the floor takes about 80.
const maxAllocations = 33

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tel, err := telemetry.Setup(t.Context(), environ(), telemetry.WithSpanExporter(discard{}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	set := (*hook.Set)(nil).With(tel)
	scope, op, err := hookpoint.Session.Begin(t.Context(), set, hookpoint.SessionOpen{ID: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = op.End(hookpoint.SessionEnd{}, nil) }()
	reply := chatReply()
	for name, ref := range map[string]hookpoint.SessionRef{
		"without a session": {},
		"in a session":      hookpoint.NewSessionRef("s1", scope, t.Context()),
	} {
		with := testing.AllocsPerRun(500, func() { chatCall(t.Context(), set, ref, reply) })
		without := testing.AllocsPerRun(500, func() { chatCall(t.Context(), nil, ref, reply) })
		if got := with - without; got > maxAllocations {
			t.Errorf("tracing a chat call %s takes %v allocations, want at most %v", name, got, maxAllocations)
		} else {
			t.Logf("tracing a chat call %s takes %v allocations (%v in all)", name, got, with)
		}
	}
}

func BenchmarkChatCall(b *testing.B) {
	tel, err := telemetry.Setup(b.Context(), environ(), telemetry.WithSpanExporter(discard{}))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	set := (*hook.Set)(nil).With(tel)
	reply := chatReply()
	b.ReportAllocs()
	for b.Loop() {
		chatCall(b.Context(), set, hookpoint.SessionRef{}, reply)
	}
}

// maxMetricsAllocations of metrics for one chat call: an object and a closure for each of two operations.
const maxMetricsAllocations = 5

// What recording takes, in a program whose hooks something else listens to already: outside of a trace, and in a span that
// is sampled, which each measurement keeps as its exemplar.
func TestMetricsAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	sampled := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}))
	for name, ctx := range map[string]context.Context{"outside of a trace": t.Context(), "in a sampled span": sampled} {
		reader := sdkmetric.NewManualReader()
		tel, err := telemetry.Setup(t.Context(), environ(), telemetry.WithMetricReader(reader))
		if err != nil {
			t.Fatal(err)
		}
		nothing := func(context.Context, hookpoint.GenerationOutcome) {}
		other := (*hook.Set)(nil).With(
			hookpoint.Component.OnError(func(context.Context, hookpoint.ComponentOutcome) {}),
			hookpoint.Generation.OnError(nothing))
		set, reply := other.With(tel), chatReply()
		chatCall(ctx, set, hookpoint.SessionRef{}, reply)
		with := testing.AllocsPerRun(500, func() { chatCall(ctx, set, hookpoint.SessionRef{}, reply) })
		without := testing.AllocsPerRun(500, func() { chatCall(ctx, other, hookpoint.SessionRef{}, reply) })
		if got := with - without; got > maxMetricsAllocations {
			t.Errorf("metrics of a chat call %s take %v allocations, want at most %v", name, got, maxMetricsAllocations)
		} else {
			t.Logf("metrics of a chat call %s take %v allocations", name, got)
		}
		if got, want := exemplars(t, reader), ctx == sampled; got > 0 != want {
			t.Errorf("%s: %d exemplars, want some: %v", name, got, want)
		}
		_ = tel.Shutdown(context.Background())
	}
}

// exemplars counts those of the durations of calls.
func exemplars(t *testing.T, reader *sdkmetric.ManualReader) int {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, in := range rm.ScopeMetrics {
		for _, m := range in.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == semconv.MetricGenAIClientInferenceDuration {
				for _, p := range h.DataPoints {
					n += len(p.Exemplars)
				}
			}
		}
	}
	return n
}

// Bounds of logs for one chat call: an object for each of two operations, and with events a closure and the record, which
// grows with its attributes.
const (
	maxLogsAllocations  = 2
	maxEventAllocations = 12
)

// What logs take, in a program whose hooks something else listens to already.
func TestLogsAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	nothing := func(context.Context, hookpoint.GenerationOutcome) {}
	other := (*hook.Set)(nil).With(
		hookpoint.Component.OnError(func(context.Context, hookpoint.ComponentOutcome) {}),
		hookpoint.Generation.OnError(nothing))
	reply := chatReply()
	without := testing.AllocsPerRun(500, func() { chatCall(t.Context(), other, hookpoint.SessionRef{}, reply) })
	for name, test := range map[string]struct {
		most float64
		opts []telemetry.Option
	}{
		"nothing configured": {0, nil},
		"lines":              {maxLogsAllocations, []telemetry.Option{telemetry.WithLogs(true)}},
		"lines and events":   {maxEventAllocations, []telemetry.Option{telemetry.WithLogExporter(discardLogs{})}},
	} {
		tel, err := telemetry.Setup(t.Context(), append(test.opts, environ())...)
		if err != nil {
			t.Fatal(err)
		}
		set := other.With(tel)
		chatCall(t.Context(), set, hookpoint.SessionRef{}, reply)
		with := testing.AllocsPerRun(500, func() { chatCall(t.Context(), set, hookpoint.SessionRef{}, reply) })
		if got := with - without; got > test.most {
			t.Errorf("%s: logs of a chat call take %v allocations, want at most %v", name, got, test.most)
		} else {
			t.Logf("%s: logs of a chat call take %v allocations", name, got)
		}
		_ = tel.Shutdown(context.Background())
	}
}

// discardLogs is an exporter that keeps nothing.
type discardLogs struct{}

func (discardLogs) Export(context.Context, []sdklog.Record) error { return nil }
func (discardLogs) ForceFlush(context.Context) error              { return nil }
func (discardLogs) Shutdown(context.Context) error                { return nil }

// A line that is not wanted costs nothing, one that is little.
func TestLineAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tel, err := telemetry.Setup(t.Context(), environ("MELLEA_LOGS_LEVEL=INFO,backend=DEBUG"), telemetry.WithLogsConsole(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	ctx := t.Context()
	const most = 5
	ours := slog.New(tel.LogHandler())
	if got := testing.AllocsPerRun(500, func() { ours.InfoContext(ctx, "m", "n", 1) }); got > most {
		t.Errorf("a line takes %v allocations, want at most %d", got, most)
	}
	if got := testing.AllocsPerRun(500, func() { ours.DebugContext(ctx, "m", "n", 1) }); got > 0 {
		t.Errorf("a line that is not wanted takes %v allocations, want none", got)
	}
}
