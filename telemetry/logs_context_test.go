package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

// talkative is a program that logs wherever it has a context: in guards, a tool, checks, the backend, a background plugin.
func talkative(t *testing.T, tel *telemetry.Telemetry, log *slog.Logger) (session string) {
	t.Helper()
	b := &scripted{answer: func(ctx context.Context, n int, req backend.Request, w *backend.Writer) error {
		log.InfoContext(ctx, "backend")
		if n == 1 {
			return w.ToolCall(time.Now(), backend.ToolDelta{ID: "c1", Name: "look", Arguments: `{}`})
		}
		w.Text(time.Now(), []byte("hello"))
		return nil
	}}
	look := tool.New("look", "Looks.", func(ctx context.Context, _ struct{}) (string, error) {
		log.InfoContext(ctx, "tool")
		if tp := tel.TracerProvider(); tp != nil {
			ctx, span := tp.Tracer("own").Start(ctx, "own span")
			log.InfoContext(ctx, "own span")
			span.End()
		}
		return "seen", nil
	})
	check := requirement.New("patient", func(ctx context.Context, _ requirement.Env) (requirement.Verdict, error) {
		log.InfoContext(ctx, "check")
		return requirement.Verdict{Passed: false, Reason: "again"}, nil
	})
	hooks := []hook.Source{tel,
		hookpoint.SessionStart.Observe(func(ctx context.Context, _ hookpoint.SessionStarting) { log.InfoContext(ctx, "start") }),
		hookpoint.Component.Check(func(ctx context.Context, _ hookpoint.ComponentStart) error {
			log.InfoContext(ctx, "component guard")
			return nil
		}),
		hookpoint.Sampling.Observe(func(ctx context.Context, _ hookpoint.SamplingStart) { log.InfoContext(ctx, "loop") }),
		hookpoint.SamplingIteration.On(func(ctx context.Context, _ hookpoint.Iteration) { log.InfoContext(ctx, "attempt") }),
		hookpoint.Generation.Guard(func(ctx context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			log.InfoContext(ctx, "generation guard")
			g.Options = g.Options.WithModel("m2")
			return g, nil
		}),
		hookpoint.Generation.Review(func(ctx context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			log.InfoContext(ctx, "review")
			return p, nil
		}),
		hookpoint.Tool.Guard(func(ctx context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
			log.InfoContext(ctx, "tool guard")
			return p, nil
		}),
		hookpoint.Component.Async(func(ctx context.Context, _ hookpoint.ComponentOutcome) { log.InfoContext(ctx, "background") }),
	}
	s := start(t, t.Context(), b, mellea.WithHooks(hooks...), mellea.WithTools(look))
	_, err := s.Instruct(t.Context(), "one", mellea.Check(check), mellea.Strategy(sampling.Reject(2)))
	if unmet := new(mellea.UnmetError); !errors.As(err, &unmet) {
		t.Fatalf("got %v, want requirements that are not met", err)
	}
	_ = s.Close()
	log.InfoContext(t.Context(), "outside")
	return s.ID()
}

// where is what a line says of where it was written. Ids of calls are numbered in the order they appear.
type where struct{ Message, Session, Request, Model, Iteration, Span string }

func wheres(t *testing.T, text, session string, names map[string]string) []where {
	t.Helper()
	var all []where
	requests := map[string]string{}
	for line := range strings.Lines(text) {
		m := parseLine(t, strings.TrimSuffix(line, "\n"))
		get := func(key string) string { v, _ := m[key].(string); return v }
		w := where{Message: get("msg"), Session: get("session_id"), Model: get("model"), Iteration: get("sampling_iteration"), Span: names[get("span_id")]}
		if w.Session == session {
			w.Session = "s"
		}
		if r := get("request_id"); r != "" {
			if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(r) {
				t.Errorf("request_id %q is not 32 hex digits", r)
			}
			if requests[r] == "" {
				requests[r] = string(rune('A' + len(requests)))
			}
			w.Request = requests[r]
		}
		if (get("span_id") == "") != (get("trace_id") == "") || names != nil && get("span_id") != "" && w.Span == "" {
			t.Errorf("line %q has ids that belong to no span", line)
		}
		all = append(all, w)
	}
	return all
}

