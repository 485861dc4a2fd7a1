package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/tool"
)

// measured runs a program with traces and metrics on, and returns what was exported of both.
func measured(t *testing.T, b backend.Backend, program func(s *mellea.Session), vars []string, opts ...telemetry.Option) ([]otlptest.Series, []otlptest.Span) {
	t.Helper()
	server := received(t, b, program, vars, opts...)
	return server.Series(), server.Spans(t, 0)
}

// received is measured, and returns the receiver.
func received(t *testing.T, b backend.Backend, program func(s *mellea.Session), vars []string, opts ...telemetry.Option) *otlptest.Server {
	t.Helper()
	server := otlptest.Start(t)
	all := []telemetry.Option{telemetry.WithLogger(slog.New(slog.DiscardHandler)), environ(append([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
		"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP}, vars...)...)}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append(all, opts...)...))
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	program(s)
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server
}

// values are the counts and sums of series by name and labels, without those of calls' own labels.
func values(series []otlptest.Series, prefix string) map[string]float64 {
	all := map[string]float64{}
	for _, s := range series {
		if strings.HasPrefix(s.Name, prefix) {
			all[strings.TrimSpace(s.Name+" "+s.Labels())] = s.Value
		}
	}
	return all
}

func gpt4o(usage content.Usage) *scripted {
	b := says("hello")
	b.info = backend.Info{Provider: "openai", Model: "gpt-4o", ServerAddress: "models.example.com", ServerPort: 8443}
	b.answer = func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		w.Generation().Usage = usage
		return nil
	}
	return b
}

const callLabels = "gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=gpt-4o"

// What a call costs in time and tokens stands on metrics as on its span, under the names in force.
func TestCallMetrics(t *testing.T) {
	t.Parallel()
	const served = " server.address=models.example.com server.port=8443"
	latest := map[string]float64{
		"gen_ai.client.inference.operation.input_tokens " + callLabels + served:                                 7,
		"gen_ai.client.inference.operation.output_tokens " + callLabels + served:                                3,
		"gen_ai.client.inference.usage.input_tokens " + callLabels + " gen_ai.token.modality=unknown" + served:  7,
		"gen_ai.client.inference.usage.output_tokens " + callLabels + " gen_ai.token.modality=unknown" + served: 3,
	}
	legacy := map[string]float64{
		"gen_ai.client.token.usage " + callLabels + " gen_ai.token.type=input" + served:  7,
		"gen_ai.client.token.usage " + callLabels + " gen_ai.token.type=output" + served: 3,
	}
	both := map[string]float64{}
	maps.Copy(both, latest)
	maps.Copy(both, legacy)
	tests := map[string]struct {
		names     telemetry.Naming
		want      map[string]float64
		durations []string
	}{
		"latest": {telemetry.LatestNames, latest, []string{"gen_ai.client.inference.duration"}},
		"legacy": {telemetry.LegacyNames, legacy, []string{"gen_ai.client.operation.duration"}},
		"both":   {telemetry.BothNames, both, []string{"gen_ai.client.inference.duration", "gen_ai.client.operation.duration"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			series, spans := measured(t, gpt4o(content.Usage{}), func(s *mellea.Session) {
				must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
			}, nil, telemetry.WithMetricNames(tt.names))
			got := values(series, "gen_ai.")
			for _, name := range tt.durations {
				key := name + " " + callLabels + served
				if d := duration(t, spans, "chat gpt-4o"); d.Seconds()-got[key] > 1e-9 || got[key]-d.Seconds() > 1e-9 {
					t.Errorf("%s is %v s, want the span's %v", name, got[key], d)
				}
				delete(got, key)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("metrics (-got +want):\n%s", diff)
			}
			for _, s := range series {
				if d, ok := semconv.LookupMetric(s.Name); ok && (s.Unit != d.Unit || s.Instrument == "histogram" && !slices.Equal(s.Bounds, d.Buckets())) {
					t.Errorf("%s has unit %q and bounds %v, want those of the registry", s.Name, s.Unit, s.Bounds)
				}
				if s.Scope != semconv.ScopeMetrics || s.SchemaURL != semconv.SchemaURL {
					t.Errorf("%s has scope %s and schema %s", s.Name, s.Scope, s.SchemaURL)
				}
				if strings.HasPrefix(s.Name, "gen_ai.") && !linked(s, spans) {
					t.Errorf("%s has no exemplar of a trace", s.Name)
				}
			}
		})
	}
}

// linked reports whether one of the exemplars is of the trace of one of the spans.
func linked(s otlptest.Series, spans []otlptest.Span) bool {
	return slices.ContainsFunc(spans, func(sp otlptest.Span) bool { return slices.Contains(s.Exemplars, sp.TraceID) })
}

func duration(t *testing.T, spans []otlptest.Span, name string) time.Duration {
	t.Helper()
	for _, s := range spans {
		if s.Name == name {
			return s.End.Sub(s.Start)
		}
	}
	t.Fatalf("no span %s", name)
	return 0
}

// Tokens are told apart by what they stand for; what nothing is known of is "unknown".
func TestTokenMetrics(t *testing.T) {
	t.Parallel()
	series, _ := measured(t, &tokens{gpt4o(content.Usage{}), content.Usage{InputTokens: 100, OutputTokens: 50, CacheReadTokens: 30, CacheWriteTokens: 5,
		ReasoningTokens: 20, Image: content.Modality{InputTokens: 60, CacheReadTokens: 10}}}, func(s *mellea.Session) {
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	}, nil)
	got := map[string]float64{}
	for key, v := range values(series, "gen_ai.client.inference.usage.") {
		name, labels, _ := strings.Cut(strings.TrimPrefix(key, "gen_ai.client.inference.usage."), " ")
		_, modality, _ := strings.Cut(labels, "modality=")
		modality, _, _ = strings.Cut(modality, " ")
		got[name+" "+modality] = v
	}
	want := map[string]float64{"input_tokens image": 60, "input_tokens unknown": 40, "output_tokens unknown": 50,
		"cache_read.input_tokens image": 10, "cache_read.input_tokens unknown": 20, "cache_write.input_tokens unknown": 5,
		"reasoning.output_tokens unknown": 20}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("tokens (-got +want):\n%s", diff)
	}
}

// tokens reports what it is told to.
type tokens struct {
	*scripted

	usage content.Usage
}

func (b *tokens) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	info, _ := b.Info(ctx)
	g := backend.Generation{Provider: info.Provider, Model: info.Model, Sent: req.Options}
	return backend.Start(ctx, req, g, func(_ context.Context, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		w.Generation().Usage = b.usage
		return nil
	}), nil
}

// streamed returns the series of a reply that comes in n chunks.
func streamed(t *testing.T, n int, environ ...string) []otlptest.Series {
	t.Helper()
	b := &scripted{answer: func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		for range n {
			w.Text(time.Now(), []byte("x"))
		}
		return nil
	}}
	series, _ := measured(t, b, func(s *mellea.Session) {
		out := must[*backend.Output](t)(s.StartInstruct(t.Context(), "hi"))
		must[string](t)(out.Text(t.Context()))
	}, environ)
	return series
}

