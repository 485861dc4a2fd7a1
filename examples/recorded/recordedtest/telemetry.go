// Package recordedtest holds the telemetry of an example against the conventions, and its metrics against its spans.
package recordedtest

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// Telemetry runs an example with all three signals and content on, sends them to a receiver, and fails the test where
// they are not what the conventions say or where metrics and spans differ.
func Telemetry(t *testing.T, recording []byte, p recorded.Program) {
	t.Helper()
	server := otlptest.Start(t)
	tel, err := telemetry.Setup(t.Context(), telemetry.WithEnviron(everything(server)))
	if err != nil {
		t.Fatal(err)
	}
	run(t, recording, p, tel)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	conforms(t, server)
	compare(t, server)
}

// OwnTelemetry is [Telemetry] for an example that sets its telemetry up itself: it finds the receiver in the environment.
// The test must not be parallel.
func OwnTelemetry(t *testing.T, recording []byte, p recorded.Program) {
	t.Helper()
	server := otlptest.Start(t)
	for _, pair := range everything(server) {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	run(t, recording, p, nil)
	conforms(t, server)
	compare(t, server)
}

// everything is the environment that switches everything on.
func everything(server *otlptest.Server) []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP,
		"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true",
		"MELLEA_LOGS_OTLP=true", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_AND_EVENT"}
}

func run(t *testing.T, recording []byte, p recorded.Program, tel *telemetry.Telemetry) {
	t.Helper()
	b, err := replay.New(bytes.NewReader(recording))
	if err != nil {
		t.Fatal(err)
	}
	if err := p(t.Context(), io.Discard, b, tel); err != nil {
		t.Fatal(err)
	}
}

// unknowable are the recommended attributes that an example cannot have, each with the reason.
var unknowable = map[string]string{
	"gen_ai.request.frequency_penalty": "the program sets none, and the provider's default is not known",
	"gen_ai.request.max_tokens":        "the program sets none, and the provider's default is not known",
	"gen_ai.request.presence_penalty":  "the program sets none, and the provider's default is not known",
	"gen_ai.request.stop_sequences":    "the program sets none, and the provider's default is not known",
	"gen_ai.request.temperature":       "the program sets none, and the provider's default is not known",
	"gen_ai.request.top_p":             "the program sets none, and the provider's default is not known",
	"gen_ai.response.id":               "Ollama gives replies no id",
	"gen_ai.response.model":            "chunks are recorded as they arrive, and which model replied is known at the end",
}

// conforms allows what a program cannot know.
func conforms(t *testing.T, server *otlptest.Server) {
	t.Helper()
	var d check.Data
	for _, m := range server.Traces() {
		d.Traces = append(d.Traces, m)
	}
	for _, m := range server.Metrics() {
		d.Metrics = append(d.Metrics, m)
	}
	for _, m := range server.Logs() {
		d.Logs = append(d.Logs, m)
	}
	if len(d.Traces) == 0 || len(d.Metrics) == 0 || len(d.Logs) == 0 {
		t.Fatalf("%d exports of spans, %d of metrics, %d of logs: want some of each", len(d.Traces), len(d.Metrics), len(d.Logs))
	}
	for _, f := range check.All(d).AtLeast(check.Improvement).Without(check.NotStable) {
		if f.ID != check.RecommendedAttributeNotPresent || unknowable[f.Attribute] == "" {
			t.Error(f)
		}
	}
}

// compare adds up what the spans say and finds it on the metrics.
func compare(t *testing.T, server *otlptest.Server) {
	t.Helper()
	want := map[string]float64{}
	add := func(key string, v any) {
		switch n := v.(type) {
		case int64:
			want[key] += float64(n)
		case float64:
			want[key] += n
		}
	}
	spans := server.Spans(t, 1)
	failedBelow := map[string]bool{}
	for _, s := range spans {
		if s.Status == "error" {
			failedBelow[s.Parent] = true
		}
	}
	for _, s := range spans {
		a := s.Attributes
		seconds := s.End.Sub(s.Start).Seconds()
		if s.Status == "error" && !failedBelow[s.SpanID] { // where it arose
			add("mellea.llm.errors", 1.0)
		}
		switch first, _, _ := strings.Cut(s.Name, " "); first {
		case "chat":
			add("gen_ai.client.inference.duration", seconds)
			add("calls", 1.0)
			add("gen_ai.client.inference.usage.input_tokens", a["gen_ai.usage.input_tokens"])
			add("gen_ai.client.inference.usage.output_tokens", a["gen_ai.usage.output_tokens"])
			add("gen_ai.client.inference.usage.cache_read.input_tokens", a["gen_ai.usage.cache_read.input_tokens"])
			add("gen_ai.client.inference.usage.cache_write.input_tokens", a["gen_ai.usage.cache_write.input_tokens"])
			add("gen_ai.client.inference.usage.reasoning.output_tokens", a["gen_ai.usage.reasoning.output_tokens"])
			add("mellea.llm.cost.usd", a["mellea.usage.cost.usd"])
			add("gen_ai.client.inference.operation.input_tokens", a["gen_ai.usage.input_tokens"])
			add("gen_ai.client.inference.operation.output_tokens", a["gen_ai.usage.output_tokens"])
			add("gen_ai.client.inference.time_to_first_chunk", a["gen_ai.response.time_to_first_chunk"])
		case "execute_tool":
			add("gen_ai.execute_tool.duration", seconds)
			add("mellea.tool.calls", 1.0)
		case "sampling":
			add("mellea.sampling.attempts", a["mellea.sampling.iterations_used"])
			if a["mellea.sampling.success"] == true {
				add("mellea.sampling.successes", 1.0)
			} else {
				add("mellea.sampling.failures", 1.0)
			}
		case "requirement":
			add("mellea.requirement.checks", 1.0)
			if a["mellea.requirement.passed"] == false {
				add("mellea.requirement.failures", 1.0)
			}
		}
		if point, ok := a["mellea.rejection.point"]; ok && fmt.Sprint(point) == pointOf(s) {
			add("mellea.hook.rejections", 1.0)
		}
	}
	if want["calls"] == 0 {
		t.Error("the spans have no call of a model")
	}
	got := map[string]float64{}
	for _, s := range server.Series() {
		got[s.Name] += s.Value
		if s.Name == "gen_ai.client.inference.duration" {
			got["calls"] += float64(s.Count)
		}
	}
	for name, w := range want {
		if g := got[name]; math.Abs(g-w) > 1e-6*math.Max(1, w) {
			t.Errorf("%s: %v on metrics, %v on spans", name, g, w)
		}
	}
	for _, name := range []string{"mellea.llm.errors", "mellea.hook.rejections", "mellea.sampling.failures", "mellea.requirement.failures", "mellea.tool.calls"} {
		if got[name] != 0 && want[name] == 0 {
			t.Errorf("%s: %v on metrics, none on spans", name, got[name])
		}
	}
}

// pointOf is the hook point that a span is of, for the spans that examples have rejected.
func pointOf(s otlptest.Span) string {
	first, _, _ := strings.Cut(s.Name, " ")
	return map[string]string{"chat": "generation", "execute_tool": "tool", "action": "component"}[first]
}