// A line says which session, call, model, attempt and span it was written in: the innermost ones.
func TestLinesKnowWhereTheyAre(t *testing.T) {
	t.Parallel()
	want := []where{
		{Message: "start", Session: "s", Span: "start_session"},
		{Message: "component guard", Session: "s", Span: "action"},
		{Message: "loop", Session: "s", Span: "sampling"},
		{Message: "generation guard", Session: "s", Request: "A", Model: "m1", Iteration: "1", Span: "chat"},
		{Message: "backend", Session: "s", Request: "A", Model: "m2", Iteration: "1", Span: "chat"},
		{Message: "review", Session: "s", Request: "A", Model: "m2", Iteration: "1", Span: "chat"},
		{Message: "tool guard", Session: "s", Request: "A", Model: "m2", Iteration: "1", Span: "execute_tool look"},
		{Message: "tool", Session: "s", Request: "A", Model: "m2", Iteration: "1", Span: "execute_tool look"},
		{Message: "own span", Session: "s", Request: "A", Model: "m2", Iteration: "1", Span: "own span"},
		{Message: "generation guard", Session: "s", Request: "B", Model: "m1", Iteration: "1", Span: "chat"},
		{Message: "backend", Session: "s", Request: "B", Model: "m2", Iteration: "1", Span: "chat"},
		{Message: "review", Session: "s", Request: "B", Model: "m2", Iteration: "1", Span: "chat"},
		{Message: "check", Session: "s", Iteration: "1", Span: "requirement"},
		{Message: "attempt", Session: "s", Span: "sampling"},
		{Message: "generation guard", Session: "s", Request: "C", Model: "m1", Iteration: "2", Span: "chat"},
		{Message: "backend", Session: "s", Request: "C", Model: "m2", Iteration: "2", Span: "chat"},
		{Message: "review", Session: "s", Request: "C", Model: "m2", Iteration: "2", Span: "chat"},
		{Message: "check", Session: "s", Iteration: "2", Span: "requirement"},
		{Message: "attempt", Session: "s", Span: "sampling"},
		{Message: "background", Session: "s", Span: "action"},
		{Message: "outside"},
	}
	t.Run("with tracing", func(t *testing.T) {
		t.Parallel()
		server := otlptest.Start(t)
		tel, out := logs(t, environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP))
		session := talkative(t, tel, slog.New(tel.LogHandler()))
		flush(t, tel)
		names := map[string]string{}
		for _, s := range server.Spans(t, 11) {
			name, _, isChat := strings.Cut(s.Name, " m")
			if !isChat {
				name = s.Name
			}
			names[s.SpanID] = name
		}
		if diff := cmp.Diff(want, wheres(t, out.String(), session, names)); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
	t.Run("without tracing", func(t *testing.T) {
		t.Parallel()
		tel, out := logs(t)
		session := talkative(t, tel, slog.New(tel.LogHandler()))
		var plain []where
		for _, w := range want {
			if w.Span = ""; w.Message != "own span" {
				plain = append(plain, w)
			}
		}
		if diff := cmp.Diff(plain, wheres(t, out.String(), session, nil)); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

// Calls within calls keep apart: the innermost session, call and attempt count.
func TestLinesOfNestedCalls(t *testing.T) {
	t.Parallel()
	tel, out := logs(t)
	log := slog.New(tel.LogHandler())
	inner := start(t, t.Context(), &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		log.InfoContext(ctx, "inner")
		w.Text(time.Now(), []byte("x"))
		return nil
	}, info: backend.Info{Provider: "ollama", Model: "small"}}, mellea.WithHooks(tel))
	bare := mellea.On(&scripted{answer: func(ctx context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		log.InfoContext(ctx, "bare")
		w.Text(time.Now(), []byte("x"))
		return nil
	}, info: backend.Info{Provider: "ollama", Model: "tiny"}}, mellea.WithHooks(tel))
	outer := start(t, t.Context(), says("x"), mellea.WithHooks(tel))
	check := requirement.New("asks", func(ctx context.Context, _ requirement.Env) (requirement.Verdict, error) {
		if _, err := inner.Instruct(ctx, "one"); err != nil {
			return requirement.Verdict{}, err
		}
		if _, err := mellea.Instruct(ctx, bare, "one"); err != nil {
			return requirement.Verdict{}, err
		}
		log.InfoContext(ctx, "outer")
		return requirement.Verdict{Passed: true}, nil
	})
	must[*mellea.Result[string]](t)(outer.Instruct(t.Context(), "one", mellea.Check(check)))
	ids := map[string]string{inner.ID(): "inner", outer.ID(): "outer"}
	var got []where
	for _, w := range wheres(t, out.String(), "", nil) {
		w.Session = ids[w.Session]
		got = append(got, w)
	}
	want := []where{
		{Message: "inner", Session: "inner", Request: "A", Model: "small", Iteration: "1"},
		{Message: "bare", Session: "outer", Request: "B", Model: "tiny", Iteration: "1"},
		{Message: "outer", Session: "outer", Iteration: "1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// A batch is a call to a model, too.
func TestLinesOfBatches(t *testing.T) {
	t.Parallel()
	tel, out := logs(t)
	log := slog.New(tel.LogHandler())
	s := start(t, t.Context(), says("x"), mellea.WithHooks(tel, hookpoint.GenerationBatch.Check(func(ctx context.Context, _ hookpoint.BatchStart) error {
		log.InfoContext(ctx, "batch")
		return nil
	})))
	must[*mellea.BatchResult](t)(s.GenerateBatch(t.Context(), []string{"one"}))
	want := []where{{Message: "batch", Session: "s", Request: "A", Model: "m1"}}
	if diff := cmp.Diff(want, wheres(t, out.String(), s.ID(), nil)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// What the program says itself stands, and what the library adds stands outside of the program's groups.
func TestLinesKeepWhatTheProgramSays(t *testing.T) {
	t.Parallel()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	const ids = "trace_id=01000000000000000000000000000000 span_id=0200000000000000"
	for name, test := range map[string]struct {
		log  func(context.Context, *slog.Logger)
		want string
	}{
		"nothing":                {func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m") }, ids + " session_id=s1 model=m1"},
		"an attribute":           {func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "session_id", "mine", "model", 1) }, "session_id=mine model=1 " + ids},
		"with":                   {func(ctx context.Context, l *slog.Logger) { l.With("span_id", "mine").InfoContext(ctx, "m") }, "span_id=mine trace_id=01000000000000000000000000000000 session_id=s1 model=m1"},
		"a group without a name": {func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", slog.Group("", "model", "mine")) }, "model=mine " + ids + " session_id=s1"},
		"a group":                {func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", slog.Group("g", "model", "mine")) }, "g.model=mine " + ids + " session_id=s1 model=m1"},
		"an open group": {func(ctx context.Context, l *slog.Logger) {
			l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").InfoContext(ctx, "m", "session_id", "mine")
		}, "a=1 g.b=2 g.h.session_id=mine " + ids + " session_id=s1 model=m1"},
		"with before a group": {func(ctx context.Context, l *slog.Logger) {
			l.With("model", "mine").WithGroup("g").InfoContext(ctx, "m", "b", 2)
		}, "model=mine g.b=2 " + ids + " session_id=s1"},
		"a group that stays empty": {func(ctx context.Context, l *slog.Logger) { l.WithGroup("g").InfoContext(ctx, "m") }, ids + " session_id=s1 model=m1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel, out := logs(t)
			l := slog.New(tel.LogHandler())
			set := (*hook.Set)(nil).With(tel)
			ctx := trace.ContextWithSpanContext(t.Context(), span)
			_, err := hookpoint.Generation.Do(ctx, set, hookpoint.GenerationStart{
				Session: hookpoint.NewSessionRef("s1", ctx, ctx), Info: backend.Info{Model: "m1"}, Messages: content.NewMessages(content.User("x"))},
				func(ctx context.Context, _ hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
					test.log(ctx, l)
					return hookpoint.GenerationEnd{}, nil
				})
			if err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), " INFO m ")
			got = regexp.MustCompile(` request_id=[0-9a-f]{32}`).ReplaceAllString(got, "")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// Another Telemetry's handler knows nothing of a step, and installing twice counts once.
func TestLinesOfAnotherTelemetry(t *testing.T) {
	t.Parallel()
	tel, _ := logs(t)
	other, out := logs(t)
	l := slog.New(other.LogHandler())
	s := start(t, t.Context(), says("x"), mellea.WithHooks(tel, tel, hookpoint.Component.Check(func(ctx context.Context, _ hookpoint.ComponentStart) error {
		l.InfoContext(ctx, "m")
		return nil
	})))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	if strings.Contains(out.String(), "session_id") {
		t.Errorf("the line is %q", out)
	}
}
