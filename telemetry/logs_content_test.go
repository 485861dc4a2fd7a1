package telemetry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// Content is on events in the EVENT modes only, on spans in the SPAN modes only, and MELLEA_TRACES_CONTENT is about spans.
func TestContentOfEvents(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env           []string
		opts          []telemetry.Option
		spans, events bool
	}{
		"nothing":                   {},
		"NO_CONTENT":                {env: []string{genaiContent + "NO_CONTENT"}},
		"SPAN_ONLY":                 {env: []string{genaiContent + "SPAN_ONLY"}, spans: true},
		"EVENT_ONLY":                {env: []string{genaiContent + "EVENT_ONLY"}, events: true},
		"SPAN_AND_EVENT":            {env: []string{genaiContent + "SPAN_AND_EVENT"}, spans: true, events: true},
		"true":                      {env: []string{genaiContent + "true"}, spans: true, events: true},
		"false":                     {env: []string{genaiContent + "false"}},
		"unknown":                   {env: []string{genaiContent + "ALL"}},
		"own":                       {env: []string{"MELLEA_TRACES_CONTENT=true"}, spans: true},
		"own decides for spans":     {env: []string{"MELLEA_TRACES_CONTENT=true", genaiContent + "EVENT_ONLY"}, spans: true, events: true},
		"own decides for spans, no": {env: []string{"MELLEA_TRACES_CONTENT=false", genaiContent + "SPAN_AND_EVENT"}, events: true},
		"an option":                 {opts: []telemetry.Option{telemetry.WithEventContent(true)}, events: true},
		"an option, no":             {env: []string{genaiContent + "SPAN_AND_EVENT"}, opts: []telemetry.Option{telemetry.WithEventContent(false)}, spans: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traces, events := otlptest.Start(t), otlptest.Start(t)
			book := &logbook{}
			tel, out := logs(t, append(test.opts, telemetry.WithLogger(book.logger()), everything(traces, append(test.env, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="+events.HTTP+"/v1/logs")...))...)
			leaky(t, tel)
			traces.Spans(t, 20)
			records := events.Records(t, 8)
			checkPlanted(t, "spans", traces.Raw(), test.spans)
			checkPlanted(t, "events", events.Raw(), test.events)
			if strings.Contains(out.String()+strings.Join(book.lines(), ""), "planted") {
				t.Error("a line holds content")
			}
			for _, r := range records {
				for key := range r.Attributes {
					if !test.events && semconv.IsContent(key) && key != "gen_ai.evaluation.name" {
						t.Errorf("%s has %s", r.Event, key)
					}
				}
			}
		})
	}
}

// checkPlanted checks that everything planted that was promised is there, or nothing at all; and never what was denied.
func checkPlanted(t *testing.T, what string, raw []byte, want bool) {
	t.Helper()
	for _, word := range []string{"system", "prompt", "variable", "reply", "reasoning", "requirement", "reason", "message"} {
		if got := indexOf(raw, "planted-"+word) >= 0; got != want {
			t.Errorf("%s have planted-%s: %v, want %v", what, word, got, want)
		}
	}
	if !want && indexOf(raw, "planted") >= 0 {
		t.Errorf("%s hold content", what)
	}
	for _, never := range []string{"denied", "rejection", "panic", "flag"} {
		if indexOf(raw, "planted-"+never) >= 0 {
			t.Errorf("%s have planted-%s", what, never)
		}
	}
}

// Content on events is structured, whatever spans have; it is redacted and capped as theirs is.
func TestContentOfEventsIsStructured(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	hide := func(_, text string) string { return strings.ReplaceAll(text, "Alice", "****") }
	tel, _ := logs(t, everything(server), telemetry.WithEventContent(true), telemetry.WithContentStrings(), telemetry.WithRedactor(hide), telemetry.WithContentMaxBytes(200))
	s := start(t, t.Context(), says("Dear Alice", strings.Repeat("long ", 100)), mellea.WithHooks(tel), mellea.WithSystem("Be kind to Alice"))
	never := requirement.New("never", func(context.Context, requirement.Env) (requirement.Verdict, error) {
		return requirement.Fail("Alice is not met. " + strings.Repeat("x", 300)), nil
	})
	_, _ = s.Instruct(t.Context(), "Greet Alice", mellea.Check(never), mellea.Strategy(sampling.Reject(2)))
	_ = s.Close()
	flush(t, tel)
	records := server.Records(t, 4)
	details := otlptest.Events(records, eventDetails)
	message := func(role, text string) any {
		return map[string]any{"role": role, "parts": []any{map[string]any{"type": "text", "content": text}}}
	}
	got := details[0].Attributes
	for key, want := range map[string]any{
		"gen_ai.output.messages":     []any{message("assistant", "Dear ****")},
		"gen_ai.input.messages":      []any{message("user", "Greet ****")},
		"gen_ai.system_instructions": []any{map[string]any{"type": "text", "content": "Be kind to ****"}},
	} {
		if diff := cmp.Diff(want, got[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	if got["mellea.content.truncated"] != nil || details[1].Attributes["mellea.content.truncated"] != true {
		t.Errorf("truncated: %v and %v, want only the second", got["mellea.content.truncated"], details[1].Attributes["mellea.content.truncated"])
	}
	verdict := otlptest.Events(records, eventEvaluation)[0].Attributes
	if text, _ := verdict["gen_ai.evaluation.explanation"].(string); !strings.HasPrefix(text, "**** is not met.") || len(text) != 200 || verdict["mellea.content.truncated"] != true {
		t.Errorf("explanation: %v", verdict)
	}
}

// What a tool is called with, what it answers and what goes wrong in it is content.
func TestToolContentOfEvents(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		server := otlptest.Start(t)
		tel, out := logs(t, environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP), telemetry.WithEventContent(on))
		b := calling(content.ToolCall{ID: "c1", Name: "weather", Arguments: `{"city":"planted-city"}`},
			content.ToolCall{ID: "c2", Name: "weather", Arguments: `{"city":"planted-error"}`},
			content.ToolCall{ID: "c3", Name: "planted-tool", Arguments: `{}`})
		s := start(t, t.Context(), b, mellea.WithHooks(tel), mellea.WithTools(weather))
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
		_ = s.Close()
		flush(t, tel)
		server.Records(t, 2)
		for _, word := range []string{"city", "sky", "tool", "cause"} {
			if got := indexOf(server.Raw(), "planted-"+word) >= 0; got != on {
				t.Errorf("content %v: events have planted-%s: %v", on, word, got)
			}
		}
		if strings.Contains(out.String(), "planted") {
			t.Errorf("a line holds content: %s", out)
		}
	}
}
