package telemetry_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
)

// The parent of a call is the span in its context, unless that is the one that was current at Start; then, and without
// one, it is the session's span.
func TestParentRule(t *testing.T) {
	t.Parallel()
	type world struct {
		session *mellea.Session
		tracer  trace.Tracer
		atStart context.Context
	}
	tests := map[string]struct {
		mode telemetry.SessionMode
		call func(*testing.T, world)
		want string // the tree of the call, with s for a link to the session and id for mellea.session.id
	}{
		"no caller span": {
			call: func(t *testing.T, w world) { instruct(t, context.Background(), w.session) },
			want: "main\n  session\n    action\n      chat m1\n",
		},
		"the same context for Start and the call": {
			call: func(t *testing.T, w world) { instruct(t, w.atStart, w.session) },
			want: "main\n  session\n    action\n      chat m1\n",
		},
		"another request's span": {
			call: func(t *testing.T, w world) {
				ctx, span := w.tracer.Start(context.Background(), "request")
				instruct(t, ctx, w.session)
				span.End()
			},
			want: "main\n  session\nrequest\n  action s id\n    chat m1\n",
		},
		"a span below that of Start": {
			call: func(t *testing.T, w world) {
				ctx, span := w.tracer.Start(w.atStart, "step")
				instruct(t, ctx, w.session)
				span.End()
			},
			want: "main\n  session\n  step\n    action s id\n      chat m1\n",
		},
		"a span of another process": {
			call: func(t *testing.T, w world) {
				instruct(t, trace.ContextWithRemoteSpanContext(context.Background(), remoteSpan(t)), w.session)
			},
			want: "main\n  session\naction s id\n  chat m1\n",
		},
		"a call inside a check of the same session": {
			call: func(t *testing.T, w world) {
				check := requirement.New("nested", func(ctx context.Context, _ requirement.Env) (requirement.Verdict, error) {
					instruct(t, ctx, w.session)
					return requirement.Pass(), nil
				})
				must[[]requirement.Result](t)(w.session.Validate(context.Background(), "text", check))
			},
			want: "main\n  session\n    validation\n      requirement\n        action\n          chat m1\n",
		},
		"a validation of another request": {
			call: func(t *testing.T, w world) {
				ctx, span := w.tracer.Start(context.Background(), "request")
				must[[]requirement.Result](t)(w.session.Validate(ctx, "text", requirement.MaxWords(1)))
				span.End()
			},
			want: "main\n  session\nrequest\n  validation s id\n    requirement\n",
		},
		"link: no caller span": {
			mode: telemetry.Link,
			call: func(t *testing.T, w world) { instruct(t, context.Background(), w.session) },
			want: "main\n  session\naction s id\n  chat m1\n",
		},
		"link: the same context": {
			mode: telemetry.Link,
			call: func(t *testing.T, w world) { instruct(t, w.atStart, w.session) },
			want: "main\n  session\n  action s id\n    chat m1\n",
		},
		"off": {
			mode: telemetry.Off,
			call: func(t *testing.T, w world) { instruct(t, w.atStart, w.session) },
			want: "main\n  action id\n    chat m1\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, telemetry.SessionSpans(test.mode))
			own := tel.TracerProvider().Tracer("program")
			ctx, main := own.Start(t.Context(), "main")
			s := start(t, ctx, says("hello"), mellea.WithHooks(tel))
			test.call(t, world{s, own, ctx})
			_ = s.Close()
			main.End()
			flush(t, tel)
			spans := drop(server.Spans(t, 3), "start_session")
			session := ""
			for _, s := range spans {
				if s.Name == "session" {
					session = s.SpanID
				}
			}
			got := otlptest.Tree(spans, func(s otlptest.Span) string {
				if len(s.Links) == 1 && s.Links[0].SpanID == session {
					return "s"
				}
				return ""
			}, func(s otlptest.Span) string {
				if s.Name != "session" && s.Attributes["mellea.session.id"] != nil {
					return "id"
				}
				return ""
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
}

func instruct(t *testing.T, ctx context.Context, s *mellea.Session) {
	t.Helper()
	if _, err := s.Instruct(ctx, "Greet"); err != nil {
		t.Error(err)
	}
}

func drop(spans []otlptest.Span, name string) []otlptest.Span {
	var kept []otlptest.Span
	for _, s := range spans {
		if s.Name != name {
			kept = append(kept, s)
		}
	}
	return kept
}

// A call in another session, made from within a call: it stays where it was made and links to its own session.
func TestCallInAnotherSession(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	inner := start(t, t.Context(), says("inner"), mellea.WithHooks(tel))
	outer := start(t, t.Context(), says("outer"), mellea.WithHooks(tel))
	check := requirement.New("nested", func(ctx context.Context, _ requirement.Env) (requirement.Verdict, error) {
		instruct(t, ctx, inner)
		return requirement.Pass(), nil
	})
	must[[]requirement.Result](t)(outer.Validate(t.Context(), "text", check))
	_, _ = outer.Close(), inner.Close()
	flush(t, tel)
	spans := drop(server.Spans(t, 8), "start_session")
	want := "session\nsession\n  validation\n    requirement\n      action\n        chat m1\n"
	if diff := cmp.Diff(want, otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	action := named(t, spans, "action")
	if got := action.Attributes["mellea.session.id"]; got != inner.ID() {
		t.Errorf("action is of session %v, want %v", got, inner.ID())
	}
	for _, s := range spans {
		if s.Name == "session" && s.Attributes["mellea.session.id"] == inner.ID() {
			want := []otlptest.Link{{TraceID: s.TraceID, SpanID: s.SpanID, Attributes: map[string]any{}}}
			if diff := cmp.Diff(want, action.Links); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		}
	}
}

// Without a session there is nothing to link to, and the call has its caller's span as parent.
func TestCallWithoutSession(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	r := mellea.On(says("hello"), mellea.WithHooks(tel))
	ctx, span := tel.TracerProvider().Tracer("program").Start(t.Context(), "handler")
	must[*mellea.Result[string]](t)(mellea.Instruct(ctx, r, "Greet"))
	span.End()
	flush(t, tel)
	spans := server.Spans(t, 3)
	if diff := cmp.Diff("handler\n  action\n    chat m1\n", otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	for _, s := range spans {
		if len(s.Links) > 0 || s.Attributes["mellea.session.id"] != nil {
			t.Errorf("span %s has links %v and session %v, want none", s.Name, s.Links, s.Attributes["mellea.session.id"])
		}
	}
}
