package mellea_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/internal/semconvtest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// excused are the improvements that the checker sees and a program cannot make, by attribute and the first words of the
// names of spans, metrics and log events.
var excused = []struct{ attribute, names, reason string }{
	{"gen_ai.request.frequency_penalty", "chat text_completion", "the program sets none, and the provider's default is not known"},
	{"gen_ai.request.max_tokens", "chat text_completion", "the program sets none, and the provider's default is not known"},
	{"gen_ai.request.presence_penalty", "chat text_completion", "the program sets none, and the provider's default is not known"},
	{"gen_ai.request.stop_sequences", "chat text_completion", "the program sets none, and the provider's default is not known"},
	{"gen_ai.request.temperature", "chat text_completion", "the program sets none, and the provider's default is not known"},
	{"gen_ai.request.top_p", "chat text_completion", "the program sets none, and the provider's default is not known"},
	{"gen_ai.response.id", "chat text_completion", "Ollama and the scripted backend give replies no id"},
	{"gen_ai.response.model", "chat text_completion", "the scripted backend does not tell which model replied"},
	{"gen_ai.usage.input_tokens", "chat", "the scripted backend reports no usage"},
	{"gen_ai.usage.output_tokens", "chat", "the scripted backend reports no usage"},
	{"gen_ai.response.model", "gen_ai.client.inference.duration gen_ai.client.inference.time_to_first_chunk" +
		" gen_ai.client.inference.usage.input_tokens gen_ai.client.inference.usage.output_tokens" +
		" gen_ai.client.inference.operation.input_tokens gen_ai.client.inference.operation.output_tokens",
		"the scripted backend does not tell which model replied, and neither does a server that refuses"},
	{"gen_ai.response.model", "gen_ai.client.inference.time_per_output_chunk", "chunks are recorded as they arrive, and which model replied is known at the end"},
	{"openai.response.service_tier", "gen_ai.client.inference.duration gen_ai.client.inference.usage.input_tokens" +
		" gen_ai.client.inference.usage.output_tokens gen_ai.client.inference.operation.input_tokens gen_ai.client.inference.operation.output_tokens",
		"a server that refuses names no tier, and neither does the one of the tests for raw completions"},
	{"openai.api.type", "text_completion", "it goes to the API for completions, which is none of the values there are"},
	{"openai.response.system_fingerprint", "gen_ai.client.inference.duration", "a server that refuses gives none"},
	{"exception.stacktrace", "gen_ai.client.operation.exception", "errors of Go have no stack, and that of a panic may show what it was about"},
	{"mellea.cli.args", "mellea", "the command was given no flag of those that may be recorded"},
	{"mellea.formatter.template", "action", "a message is sent as it is, without a template"},
}

// Every program emits what the conventions say: no violation, and no improvement but that the conventions are not stable
// and that a value is missing which the program could not know.
func TestTelemetryFollowsTheConventions(t *testing.T) {
	t.Parallel()
	modes := map[string][]telemetry.Option{
		"content off":            nil,
		"content on":             {telemetry.WithContent(true)},
		"content as strings":     {telemetry.WithContent(true), telemetry.WithContentStrings()},
		"content cut":            {telemetry.WithContent(true), telemetry.WithContentMaxBytes(120)},
		"linked, chunk by chunk": {telemetry.SessionSpans(telemetry.Link), telemetry.WithChunkEvents(1)},
		"no session spans":       {telemetry.SessionSpans(telemetry.Off), telemetry.WithChunkEvents(2)},
	}
	for mode, opts := range modes {
		for name, program := range conformingPrograms {
			t.Run(mode+"/"+name, func(t *testing.T) {
				t.Parallel()
				conforms(t, exportedBy(t, opts, program))
			})
		}
	}
}

// conforms fails the test for every finding that no program may have.
func conforms(t *testing.T, data check.Data) {
	t.Helper()
	data.Least = check.Improvement
	for _, g := range check.All(data).Groups() {
		if !isExcused(g.Finding) {
			t.Errorf("%s (%d times)", g.Finding, g.Count)
		}
	}
}

// isExcused reports whether a finding is one that a program may have.
func isExcused(f check.Finding) bool {
	switch f.ID {
	case check.NotStable:
		return true // all of the conventions is in development
	case check.RecommendedAttributeNotPresent:
		for _, e := range excused {
			if e.attribute == f.Attribute && slices.Contains(strings.Fields(e.names), subject(f)) && f.Event == "" {
				return true
			}
		}
	}
	return false
}

// subject is what the exceptions call that which a finding is about. The event about a call has the table of its span.
func subject(f check.Finding) string {
	if f.Name == semconv.EventGenAIClientInferenceOperationDetails {
		return "chat"
	}
	return firstWord(f.Name)
}

// exportedBy runs a program and returns what it exports over OTLP.
func exportedBy(t *testing.T, opts []telemetry.Option, program func(*testing.T, *telemetry.Telemetry)) check.Data {
	t.Helper()
	return semconvtest.Received(t, exportOf(t, opts, program))
}

