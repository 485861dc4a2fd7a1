package melleatest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	otelmetric "go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// In a test, CheckSemconv is given the test, which then fails for each violation:
//
//	tel := melleatest.CheckSemconv(t).Setup(t.Context())
func ExampleCheckSemconv() {
	ctx := context.Background()
	sc := melleatest.CheckSemconv(nil,
		melleatest.Allow(check.MissingAttribute, "gen_ai.mood", "our dashboards have it"))
	tel, err := telemetry.Setup(ctx, sc.Options()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := mellea.Start(ctx, melleatest.NewBackend(melleatest.Say("Hello.")), mellea.WithHooks(tel))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := s.Instruct(ctx, "Greet.", mellea.Check(requirement.MaxWords(2))); err != nil {
		fmt.Println(err)
	}
	_ = s.Close()

	// What the program adds to its spans is checked as well.
	_, span := tel.TracerProvider().Tracer("shop").Start(ctx, "greet")
	span.SetAttributes(attribute.String("gen_ai.mood", "good"), attribute.String("gen_ai.system", "openai"))
	span.End()
	_ = tel.Shutdown(ctx)

	for _, f := range sc.Findings().AtLeast(check.Violation) {
		fmt.Println(f.ID, f.Attribute, f.Message)
	}
	// Output:
	// deprecated gen_ai.system the conventions have given it up: use gen_ai.provider.name
}

// run is a test that ends, with its failures.
func run(test func(tb *failing)) []string {
	f := &failing{}
	test(f)
	for _, cleanup := range slices.Backward(f.cleanup) {
		cleanup()
	}
	return f.errors
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, a ...any) {
	f.Errorf("fatal: "+format, a...)
}

func greet(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	s, err := mellea.Start(t.Context(), melleatest.NewBackend(melleatest.Say("hello")), mellea.WithHooks(tel))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Chat(t.Context(), "Greet."); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheckSemconv(t *testing.T) {
	t.Parallel()
	wrong := func(tel *telemetry.Telemetry) {
		for range 2 {
			_, span := tel.TracerProvider().Tracer("shop").Start(t.Context(), "x")
			span.SetAttributes(attribute.Int("gen_ai.mood", 1))
			span.End()
		}
		counter, err := tel.MeterProvider().Meter("shop").Int64Counter("gen_ai.moods")
		if err != nil {
			t.Error(err)
		}
		counter.Add(t.Context(), 1)
	}
	for name, tt := range map[string]struct {
		test func(tb *failing)
		want []string // the beginnings of the failures
	}{
		"a right program": {test: func(tb *failing) { greet(t, melleatest.CheckSemconv(tb).Setup(t.Context())) }},
		"a wrong program": {test: func(tb *failing) { wrong(melleatest.CheckSemconv(tb).Setup(t.Context())) }, want: []string{
			`telemetry: violation missing_attribute: span "x" (`, `telemetry: violation missing_metric: metric "gen_ai.moods": is in no registry`}},
		"allowed": {test: func(tb *failing) {
			wrong(melleatest.CheckSemconv(tb, melleatest.Allow(check.MissingAttribute, "gen_ai.mood", "ours"), melleatest.Allow(check.MissingMetric, "", "ours")).Setup(t.Context()))
		}},
		"another is allowed": {test: func(tb *failing) {
			wrong(melleatest.CheckSemconv(tb, melleatest.Allow(check.MissingAttribute, "gen_ai.mode", "ours"), melleatest.Allow(check.MissingMetric, "", "ours")).Setup(t.Context()))
		}, want: []string{`telemetry: violation missing_attribute: span "x"`}},
		"allowed for no reason": {test: func(tb *failing) {
			greet(t, melleatest.CheckSemconv(tb, melleatest.Allow(check.MissingAttribute, "", " ")).Setup(t.Context()))
		}, want: []string{`melleatest: Allow("missing_attribute", "") has no reason`}},
		"from improvements on": {test: func(tb *failing) {
			greet(t, melleatest.CheckSemconv(tb, melleatest.FailFrom(check.Improvement), melleatest.Allow(check.NotStable, "", "all is"),
				melleatest.Allow(check.RecommendedAttributeNotPresent, "", "a scripted model")).Setup(t.Context()))
		}},
		"nothing has arrived": {test: func(tb *failing) { melleatest.CheckSemconv(tb) }, want: []string{"telemetry: nothing has arrived"}},
		"options that cannot work": {test: func(tb *failing) {
			defer func() { _ = recover() }() // a real Fatalf would not return
			melleatest.CheckSemconv(tb).Setup(t.Context(), telemetry.WithSpanExporter(nil))
		}, want: []string{"melleatest: fatal", "telemetry: nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(tt.test)
			if name == "options that cannot work" && len(got) > 0 {
				got[0] = strings.Replace(got[0], "fatal: melleatest: ", "melleatest: fatal: ", 1)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("failures %q, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("failure %q, want %q", got[i], want)
				}
			}
		})
	}
	if got := run(func(tb *failing) { wrong(melleatest.CheckSemconv(tb).Setup(t.Context())) }); len(got) == 0 || !strings.HasSuffix(got[0], "(2 times)") {
		t.Errorf("failures %q, want the same finding once, counted", got)
	}
}

// An application has providers of its own, for each signal, and several for spans and records.
func TestCheckSemconvWithOwnProviders(t *testing.T) {
	t.Parallel()
	got := run(func(tb *failing) {
		sc := melleatest.CheckSemconv(tb)
		for range 2 {
			p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(sc.SpanExporter()))
			_, span := p.Tracer("shop").Start(t.Context(), "chat", trace.WithAttributes(attribute.String("gen_ai.operation.name", "converse")))
			span.End()
			_ = p.Shutdown(t.Context())
			l := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(sc.LogExporter())))
			var r otellog.Record
			r.SetEventName("gen_ai.choice")
			l.Logger("shop").Emit(t.Context(), r)
			_ = l.Shutdown(t.Context())
		}
		m := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sc.MetricReader()))
		h, err := m.Meter("shop").Float64Histogram("gen_ai.execute_tool.duration", otelmetric.WithUnit("ms"))
		if err != nil {
			t.Error(err)
		}
		h.Record(t.Context(), 1, otelmetric.WithAttributes(attribute.String("gen_ai.tool.name", "x")))
		// The provider is not shut down: what it has is read all the same.
	})
	want := []string{
		`telemetry: violation genai_operation_name_unknown: span "chat"`,
		`telemetry: violation unit_mismatch: metric "gen_ai.execute_tool.duration": has unit "ms", want "s"`,
		`telemetry: violation deprecated: log "gen_ai.choice"`,
	}
	if len(got) != len(want) {
		t.Fatalf("failures %q, want %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("failure %q, want %q", got[i], want[i])
		}
	}
}
