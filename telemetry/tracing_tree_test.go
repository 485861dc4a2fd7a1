package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
)

// show prints attributes of a span beside its name, without their namespaces.
func show(keys ...string) func(otlptest.Span) string {
	return func(s otlptest.Span) string {
		var all []string
		for _, k := range keys {
			if v, ok := s.Attributes[k]; ok {
				all = append(all, k[strings.LastIndexByte(k, '.')+1:]+"="+text(v))
			}
		}
		return strings.Join(all, " ")
	}
}

func tree(want string) string { return strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", "") }

// judging answers judges with yes and everything else with the texts in turn.
func judging(texts ...string) *scripted {
	script := says(texts...)
	n := 0
	return &scripted{answer: func(ctx context.Context, _ int, req backend.Request, w *backend.Writer) error {
		last, _ := req.Messages.Last()
		if strings.Contains(last.Text(), "formal") && strings.Contains(last.Text(), "Dear") {
			w.Text(time.Now(), []byte("yes"))
			return nil
		}
		n++
		return script.answer(ctx, n, req, w)
	}}
}

func TestTree(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	s := start(t, t.Context(), judging("Dear all, ASAP", "Dear all"), mellea.WithHooks(tel))
	got := must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Write a mail",
		mellea.Require("be formal"), mellea.Check(requirement.Excludes("ASAP")), mellea.Strategy(sampling.Repair(3))))
	if got.Text() != "Dear all" {
		t.Fatalf("result is %q", got.Text())
	}
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Again"))
	must[[]requirement.Result](t)(s.Validate(t.Context(), "Dear all", requirement.MaxWords(3)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flush(t, tel)

	want := tree(`
	start_session
	session
	  action
	    sampling
	      chat m1 iteration=1
	      validation iteration=1 passed=false
	        requirement name=llm_judge passed=true
	          chat m1 iteration=1
	        requirement name=excludes passed=false
	      chat m1 iteration=2
	      validation iteration=2 passed=true
	        requirement name=llm_judge passed=true
	          chat m1 iteration=2
	        requirement name=excludes passed=true
	  action
	    chat m1
	  validation passed=true
	    requirement name=max_words passed=true
	`)
	spans := server.Spans(t, 18)
	if diff := cmp.Diff(want, otlptest.Tree(spans, show("mellea.sampling.iteration", "mellea.requirement.name", "mellea.requirement.passed", "mellea.validation.passed"))); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	checkSpans(t, spans)
}

// checkSpans holds every span against what all spans have in common.
func checkSpans(t *testing.T, spans []otlptest.Span) {
	t.Helper()
	byID := map[string]otlptest.Span{}
	for _, s := range spans {
		if _, twice := byID[s.SpanID]; twice {
			t.Errorf("span %s was exported twice", s.Name)
		}
		byID[s.SpanID] = s
	}
	for _, s := range spans {
		scope, kind := "mellea.application", "internal"
		if strings.HasPrefix(s.Name, "chat") {
			scope, kind = "mellea.backend", "client"
		}
		if s.Scope != scope || s.Kind != kind {
			t.Errorf("span %s has scope %s and kind %s, want %s and %s", s.Name, s.Scope, s.Kind, scope, kind)
		}
		if want := "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"; s.SchemaURL != want {
			t.Errorf("span %s has schema URL %s, want %s", s.Name, s.SchemaURL, want)
		}
		if s.End.Before(s.Start) {
			t.Errorf("span %s ends before it starts", s.Name)
		}
		if p, ok := byID[s.Parent]; ok && s.Start.Before(p.Start) {
			t.Errorf("span %s starts before its parent %s", s.Name, p.Name)
		}
	}
}

// The session's span links to the one of its start, which is beside it and not above it.
func TestSessionLinksToItsStart(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel), mellea.WithConversationID("conv-1"))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Greet"))
	_ = s.Close()
	flush(t, tel)
	spans := server.Spans(t, 4)
	starting, session := named(t, spans, "start_session"), named(t, spans, "session")
	if diff := cmp.Diff([]otlptest.Link{{TraceID: starting.TraceID, SpanID: starting.SpanID, Attributes: map[string]any{}}}, session.Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if session.Parent != "" || starting.Parent != "" {
		t.Errorf("parents are %q and %q, want none", session.Parent, starting.Parent)
	}
	wantStarting := map[string]any{"mellea.session.id": s.ID(), "mellea.session.backend_name": "openai",
		"mellea.session.context_type": "simple", "gen_ai.request.model": "m1", "gen_ai.provider.name": "openai"}
	if diff := cmp.Diff(wantStarting, starting.Attributes); diff != "" {
		t.Errorf("start_session (-want +got):\n%s", diff)
	}
	wantSession := map[string]any{"mellea.session.id": s.ID(), "mellea.session.context_type": "simple",
		"gen_ai.provider.name": "openai", "gen_ai.conversation.id": "conv-1", "mellea.session.interactions": int64(1)}
	if diff := cmp.Diff(wantSession, session.Attributes); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	if got := named(t, spans, "chat m1").Attributes["gen_ai.conversation.id"]; got != "conv-1" {
		t.Errorf("chat has conversation id %v, want conv-1", got)
	}
}

