package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

const (
	eventDetails    = "gen_ai.client.inference.operation.details"
	eventException  = "gen_ai.client.operation.exception"
	eventEvaluation = "gen_ai.evaluation.result"
)

// all exports traces and logs to a server, with no line on the console.
func everything(server *otlptest.Server, more ...string) telemetry.Option {
	return environ(append([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_LOGS_OTLP=true", "MELLEA_LOGS_LEVEL=ERROR",
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP}, more...)...)
}

// An event is what a test asks of a log record.
type event struct {
	Severity   int
	Text       string
	Attributes map[string]any
	Span       string // the name of the span it belongs to
}

func eventsOf(records []otlptest.Record, spans []otlptest.Span, name string) []event {
	names := map[string]string{}
	for _, s := range spans {
		names[s.TraceID+s.SpanID] = s.Name
	}
	var all []event
	for _, r := range otlptest.Events(records, name) {
		all = append(all, event{r.Severity, r.SeverityText, r.Attributes, names[r.TraceID+r.SpanID]})
	}
	return all
}

// The events of a call: its details at DEBUG, whatever the level of lines, and for a failure its exception at WARN, once,
// both in the span of the chat.
func TestGenerationEvents(t *testing.T) {
	t.Parallel()
	type attrs = map[string]any
	base := attrs{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m1",
		"server.address": "models.example.com", "server.port": int64(8443)}
	with := func(more ...attrs) attrs {
		all := maps.Clone(base)
		for _, m := range more {
			maps.Copy(all, m)
		}
		return all
	}
	answered := attrs{"gen_ai.response.finish_reasons": []any{"stop"}, "gen_ai.usage.input_tokens": int64(7), "gen_ai.usage.output_tokens": int64(3)}
	rejected := attrs{"mellea.outcome": "rejected", "mellea.error.category": "rejected", "mellea.rejection.point": "generation",
		"mellea.rejection.plugin": "budget", "mellea.rejection.code": "over_budget"}
	guard := func(b hook.Binding) hook.Plugin { return hook.Plugin{Name: "budget", Sources: []hook.Source{b}} }
	waits := &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	for name, test := range map[string]struct {
		backend   *scripted
		hooks     []hook.Source
		ctx       func(context.Context) (context.Context, context.CancelFunc)
		opts      []mellea.CallOption
		start     []mellea.StartOption
		details   attrs
		exception attrs
		spans     int
	}{
		"success": {backend: says("hello"), details: with(answered)},
		"parameters": {backend: says("hello"),
			start: []mellea.StartOption{mellea.WithConversationID("conv")},
			opts: []mellea.CallOption{mellea.PromptName("mail", "3"), mellea.Temperature(0.5), mellea.MaxTokens(60), mellea.Seed(4),
				mellea.Options(backend.Options{}.WithThinking("high").WithExtra("n", 2).WithTopP(0.25).WithTopK(5).WithStop("a", "b").WithFrequencyPenalty(0.125).WithPresencePenalty(1))},
			details: with(answered, attrs{"gen_ai.conversation.id": "conv", "gen_ai.prompt.name": "mail", "gen_ai.prompt.version": "3",
				"gen_ai.request.temperature": 0.5, "gen_ai.request.max_tokens": int64(60), "gen_ai.request.seed": int64(4),
				"gen_ai.request.reasoning.level": "high", "gen_ai.request.choice.count": int64(2), "gen_ai.request.top_p": 0.25, "gen_ai.request.top_k": int64(5), "gen_ai.request.stop_sequences": []any{"a", "b"},
				"gen_ai.request.frequency_penalty": 0.125, "gen_ai.request.presence_penalty": 1.0})},
		"a response": {backend: &scripted{answer: func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
			w.Text(time.Now(), []byte("hello"))
			g := w.Generation()
			g.ResponseID, g.ResponseModel, g.RequestID = "id\xff", "m1-2024", "req"
			return nil
		}}, details: with(answered, attrs{"gen_ai.response.id": "id\uFFFD", "gen_ai.response.model": "m1-2024"})},
		"an error": {backend: fails(&backend.Error{Provider: "openai", Op: "chat", Status: 429, Code: "rate_limit_exceeded", Message: "planted"}),
			details:   with(attrs{"mellea.outcome": "error", "mellea.error.category": "rate_limit", "error.type": "rate_limit_exceeded"}),
			exception: attrs{"exception.type": "*backend.Error", "exception.message": "openai chat: HTTP 429 (rate_limit_exceeded)"}},
		"an error in a sampling loop": {backend: fails(fmt.Errorf("wrapped: %w", errors.New("planted"))), opts: []mellea.CallOption{mellea.Check(requirement.Contains("x"))},
			details:   with(attrs{"mellea.outcome": "error", "mellea.error.category": "unknown", "error.type": "*errors.errorString"}),
			exception: attrs{"exception.type": "*errors.errorString"}, spans: 5},
		"a deadline": {backend: waits, ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Millisecond)
		}, details: with(attrs{"mellea.outcome": "error", "mellea.error.category": "timeout", "error.type": "timeout"}),
			exception: attrs{"exception.type": "*backend.Error", "exception.message": deadline}},
		"cancelled": {backend: waits, ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Millisecond, cancel)
			return ctx, cancel
		}, details: with(attrs{"mellea.outcome": "cancelled", "mellea.error.category": "cancelled"})},
		"rejected before": {backend: says("hello"), hooks: []hook.Source{guard(hookpoint.Generation.Guard(
			func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
				return g, hook.Reject("over_budget", "planted")
			}))}, details: with(rejected)},
		"rejected after": {backend: says("hello"), hooks: []hook.Source{guard(hookpoint.Generation.Review(
			func(_ context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
				return p, hook.Reject("over_budget", "planted")
			}))}, details: with(answered, rejected)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel, _ := logs(t, everything(server))
			s := start(t, t.Context(), test.backend, append(test.start, mellea.WithHooks(append(test.hooks, tel, tel)...))...)
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if test.ctx != nil {
				ctx, cancel = test.ctx(ctx)
			}
			defer cancel()
			_, _ = s.Instruct(ctx, "one", test.opts...)
			_ = s.Close()
			flush(t, tel)
			spans, records := server.Spans(t, max(test.spans, 4)), server.Records(t, 1)
			if diff := cmp.Diff([]event{{5, "DEBUG", test.details, "chat m1"}}, eventsOf(records, spans, eventDetails)); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
			var want []event
			if test.exception != nil {
				want = []event{{13, "WARN", test.exception, "chat m1"}}
			}
			if diff := cmp.Diff(want, eventsOf(records, spans, eventException)); diff != "" {
				t.Errorf("exceptions (-want +got):\n%s", diff)
			}
			chat := named(t, spans, "chat m1")
			for _, r := range records {
				if at := r.Time; at.After(chat.End.Add(time.Millisecond)) || at.Before(chat.End.Add(-time.Millisecond)) {
					t.Errorf("%s is of %v, want the end of its span, %v", r.Event, at, chat.End)
				}
				if r.Scope != "mellea.backend" || r.SchemaURL != semconv.SchemaURL || r.Body != nil {
					t.Errorf("%s: scope %s, schema %s, body %v", r.Event, r.Scope, r.SchemaURL, r.Body)
				}
			}
			if indexOf(server.Raw(), "planted") >= 0 {
				t.Error("an event holds content")
			}
		})
	}
}