// A streamed reply has the time to its first chunk and one for each chunk after it.
func TestChunkMetrics(t *testing.T) {
	t.Parallel()
	series := streamed(t, 5)
	got := map[string]uint64{}
	for _, s := range series {
		if strings.Contains(s.Name, "_chunk") {
			got[s.Name] += s.Count
		}
	}
	want := map[string]uint64{"gen_ai.client.inference.time_to_first_chunk": 1, "gen_ai.client.inference.time_per_output_chunk": 4}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("chunks (-got +want):\n%s", diff)
	}
}

// However far a failure or a rejection goes up, it counts once; an ending that is nobody's fault counts not at all.
func TestFailuresCountOnce(t *testing.T) {
	t.Parallel()
	limited := &backend.Error{Provider: "openai", Op: "chat", Status: 429, Code: "rate_limit_exceeded", Message: "planted"}
	const at = " gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m1"
	tests := map[string]struct {
		backend backend.Backend
		hooks   hook.Source
		opts    []mellea.CallOption
		cancel  bool
		want    map[string]float64
	}{
		"ok": {backend: says("hello"), want: map[string]float64{}},
		"at the model": {backend: fails(limited), want: map[string]float64{
			"mellea.llm.errors error.type=rate_limit_exceeded" + at + " mellea.error.category=rate_limit": 1}},
		"at the model, in a loop": {backend: fails(fmt.Errorf("wrapped: %w", limited)), opts: []mellea.CallOption{mellea.Check(requirement.Contains("x"))},
			want: map[string]float64{"mellea.llm.errors error.type=rate_limit_exceeded" + at + " mellea.error.category=rate_limit": 1}},
		"an invented code": {backend: fails(&backend.Error{Provider: "openai", Op: "chat", Status: 418, Code: "teapot_17"}),
			want: map[string]float64{"mellea.llm.errors error.type=418" + at + " mellea.error.category=invalid_request": 1}},
		"at a requirement": {backend: says("hello"), opts: []mellea.CallOption{mellea.Check(requirement.New("broken", func(context.Context, requirement.Env) (requirement.Verdict, error) {
			return requirement.Verdict{}, errors.New("planted")
		}))},
			want: map[string]float64{"mellea.llm.errors error.type=*requirement.CheckError mellea.error.category=validation_error": 1}},
		"a rejection": {backend: says("hello"), hooks: hook.Plugin{Name: "budget", Sources: []hook.Source{
			hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error { return hook.Reject("over_budget", "planted") })}},
			opts: []mellea.CallOption{mellea.Check(requirement.Contains("x"))},
			want: map[string]float64{"mellea.hook.rejections mellea.rejection.plugin=budget mellea.rejection.point=generation": 1}},
		"cancelled": {backend: &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
			<-ctx.Done()
			return ctx.Err()
		}}, cancel: true, want: map[string]float64{}},
		"a budget that is spent": {backend: says("hello"), opts: []mellea.CallOption{mellea.Check(requirement.Contains("x")), mellea.Strategy(sampling.Reject(2))},
			want: map[string]float64{"mellea.sampling.attempts mellea.sampling.strategy_type=reject": 2,
				"mellea.sampling.failures mellea.sampling.strategy_type=reject": 1,
				"mellea.requirement.checks mellea.requirement.type=contains":    2,
				"mellea.requirement.failures mellea.requirement.type=contains":  2}},
		"met at once": {backend: says("hello"), opts: []mellea.CallOption{mellea.Check(requirement.Contains("hell"))},
			want: map[string]float64{"mellea.sampling.attempts mellea.sampling.strategy_type=repair": 1,
				"mellea.sampling.successes mellea.sampling.strategy_type=repair": 1,
				"mellea.requirement.checks mellea.requirement.type=contains":     1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			series, _ := measured(t, tt.backend, func(s *mellea.Session) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel {
					time.AfterFunc(time.Millisecond, cancel)
				}
				_, _ = s.With(mellea.WithHooks(tt.hooks)).Instruct(ctx, "hi", tt.opts...)
			}, nil)
			got := values(series, "mellea.")
			for k, v := range got {
				if v == 0 {
					delete(got, k)
				}
			}
			if diff := cmp.Diff(got, tt.want, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("metrics (-got +want):\n%s", diff)
			}
		})
	}
}

