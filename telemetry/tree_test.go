package telemetry_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/telemetry"
)

// screen is a writer that may be read while it is written to.
type screen struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// snapshots builds spans of one trace by hand: id, parent, name, start and length in ms.
func snapshot(id, parent byte, name string, start, length int, more func(*tracetest.SpanStub)) sdktrace.ReadOnlySpan {
	began := time.Unix(1000, 0).Add(time.Duration(start) * time.Millisecond)
	ctx := func(id byte) trace.SpanContext {
		if id == 0 {
			return trace.SpanContext{}
		}
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{id}, TraceFlags: trace.FlagsSampled})
	}
	stub := tracetest.SpanStub{Name: name, SpanContext: ctx(id), Parent: ctx(parent), StartTime: began,
		EndTime: began.Add(time.Duration(length) * time.Millisecond)}
	if more != nil {
		more(&stub)
	}
	return stub.Snapshot()
}

func TestTreePrinter(t *testing.T) {
	t.Parallel()
	var out screen
	p := telemetry.NewTreePrinter(&out)
	chat := snapshot(3, 2, "chat m", 10, 500, func(s *tracetest.SpanStub) {
		s.Attributes = []attribute.KeyValue{attribute.Int("gen_ai.usage.input_tokens", 12), attribute.Int("gen_ai.usage.output_tokens", 3),
			attribute.StringSlice("gen_ai.response.finish_reasons", []string{"stop"}), attribute.Int("not.shown", 1)}
		s.Events = []sdktrace.Event{{Name: "first_chunk", Time: s.StartTime.Add(250 * time.Millisecond),
			Attributes: []attribute.KeyValue{attribute.Float64("gen_ai.response.time_to_first_chunk", 0.25)}}}
	})
	failed := snapshot(4, 2, "requirement", 600, 1, func(s *tracetest.SpanStub) {
		s.Status = sdktrace.Status{Code: codes.Error, Description: "it \x1b[31mfailed"}
		s.Attributes = []attribute.KeyValue{attribute.String("mellea.requirement.name", "a name\x1b[2J"), attribute.Bool("mellea.requirement.passed", false)}
	})
	if err := p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{failed, chat, snapshot(2, 1, "action", 5, 1500, nil)}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "" {
		t.Errorf("printed %q before the root has ended", got)
	}
	if err := p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(1, 0, "session", 0, 2000, nil)}); err != nil {
		t.Fatal(err)
	}
	want := tree(`
	trace 07000000000000000000000000000000
	session 2.00s
	└─ action 1.50s
	   ├─ chat m 500.0ms in=12 out=3 finish=stop
	   │  └─ • first_chunk +250.0ms first chunk=250.0ms
	   └─ requirement 1.0ms name="a name\x1b[2J" passed=false "it \x1b[31mfailed"
	`)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	_ = p.Shutdown(t.Context())
}

// What has no root yet is printed after 10 s, after 1000 spans, and at Shutdown; nothing is printed twice.
func TestTreePrinterDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	t.Run("10 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var out screen
			p := telemetry.NewTreePrinter(&out)
			_ = p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(2, 1, "early", 0, 1, nil)})
			time.Sleep(10*time.Second - time.Millisecond)
			synctest.Wait()
			if got := out.String(); got != "" {
				t.Errorf("printed %q before 10 s", got)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			_ = p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(1, 0, "root", 0, 1, nil)})
			if got := strings.Count(out.String(), "early") + strings.Count(out.String(), "root"); got != 2 {
				t.Errorf("printed %q, want each span once", out.String())
			}
		})
	})
	t.Run("1000 spans", func(t *testing.T) {
		t.Parallel()
		var out screen
		p := telemetry.NewTreePrinter(&out)
		for i := range 1000 {
			if i == 999 && out.String() != "" {
				t.Error("printed before 1000 spans")
			}
			_ = p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(2, 1, "part", i, 1, nil)})
		}
		if got := strings.Count(out.String(), "part "); got != 1000 {
			t.Errorf("printed %d spans, want 1000", got)
		}
	})
	t.Run("Shutdown", func(t *testing.T) {
		t.Parallel()
		var out screen
		p := telemetry.NewTreePrinter(&out)
		_ = p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(2, 1, "early", 0, 1, nil)})
		_ = p.Shutdown(t.Context())
		_ = p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(1, 0, "late", 0, 1, nil)})
		if got := out.String(); !strings.Contains(got, "early") || strings.Contains(got, "late") {
			t.Errorf("printed %q, want what was there at Shutdown", got)
		}
	})
}

var durations = regexp.MustCompile(`[0-9.]+(µs|ms|s)\b`)

// The console prints a session's tree when it has ended, at once and not with the next batch.
func TestConsole(t *testing.T) {
	t.Parallel()
	var out screen
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithConsole(&out)))
	defer func() { _ = tel.Shutdown(context.Background()) }()
	leakyTree(t, tel)
	got := durations.ReplaceAllString(out.String(), "T")
	got = regexp.MustCompile(`trace [0-9a-f]{32}`).ReplaceAllString(got, "trace ID")
	want := tree(`
	trace ID
	start_session T
	trace ID
	session T interactions=1
	└─ action T component=instruction
	   └─ chat m1 T component=instruction in=7 out=3 finish=stop
	`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func ExampleNewTreePrinter() {
	p := telemetry.NewTreePrinter(printer{})
	_ = p.ExportSpans(context.Background(), []sdktrace.ReadOnlySpan{
		snapshot(2, 1, "chat m", 1, 20, nil),
		snapshot(1, 0, "action", 0, 25, nil),
	})
	// Output:
	// trace 07000000000000000000000000000000
	// action 25.0ms
	// └─ chat m 20.0ms
}

type printer struct{}

func (printer) Write(p []byte) (int, error) { return fmt.Print(string(p)) }