// A stream's details come when it has ended, with the time to its first chunk.
func TestStreamEvents(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, everything(server))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	out := must[*backend.Output](t)(s.StartInstruct(t.Context(), "one"))
	for _, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	flush(t, tel)
	got := eventsOf(server.Records(t, 1), server.Spans(t, 4), eventDetails)
	if len(got) != 1 || got[0].Attributes["gen_ai.request.stream"] != true || got[0].Attributes["gen_ai.usage.output_tokens"] != int64(3) {
		t.Fatalf("details: %+v", got)
	}
	chat := named(t, server.Spans(t, 4), "chat m1")
	if first := got[0].Attributes["gen_ai.response.time_to_first_chunk"]; first == nil || first != chat.Attributes["gen_ai.response.time_to_first_chunk"] {
		t.Errorf("time to first chunk is %v, want that of the span, %v", first, chat.Attributes["gen_ai.response.time_to_first_chunk"])
	}
}

// A reply that has a form says so, and a call that the library gives up is told as it ended.
func TestFormatAndAbandonedEvents(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, everything(server))
	running := make(chan struct{})
	b := &scripted{answer: func(ctx context.Context, n int, _ backend.Request, w *backend.Writer) error {
		if n == 1 {
			w.Text(time.Now(), []byte(`{"City":"Oslo"}`))
			return nil
		}
		close(running)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	must[*mellea.Result[struct{ City string }]](t)(mellea.InstructAs[struct{ City string }](t.Context(), s, "one"))
	var call sync.WaitGroup
	call.Go(func() { _, _ = s.Instruct(t.Context(), "two") })
	<-running
	_ = s.Close()
	call.Wait()
	flush(t, tel)
	got := otlptest.Events(server.Records(t, 2), eventDetails)
	if len(got) != 2 || got[0].Attributes["gen_ai.output.type"] != "json" {
		t.Fatalf("details: %+v", got)
	}
	if a := got[1].Attributes; a["mellea.outcome"] != "abandoned" || a["mellea.error.category"] != "cancelled" || a["error.type"] != nil {
		t.Errorf("details of what was given up: %v", a)
	}
	if got := len(otlptest.Events(server.Records(t, 2), eventException)); got != 0 {
		t.Errorf("%d exceptions, want none", got)
	}
}

// A batch has one event, and an item that failed alone is no exception.
func TestBatchEvents(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, everything(server))
	s := start(t, t.Context(), says("x"), mellea.WithHooks(tel))
	must[*mellea.BatchResult](t)(s.GenerateBatch(t.Context(), []string{"one", "fail"}, mellea.Temperature(0)))
	_ = s.Close()
	flush(t, tel)
	records, spans := server.Records(t, 1), server.Spans(t, 3)
	want := []event{{5, "DEBUG", map[string]any{"gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m1",
		"gen_ai.request.temperature": 0.0, "gen_ai.response.id": "cmpl-1", "gen_ai.response.finish_reasons": []any{"stop", "error"}, // one for each prompt
		"gen_ai.usage.input_tokens": int64(7), "gen_ai.usage.output_tokens": int64(3), "server.address": "models.example.com", "server.port": int64(8443)}, "text_completion m1"}}
	if diff := cmp.Diff(want, eventsOf(records, spans, eventDetails)); diff != "" || len(records) != 1 {
		t.Errorf("%d records; details (-want +got):\n%s", len(records), diff)
	}
}