func named(t *testing.T, spans []otlptest.Span, name string) otlptest.Span {
	t.Helper()
	for _, s := range spans {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no span %s among\n%s", name, otlptest.Tree(spans))
	panic("unreachable")
}

// Calls that overlap are siblings, in whatever order they are awaited, and none becomes the parent of later work
// (epic 3b.1, 3b.2; 7.3 no. 29, 30).
func TestOverlappingCallsAreSiblings(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	gate := make(chan struct{})
	b := &scripted{answer: func(ctx context.Context, n int, _ backend.Request, w *backend.Writer) error {
		if n <= 2 {
			<-gate
		}
		w.Text(time.Now(), []byte("hello"))
		return nil
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	one := must[*backend.Output](t)(s.StartInstruct(t.Context(), "one"))
	two := must[*backend.Output](t)(s.StartInstruct(t.Context(), "two"))
	close(gate)
	if err := errors.Join(one.Wait(t.Context()), two.Wait(t.Context())); err != nil {
		t.Fatal(err)
	}
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "three"))
	_ = s.Close()
	flush(t, tel)
	want := tree(`
	start_session
	session
	  action
	    chat m1
	  action
	    chat m1
	  action
	    chat m1
	`)
	spans := server.Spans(t, 8)
	if diff := cmp.Diff(want, otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	checkSpans(t, spans)
}

// A span that the program opens around a call, or a plugin beneath one, has its place in the tree.
func TestProgramsOwnSpans(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	own := tel.TracerProvider().Tracer("program")
	judge := hookpoint.Generation.Check(func(ctx context.Context, _ hookpoint.GenerationStart) error {
		_, span := own.Start(ctx, "guard")
		span.End()
		return nil
	})
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel, judge))
	ctx, span := own.Start(t.Context(), "handler")
	must[*mellea.Result[string]](t)(s.Instruct(ctx, "one"))
	span.End()
	_ = s.Close()
	flush(t, tel)
	spans := server.Spans(t, 6)
	want := tree(`
	start_session
	session
	handler
	  action
	    chat m1
	      guard
	`)
	if diff := cmp.Diff(want, otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// Installed for the program, the session and a block, each step still has one span.
func TestInstalledTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel, tel), mellea.WithHooks(tel))
	block := s.With(mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(block.Instruct(t.Context(), "one"))
	_ = s.Close()
	flush(t, tel)
	if diff := cmp.Diff("start_session\nsession\n  action\n    chat m1\n", otlptest.Tree(server.Spans(t, 4))); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// What is installed in one session sees nothing of another (7.1 no. 1).
func TestTwoSessions(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	traced := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	silent := start(t, t.Context(), says("hello"))
	also := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	for _, s := range []*mellea.Session{traced, silent, also} {
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	}
	for _, s := range []*mellea.Session{traced, silent, also} {
		_ = s.Close()
	}
	flush(t, tel)
	spans := server.Spans(t, 8)
	if len(spans) != 8 {
		t.Errorf("got %d spans, want 8:\n%s", len(spans), otlptest.Tree(spans))
	}
	for _, s := range spans {
		if id, ok := s.Attributes["mellea.session.id"]; ok && id != traced.ID() && id != also.ID() {
			t.Errorf("span %s is of session %v", s.Name, id)
		}
	}
}

// An abandoned or lazy output that nobody reads still ends its spans (7.3 no. 28).
func TestOutputNobodyReads(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	out := must[*backend.Output](t)(s.StartInstruct(t.Context(), "one"))
	<-out.Done()
	_ = s.Close()
	flush(t, tel)
	if diff := cmp.Diff("start_session\nsession\n  action\n    chat m1\n", otlptest.Tree(server.Spans(t, 4))); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// The length of a span is that of the operation's outcome, which metrics use too.
func TestDurationIsThatOfTheOutcome(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	took := map[string]time.Duration{}
	watch := hook.Plugin{Name: "watch", Sources: []hook.Source{
		hookpoint.Component.Bracket(func(ctx context.Context, _ hookpoint.ComponentStart) (context.Context, func(hookpoint.ComponentOutcome)) {
			return ctx, func(o hookpoint.ComponentOutcome) {
				took["action"] = o.End.Sub(o.Start)
			}
		}, hook.Priority(hook.PriorityMetrics)),
		hookpoint.Generation.Bracket(func(ctx context.Context, _ hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
			return ctx, func(o hookpoint.GenerationOutcome) {
				took["chat m1"] = o.End.Sub(o.Start)
			}
		}, hook.Priority(hook.PriorityMetrics)),
	}}
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel, watch))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	_ = s.Close()
	flush(t, tel)
	spans := server.Spans(t, 4)
	for name, want := range took {
		s := named(t, spans, name)
		if got := s.End.Sub(s.Start); got != want {
			t.Errorf("span %s took %v, want %v", name, got, want)
		}
	}
	if len(took) != 2 {
		t.Errorf("watched %v, want an action and a chat", took)
	}
}

