package telemetry_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/internal/tracecost"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

const someModels = `{"prices": [
	{"model": "plain", "input": 2, "output": 8},
	{"model": "plain-2026", "input": 3, "output": 9},
	{"model": "full", "input": 2, "output": 8, "cache_read": 0.5, "cache_write": 2.5, "audio_input": 30, "audio_output": 60, "reasoning": 3, "batch_input": 1, "batch_output": 4,
	 "long": {"above": 1000, "input": 4, "output": 16, "cache_read": 1}},
	{"model": "ollama/smollm2:135m-instruct", "input": 5, "output": 7}
]}`

// costs runs a program with traces in a file and metrics to a server, and returns what the two say of its cost.
func costs(t *testing.T, program func(tel *telemetry.Telemetry)) (metric float64, trace tracecost.Row) {
	t.Helper()
	prices := must[*telemetry.Pricing](t)(telemetry.ParsePricing([]byte(someModels)))
	server, path := otlptest.Start(t), filepath.Join(t.TempDir(), "trace.jsonl")
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger((&logbook{}).logger()), telemetry.WithPricing(prices),
		telemetry.WithTracesFile(path), environ("MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)))
	program(tel)
	if err := tel.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, s := range server.Series() {
		if s.Name == semconv.MetricMelleaLLMCostUSD {
			metric += s.Value
		}
	}
	ledger := tracecost.New(tracecost.ByModel, prices)
	file := must[[]byte](t)(os.ReadFile(path))
	for rec, err := range otlpfile.Read(bytes.NewReader(file)) {
		if err != nil {
			t.Fatal(err)
		}
		ledger.Add(rec.Spans)
	}
	return metric, tracecost.Total(ledger.Rows())
}

// Whatever calls use, by whatever model, tier or word of the server: their trace costs what the metric says.
func TestTraceCostsWhatTheMetricSays(t *testing.T) {
	t.Parallel()
	const calls = 300
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	usage := func() content.Usage {
		in, out := r.IntN(2000), r.IntN(500)
		u := content.Usage{InputTokens: in, OutputTokens: out, CacheReadTokens: r.IntN(in/3 + 1), CacheWriteTokens: r.IntN(in/3 + 1), ReasoningTokens: r.IntN(out + 1)}
		u.Audio = content.Modality{InputTokens: r.IntN(in/3 + 1), OutputTokens: r.IntN(out/3 + 1)}
		return u
	}
	metric, trace := costs(t, func(tel *telemetry.Telemetry) {
		set := (*hook.Set)(nil).With(tel)
		for range calls {
			info := backend.Info{Provider: pick("openai", "openai", "litellm", "ollama"), Model: pick("plain", "full", "unknown")}
			g := backend.Generation{Provider: info.Provider, Model: info.Model, ResponseModel: pick("", "plain-2026", "full", "unknown-2026"), Usage: usage(), ServiceTier: pick("", "default", "flex")}
			if r.IntN(5) == 0 {
				g.Sent = backend.Options{}.WithExtra("service_tier", pick("flex", "auto", "priority"))
			}
			if r.IntN(10) == 0 {
				g.Cost = backend.Cost{Reported: true, USD: r.Float64()}
			}
			if r.IntN(4) == 0 {
				_, _ = hookpoint.GenerationBatch.Do(t.Context(), set, hookpoint.BatchStart{Info: info}, func(context.Context, hookpoint.BatchStart) (hookpoint.BatchEnd, error) {
					return hookpoint.BatchEnd{Generation: g}, nil
				})
				continue
			}
			var err error
			if r.IntN(5) == 0 { // what a call used that failed was used all the same
				err = &backend.Error{Provider: info.Provider, Status: 500}
			}
			generate(t, tel, hookpoint.GenerationStart{Info: info}, hookpoint.GenerationEnd{Generation: g}, err)
		}
	})
	if math.Abs(metric-trace.USD) > 1e-9 || metric == 0 || trace.Calls != calls {
		t.Errorf("the metric says %v, the trace %v in %d calls", metric, trace.USD, trace.Calls)
	}
}

// The same of an example, on its recording.
func TestExampleCostsWhatTheMetricSays(t *testing.T) {
	t.Parallel()
	b := must[*replay.Backend](t)(replay.Open(filepath.Join("..", "examples", "hello", "recording.jsonl")))
	metric, trace := costs(t, func(tel *telemetry.Telemetry) {
		s := start(t, t.Context(), b, mellea.WithHooks(tel))
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Greet {{name}} in one short sentence.", mellea.Vars{"name": "Ada"},
			mellea.Temperature(0), mellea.MaxTokens(40)))
		_ = s.Close()
	})
	const want = (38*5 + 24*7) / 1e6
	if math.Abs(metric-want) > 1e-12 || math.Abs(trace.USD-want) > 1e-12 {
		t.Errorf("the metric says %v, the trace %v, want %v", metric, trace.USD, want)
	}
}

// Only a provider's own tier for what may wait has the prices of a batch; several prompts in one request do not.
func TestCostOfWhatMayWait(t *testing.T) {
	t.Parallel()
	info := backend.Info{Provider: "openai", Model: "full"}
	used := content.Usage{InputTokens: 1000, OutputTokens: 1000}
	for name, tt := range map[string]struct {
		g     backend.Generation
		batch bool
		want  float64
	}{
		"as any other":        {g: backend.Generation{}, want: 0.010},
		"flex":                {g: backend.Generation{ServiceTier: "flex"}, want: 0.005},
		"flex that was asked": {g: backend.Generation{Sent: backend.Options{}.WithExtra("service_tier", "flex")}, want: 0.005},
		"flex that was not":   {g: backend.Generation{ServiceTier: "default", Sent: backend.Options{}.WithExtra("service_tier", "flex")}, want: 0.010},
		"several prompts":     {g: backend.Generation{}, batch: true, want: 0.010},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.g.Provider, tt.g.Model, tt.g.Usage = info.Provider, info.Model, used
			metric, trace := costs(t, func(tel *telemetry.Telemetry) {
				if !tt.batch {
					generate(t, tel, hookpoint.GenerationStart{Info: info}, hookpoint.GenerationEnd{Generation: tt.g}, nil)
					return
				}
				_, _ = hookpoint.GenerationBatch.Do(t.Context(), (*hook.Set)(nil).With(tel), hookpoint.BatchStart{Info: info}, func(context.Context, hookpoint.BatchStart) (hookpoint.BatchEnd, error) {
					return hookpoint.BatchEnd{Generation: tt.g}, nil
				})
			})
			if math.Abs(metric-tt.want) > 1e-12 || math.Abs(trace.USD-tt.want) > 1e-12 {
				t.Errorf("the metric says %v, the trace %v, want %v", metric, trace.USD, tt.want)
			}
		})
	}
}