// One exception is told of once, however many calls it ends: a backend that asks another through the library returns what
// that said.
func TestExceptionOnce(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, everything(server))
	within := mellea.On(fails(&backend.Error{Provider: "openai", Op: "chat", Status: 500}), mellea.WithHooks(tel))
	outer := &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
		_, err := mellea.Instruct(ctx, within, "one")
		return fmt.Errorf("the other one: %w", err)
	}}
	s := start(t, t.Context(), outer, mellea.WithHooks(tel))
	for range 2 {
		if _, err := s.Instruct(t.Context(), "one"); err == nil {
			t.Fatal("a failing backend passed")
		}
	}
	_ = s.Close()
	flush(t, tel)
	records := server.Records(t, 6)
	if details, exceptions := len(otlptest.Events(records, eventDetails)), len(otlptest.Events(records, eventException)); details != 4 || exceptions != 2 {
		t.Errorf("%d details and %d exceptions, want 4 and 2", details, exceptions)
	}
}

// Each check of a requirement is an evaluation, in the span of the chat whose reply was checked.
func TestEvaluationEvents(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, everything(server))
	b := &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		w.Generation().ResponseID = fmt.Sprint("resp-", n)
		return nil
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	scored := requirement.New("grade", func(context.Context, requirement.Env) (requirement.Verdict, error) {
		return requirement.Scored(true, 0.75, "planted-praise"), nil
	})
	_, _ = s.Instruct(t.Context(), "one", mellea.Require("planted-text", requirement.Contains("planted-word")),
		mellea.Check(requirement.Named("own_name", scored)), mellea.Strategy(sampling.Reject(2)))
	broken := requirement.New("broken", func(context.Context, requirement.Env) (requirement.Verdict, error) {
		return requirement.Verdict{}, errors.New("planted-error")
	})
	_, _ = s.Instruct(t.Context(), "two", mellea.Check(broken))
	denied := s.With(mellea.WithHooks(hookpoint.Requirement.Check(func(context.Context, hookpoint.RequirementStart) error { return hook.Reject("no", "planted") })))
	_, _ = denied.Instruct(t.Context(), "three", mellea.Check(scored))
	_, _ = s.Validate(t.Context(), "text", scored)
	_ = s.Close()
	flush(t, tel)
	records := server.Records(t, 4)
	spans := server.Spans(t, 20)
	type attrs = map[string]any
	verdict := func(name, label, response string, more attrs) attrs {
		a := attrs{"gen_ai.evaluation.name": name}
		if label != "" {
			a["gen_ai.evaluation.score.label"] = label
		}
		if response != "" {
			a["gen_ai.response.id"] = response
		}
		maps.Copy(a, more)
		return a
	}
	score := attrs{"gen_ai.evaluation.score.value": 0.75}
	want := []event{
		{Attributes: verdict("contains", "fail", "resp-1", nil), Span: "chat m1"},
		{Attributes: verdict("own_name", "pass", "resp-1", score), Span: "chat m1"},
		{Attributes: verdict("contains", "fail", "resp-2", nil), Span: "chat m1"},
		{Attributes: verdict("own_name", "pass", "resp-2", score), Span: "chat m1"},
		{Attributes: verdict("broken", "", "resp-3", attrs{"error.type": "*requirement.CheckError"}), Span: "chat m1"},
		{Attributes: verdict("grade", "pass", "", score), Span: "requirement"},
	}
	if diff := cmp.Diff(want, eventsOf(records, spans, eventEvaluation)); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
	for _, r := range otlptest.Events(records, eventEvaluation) {
		if r.Scope != "mellea.application" || r.SchemaURL != semconv.SchemaURL {
			t.Errorf("scope %s, schema %s", r.Scope, r.SchemaURL)
		}
		for _, sp := range spans {
			if sp.SpanID == r.SpanID && r.Attributes["gen_ai.response.id"] != sp.Attributes["gen_ai.response.id"] {
				t.Errorf("the evaluation of %v is in the span of %v", r.Attributes["gen_ai.response.id"], sp.Attributes["gen_ai.response.id"])
			}
		}
	}
	if got := len(otlptest.Events(records, eventException)); got != 0 {
		t.Errorf("%d exceptions, want none: no call to a model failed", got)
	}
	if indexOf(server.Raw(), "planted") >= 0 {
		t.Error("something holds content")
	}
}