// Whatever prompts, replies, reasons, codes, tools and arguments are made up, the number of series stays the same.
func TestCardinalityIsBounded(t *testing.T) {
	t.Parallel()
	count := func(calls int) int {
		b := &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
			if n%2 == 0 {
				return &backend.Error{Provider: "openai", Op: "chat", Status: 400 * (n / 2 % 2), Code: fmt.Sprint("invented_", n), Message: fmt.Sprint("message ", n)}
			}
			w.Text(time.Now(), fmt.Append(nil, "reply ", n))
			return nil
		}}
		series, _ := measured(t, b, func(s *mellea.Session) {
			s = s.With(mellea.WithTools(weather))
			for n := range calls {
				check := requirement.Func("named", func(string) (bool, string) { return n%3 == 0, fmt.Sprint("reason ", n) })
				_, _ = s.Instruct(t.Context(), fmt.Sprint("prompt ", n), mellea.Check(check), mellea.Strategy(sampling.Reject(1)))
				asked := []tool.Call{{ToolCall: content.ToolCall{Name: fmt.Sprint("invented_", n)}},
					{ToolCall: content.ToolCall{Name: "weather", Arguments: fmt.Sprintf(`{"city":"city %d"}`, n)}}}
				_, _ = s.CallTools(t.Context(), slices.Values(asked))
			}
		}, nil, telemetry.WithTraces(false))
		return len(series)
	}
	if few, many := count(24), count(20_000); few != many { // every other one fails, and the others are checked
		t.Errorf("24 calls make %d series, 20,000 make %d", few, many)
	}
}