// Every model call carries the trace context of its own chat span, and nothing else.
func TestTraceContextIsSent(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	b := says("hello")
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), remoteSpan(t))
	must[*mellea.Result[string]](t)(s.Instruct(ctx, "one"))
	_ = s.Close()
	flush(t, tel)
	chat := named(t, server.Spans(t, 4), "chat m1")
	want := map[string]string{"traceparent": "00-" + chat.TraceID + "-" + chat.SpanID + "-01", "tracestate": "vendor=1"}
	if diff := cmp.Diff([]map[string]string{want}, b.headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func remoteSpan(t *testing.T) trace.SpanContext {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true})
}

// Off means that nothing is installed and nothing is paid.
func TestOffHasNoBindings(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]telemetry.Option{
		"nothing set":       {environ()},
		"switched off":      {environ("MELLEA_TRACES_ENABLED=no")},
		"off in code":       {environ("MELLEA_TRACES_ENABLED=true"), telemetry.WithTraces(false)},
		"the SDK is off":    {environ("MELLEA_TRACES_ENABLED=true", "OTEL_SDK_DISABLED=true")},
		"only a wrong word": {environ("MELLEA_TRACES_ENABLED=maybe"), telemetry.WithLogger((&logbook{}).logger())},
	} {
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), opts...))
		if got := tel.Bindings(); got != nil {
			t.Errorf("%s: %d bindings, want none", name, len(got))
		}
		if err := errors.Join(tel.ForceFlush(t.Context()), tel.Shutdown(t.Context())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