// Without tracing events belong to the span that the program itself has, or to none; the reply is still named.
func TestEventsWithoutTraces(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP))
	b := &scripted{answer: func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		w.Generation().ResponseID = "resp"
		return nil
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one", mellea.Check(requirement.Contains("hello"))))
	_ = s.Close()
	flush(t, tel)
	for _, r := range server.Records(t, 2) {
		if r.TraceID != "" || r.Attributes["gen_ai.response.id"] != "resp" {
			t.Errorf("%s: trace %q, response %v", r.Event, r.TraceID, r.Attributes["gen_ai.response.id"])
		}
	}
}

// Events have what the registry says, and nothing else.
func TestEventsConform(t *testing.T) {
	t.Parallel()
	for _, content := range []bool{false, true} {
		server := otlptest.Start(t)
		tel, _ := logs(t, everything(server), telemetry.WithEventContent(content))
		leaky(t, tel)
		seen := map[string]bool{}
		for _, r := range server.Records(t, 10) {
			seen[r.Event] = true
			e, ok := semconv.LookupEvent(r.Event)
			if !ok || !e.Log || e.Severity != r.Severity {
				t.Errorf("event %q with severity %d, registered is %+v", r.Event, r.Severity, e)
			}
			for key := range r.Attributes {
				name := key
				if strings.HasPrefix(key, "gen_ai.prompt.variable.") {
					name = "gen_ai.prompt.variable"
				}
				if _, ok := e.Attribute(name); !ok {
					t.Errorf("%s has %s, which is not registered for it", r.Event, key)
				}
			}
			for u := range e.Attributes() {
				if u.Level == semconv.Required && r.Attributes[u.Name] == nil {
					t.Errorf("%s has no %s", r.Event, u.Name)
				}
			}
		}
		if diff := cmp.Diff(map[string]bool{eventDetails: true, eventException: true, eventEvaluation: true}, seen); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
}

// A judge's own call is an event of its own, and not what its verdict is about.
func TestEvaluationByAJudge(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, everything(server))
	b := &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte([]string{"hello", "yes"}[n-1]))
		w.Generation().ResponseID = []string{"reply", "judgement"}[n-1]
		return nil
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	_, _ = s.Instruct(t.Context(), "one", mellea.Require("planted"), mellea.Strategy(sampling.Reject(1)))
	_ = s.Close()
	flush(t, tel)
	records := server.Records(t, 3)
	got := otlptest.Events(records, eventEvaluation)
	if len(got) != 1 || got[0].Attributes["gen_ai.response.id"] != "reply" || got[0].Attributes["gen_ai.evaluation.name"] != "llm_judge" {
		t.Errorf("evaluations: %+v", got)
	}
	if got := len(otlptest.Events(records, eventDetails)); got != 2 {
		t.Errorf("%d details, want 2", got)
	}
}