// exportOf runs a program and returns the receiver that has all it exports.
func exportOf(t *testing.T, opts []telemetry.Option, program func(*testing.T, *telemetry.Telemetry)) *otlptest.Server {
	t.Helper()
	server := otlptest.Start(t)
	vars := []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true",
		"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP}
	if len(opts) > 0 { // the option on content is about spans
		vars = append(vars, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=EVENT_ONLY")
	}
	opts = append([]telemetry.Option{telemetry.WithEnviron(vars), telemetry.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	tel, err := telemetry.Setup(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	program(t, tel)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server
}

// Metrics have what the spans of the same run say, series by series.
func TestMetricsAreWhatTheSpansSay(t *testing.T) {
	t.Parallel()
	for name, program := range conformingPrograms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			semconvtest.CompareMetrics(t, exportOf(t, []telemetry.Option{telemetry.WithChunkEvents(1)}, program))
		})
	}
}

// The event about a call has what the span of the call has, as far as the convention has it on both. It has openai.* on
// spans and metrics only.
func TestDetailsAreWhatTheSpansSay(t *testing.T) {
	t.Parallel()
	details, _ := semconv.LookupEvent(semconv.EventGenAIClientInferenceOperationDetails)
	for name, program := range conformingPrograms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := exportOf(t, nil, program)
			calls := map[string]otlptest.Span{}
			for _, s := range server.Spans(t, 1) {
				if s.Scope == semconv.ScopeBackend {
					calls[s.TraceID+s.SpanID] = s
				}
			}
			var records []otlptest.Record
			if len(calls) > 0 {
				records = otlptest.Events(server.Records(t, len(calls)), details.Name)
			}
			if len(records) != len(calls) {
				t.Errorf("%d events about %d calls", len(records), len(calls))
			}
			for _, r := range records {
				want := map[string]any{}
				for key, value := range calls[r.TraceID+r.SpanID].Attributes {
					if _, ok := details.Attribute(key); ok {
						want[key] = value
					}
				}
				if diff := cmp.Diff(want, r.Attributes); diff != "" {
					t.Errorf("event about a call (-on its span +got):\n%s", diff)
				}
			}
		})
	}
}

// The programs have every span that there is so far, in every way that it can end, and no exception is made in vain.
func TestConformingProgramsCoverTheSpans(t *testing.T) {
	t.Parallel()
	spans, missing := map[string]bool{}, map[string]bool{}
	for _, program := range conformingPrograms {
		received := exportedBy(t, []telemetry.Option{telemetry.WithChunkEvents(1)}, program)
		for _, f := range check.All(received) {
			if f.ID == check.RecommendedAttributeNotPresent && f.Level == check.Improvement {
				missing[subject(f)+" "+f.Attribute] = true
			}
		}
		eachSpan(received, func(s *otlp.Span) {
			spans[firstWord(s.GetName())+" "+outcome(s)] = true
			for _, e := range s.GetEvents() {
				spans[firstWord(s.GetName())+"/"+e.GetName()] = true
			}
		})
	}
	for _, e := range excused {
		for name := range strings.FieldsSeq(e.names) {
			if !missing[name+" "+e.attribute] {
				t.Errorf("%s is excused on %s and never missing: %s", e.attribute, name, e.reason)
			}
		}
	}
	for _, want := range []string{
		"start_session ok", "start_session error", "start_session rejected", "session ok", "action ok", "action error", "action rejected",
		"action cancelled", "action abandoned", "sampling ok", "sampling error", "sampling rejected", "sampling cancelled", "validation ok",
		"validation error", "validation rejected", "requirement ok", "requirement error", "requirement rejected", "chat ok", "chat error",
		"chat rejected", "chat cancelled", "chat abandoned", "text_completion ok", "text_completion error",
		"execute_tool ok", "execute_tool error", "execute_tool rejected", "execute_tool cancelled", "mellea ok", "mellea error", "mellea rejected", "mellea cancelled",
		"action/parse_error", "sampling/iteration", "sampling/repair", "sampling/select", "chat/first_chunk", "chat/first_token",
		"chat/chunk_processed", "chat/stream_complete", "chat/retry",
	} {
		if !spans[want] {
			t.Errorf("no program has %s", want)
		}
	}
}

func eachSpan(data check.Data, f func(*otlp.Span)) {
	for _, m := range data.Traces {
		for _, r := range m.GetResourceSpans() {
			for _, in := range r.GetScopeSpans() {
				for _, s := range in.GetSpans() {
					f(s)
				}
			}
		}
	}
}

func firstWord(name string) string {
	word, _, _ := strings.Cut(name, " ")
	return word
}

func outcome(s *otlp.Span) string {
	for _, kv := range s.GetAttributes() {
		if kv.GetKey() == "mellea.outcome" {
			return kv.GetValue().GetStringValue()
		}
	}
	return "ok"
}

// Every example has a test that holds its telemetry against the conventions, and its metrics against its spans.
func TestExamplesAreChecked(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Glob("examples/*/main.go")
	if err != nil || len(programs) < 10 {
		t.Fatalf("%d examples: %v", len(programs), err)
	}
	for _, p := range programs {
		dir := filepath.Dir(p)
		src, err := os.ReadFile(filepath.Join(dir, "telemetry_test.go"))
		if err != nil || !strings.Contains(string(src), "Telemetry(t, recording, run)") {
			t.Errorf("%s: no test calls package recordedtest: %v", dir, err)
		}
	}
}