// A server may say that it answered by any model: a hundred are told apart.
func TestAnsweringModelsAreBounded(t *testing.T) {
	t.Parallel()
	b := &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		w.Generation().ResponseModel = fmt.Sprint("model-", n)
		return nil
	}}
	series, _ := measured(t, b, func(s *mellea.Session) {
		for range 300 {
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
		}
	}, nil, telemetry.WithTraces(false))
	models, other := map[any]bool{}, uint64(0)
	for _, s := range series {
		if s.Name == semconv.MetricGenAIClientInferenceDuration {
			model := s.Attributes["gen_ai.response.model"]
			models[model] = true
			if model == "_OTHER" {
				other = s.Count
			}
		}
	}
	if len(models) != 101 || other != 200 {
		t.Errorf("%d models are told apart and %d calls are of others, want 101 and 200", len(models), other)
	}
}

// A plugin that fails is counted, and so is an operation that is open.
func TestSelfMetrics(t *testing.T) {
	t.Parallel()
	series, _ := measured(t, says("hello"), func(s *mellea.Session) {
		bad := hookpoint.Generation.Observe(func(context.Context, hookpoint.GenerationStart) { panic("planted") }, hook.Name("bad"))
		quiet := s.With(mellea.WithHooks(bad))
		must[*mellea.Result[string]](t)(quiet.Instruct(t.Context(), "hi"))
	}, nil)
	got := values(series, "mellea.hook.")
	want := map[string]float64{"mellea.hook.plugin_failures": 1, "mellea.hook.open_operations": 0}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("metrics (-got +want):\n%s", diff)
	}
}

// A batch is one call, with the tokens of all its items.
func TestBatchMetrics(t *testing.T) {
	t.Parallel()
	series, spans := measured(t, says(""), func(s *mellea.Session) {
		must[*mellea.BatchResult](t)(s.GenerateBatch(t.Context(), []string{"a", "fail", "b"}))
	}, nil)
	const labels = "gen_ai.operation.name=text_completion gen_ai.provider.name=openai gen_ai.request.model=m1 server.address=models.example.com server.port=8443"
	got := values(series, "gen_ai.client.inference.operation.")
	want := map[string]float64{"gen_ai.client.inference.operation.input_tokens " + labels: 14, "gen_ai.client.inference.operation.output_tokens " + labels: 6}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("tokens (-got +want):\n%s", diff)
	}
	d := duration(t, spans, "text_completion m1").Seconds()
	if got := values(series, semconv.MetricGenAIClientInferenceDuration)[semconv.MetricGenAIClientInferenceDuration+" "+labels]; got-d > 1e-9 || d-got > 1e-9 {
		t.Errorf("the duration is %v s, want the span's %v", got, d)
	}
}
