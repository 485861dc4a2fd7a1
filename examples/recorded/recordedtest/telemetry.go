// Package recordedtest holds the telemetry of an example against the conventions, and its metrics against its spans.
package recordedtest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/internal/semconvtest"
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
	semconvtest.CompareMetrics(t, server)
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
	semconvtest.CompareMetrics(t, server)
}

// everything is the environment that switches everything on.
func everything(server *otlptest.Server) []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP,
		"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true",
		"MELLEA_LOGS_OTLP=true", "MELLEA_GENERATION_CHUNK_EVENTS=true", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_AND_EVENT"}
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
	d := semconvtest.Received(t, server)
	if len(d.Metrics) == 0 || len(d.Logs) == 0 {
		t.Fatalf("%d exports of metrics, %d of logs: want some of each", len(d.Metrics), len(d.Logs))
	}
	for _, f := range check.All(d).AtLeast(check.Improvement).Without(check.NotStable) {
		if f.ID != check.RecommendedAttributeNotPresent || unknowable[f.Attribute] == "" {
			t.Error(f)
		}
	}
}
