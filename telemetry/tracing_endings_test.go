package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
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
)

// ending is what a span says about how it ended.
type ending struct{ Span, Status, Description, Outcome, Type, Category, Point, Plugin, Code string }

func endings(spans []otlptest.Span) []ending {
	var all []ending
	for _, s := range spans {
		if s.Name == "session" || s.Name == "start_session" {
			continue
		}
		get := func(key string) string { v, _ := s.Attributes[key].(string); return v }
		all = append(all, ending{s.Name, s.Status, s.Description, get("mellea.outcome"), get("error.type"),
			get("mellea.error.category"), get("mellea.rejection.point"), get("mellea.rejection.plugin"), get("mellea.rejection.code")})
	}
	return all
}

type panicking struct{}

func TestEndings(t *testing.T) {
	t.Parallel()
	rateLimit := &backend.Error{Provider: "openai", Op: "chat", Status: 429, Code: "rate_limit_exceeded", Message: "planted"}
	failed := func(span, description, typ, category string) ending {
		return ending{Span: span, Status: "error", Description: description, Outcome: "error", Type: typ, Category: category}
	}
	cancelled := func(span string) ending {
		return ending{Span: span, Status: "unset", Outcome: "cancelled", Category: "cancelled"}
	}
	rejected := func(span, point string) ending {
		return ending{Span: span, Status: "unset", Outcome: "rejected", Category: "rejected", Point: point, Plugin: "budget", Code: "over_budget"}
	}
	guard := func(b hook.Binding) hook.Plugin { return hook.Plugin{Name: "budget", Sources: []hook.Source{b}} }
	ok := func(span string) ending { return ending{Span: span, Status: "unset"} }
	const limited = "openai chat: HTTP 429 (rate_limit_exceeded)"
	tests := map[string]struct {
		backend *scripted
		hooks   []hook.Source
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		opts    []mellea.CallOption
		want    []ending
	}{
		"ok": {backend: says("hello"), want: []ending{ok("action"), ok("chat m1")}},
		"a requirement failed and the budget is spent": {
			backend: says("hello"),
			opts:    []mellea.CallOption{mellea.Check(requirement.Contains("x")), mellea.Strategy(sampling.Reject(1))},
			want:    []ending{ok("action"), ok("sampling"), ok("chat m1"), ok("validation"), ok("requirement")},
		},
		"a provider's error": {
			backend: fails(rateLimit),
			want: []ending{failed("action", limited, "rate_limit_exceeded", "rate_limit"),
				failed("chat m1", limited, "rate_limit_exceeded", "rate_limit")},
		},
		"an error in a sampling loop": {
			backend: fails(fmt.Errorf("wrapped: %w", rateLimit)),
			opts:    []mellea.CallOption{mellea.Check(requirement.Contains("x"))},
			want: []ending{failed("action", limited, "rate_limit_exceeded", "rate_limit"),
				failed("sampling", limited, "rate_limit_exceeded", "rate_limit"),
				failed("chat m1", limited, "rate_limit_exceeded", "rate_limit")},
		},
		"an error of an unknown type": {
			backend: fails(&os.PathError{Op: "open", Path: "planted", Err: syscall.ENOENT}),
			want:    []ending{failed("action", "", "*fs.PathError", "unknown"), failed("chat m1", "", "*fs.PathError", "unknown")},
		},
		"a deadline": {
			backend: &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
				<-ctx.Done()
				return ctx.Err()
			}},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Millisecond)
			},
			want: []ending{failed("action", deadline, "timeout", "timeout"), failed("chat m1", deadline, "timeout", "timeout")},
		},
		"cancelled by the caller": {
			backend: &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
				<-ctx.Done()
				return ctx.Err()
			}},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(time.Millisecond, cancel)
				return ctx, cancel
			},
			want: []ending{cancelled("action"), cancelled("chat m1")},
		},
		"rejected before a generation": {
			backend: says("hello"),
			hooks: []hook.Source{guard(hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
				return g, hook.Reject("over_budget", "planted")
			}))},
			opts: []mellea.CallOption{mellea.Check(requirement.Contains("x"))},
			want: []ending{rejected("action", "generation"), rejected("sampling", "generation"), rejected("chat m1", "generation")},
		},
		"rejected by a check": {
			backend: says("hello"),
			hooks: []hook.Source{guard(hookpoint.Component.Check(func(context.Context, hookpoint.ComponentStart) error {
				return hook.Reject("over_budget", "planted")
			}))},
			want: []ending{rejected("action", "component")},
		},
		"rejected by a review": {
			backend: says("hello"),
			hooks: []hook.Source{guard(hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, g hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
				return g, hook.Reject("over_budget", "planted")
			}))},
			want: []ending{rejected("action", "generation"), rejected("chat m1", "generation")},
		},
		"rejected with a code that is none": {
			backend: says("hello"),
			hooks: []hook.Source{guard(hookpoint.Component.Check(func(context.Context, hookpoint.ComponentStart) error {
				return hook.Reject("the prompt was planted", "planted")
			}))},
			want: []ending{{Span: "action", Status: "unset", Outcome: "rejected", Category: "rejected", Point: "component", Plugin: "budget", Code: "_OTHER"}},
		},
		"a guard that panics": {
			backend: says("hello"),
			hooks: []hook.Source{guard(hookpoint.Component.Check(func(context.Context, hookpoint.ComponentStart) error {
				panic("planted")
			}))},
			want: []ending{{Span: "action", Status: "unset", Outcome: "rejected", Category: "rejected", Point: "component", Plugin: "budget", Code: "panic"}},
		},
		"a backend that panics": {
			backend: &scripted{answer: func(context.Context, int, backend.Request, *backend.Writer) error { panic("planted") }},
			want: []ending{failed("action", "openai generate: panic", "panic", "unknown"),
				failed("chat m1", "openai generate: panic", "panic", "unknown")},
		},
		"a check that gives no verdict": {
			backend: says("hello"),
			opts: []mellea.CallOption{mellea.Strategy(sampling.Reject(1)), mellea.Check(requirement.New("broken", func(context.Context, requirement.Env) (requirement.Verdict, error) {
				return requirement.Verdict{}, errors.New("planted")
			}))},
			want: []ending{failed("action", unchecked, checkError, "validation_error"), failed("sampling", unchecked, checkError, "validation_error"),
				ok("chat m1"), failed("validation", unchecked, checkError, "validation_error"), failed("requirement", unchecked, checkError, "validation_error")},
		},
		"a judge whose model fails": {
			backend: &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
				if n == 1 {
					w.Text(time.Now(), []byte("hello"))
					return nil
				}
				return rateLimit
			}},
			opts: []mellea.CallOption{mellea.Require("be formal"), mellea.Strategy(sampling.Reject(1))},
			want: []ending{failed("action", limited, "rate_limit_exceeded", "rate_limit"), failed("sampling", limited, "rate_limit_exceeded", "rate_limit"),
				ok("chat m1"), failed("validation", limited, "rate_limit_exceeded", "rate_limit"),
				failed("requirement", limited, "rate_limit_exceeded", "rate_limit"), failed("chat m1", limited, "rate_limit_exceeded", "rate_limit")},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server)
			s := start(t, t.Context(), test.backend, mellea.WithHooks(append([]hook.Source{tel}, test.hooks...)...))
			ctx := t.Context()
			if test.ctx != nil {
				var cancel context.CancelFunc
				ctx, cancel = test.ctx(ctx)
				defer cancel()
			}
			_, _ = s.Instruct(ctx, "one", test.opts...) // what it returns is another package's business
			_ = s.Close()
			flush(t, tel)
			if diff := cmp.Diff(test.want, endings(server.Spans(t, 2+len(test.want)))); diff != "" {
				t.Errorf("endings (-want +got):\n%s", diff)
			}
			if i := indexOf(server.Raw(), "planted"); i >= 0 {
				t.Errorf("the exported bytes hold content: %q", server.Raw()[max(0, i-40):i+20])
			}
		})
	}
}

const (
	deadline   = "openai generate: timeout: the deadline of the context passed: give it more time or ask for a shorter reply"
	unchecked  = "requirement broken could not be checked"
	checkError = "*requirement.CheckError"
)

// A session that closes gives up what runs: abandoned, not failed.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	running := make(chan struct{})
	b := &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	must[*backend.Output](t)(s.StartInstruct(t.Context(), "one"))
	<-running
	_ = s.Close()
	flush(t, tel)
	want := []ending{{Span: "action", Status: "unset", Outcome: "abandoned", Category: "cancelled"},
		{Span: "chat m1", Status: "unset", Outcome: "abandoned", Category: "cancelled"}}
	if diff := cmp.Diff(want, endings(server.Spans(t, 4))); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
}

// The losers of parallel sampling are abandoned; the loop they are part of is fine.
func TestLosersAreAbandoned(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	both := make(chan struct{}) // closes when both run
	b := &scripted{answer: func(ctx context.Context, n int, _ backend.Request, w *backend.Writer) error {
		if n == 1 {
			<-both
			w.Text(time.Now(), []byte("hello"))
			return nil
		}
		close(both)
		<-ctx.Done()
		return ctx.Err()
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one", mellea.Check(requirement.Contains("hello")),
		mellea.Strategy(sampling.Reject(2, sampling.Parallel(2)))))
	_ = s.Close()
	flush(t, tel)
	outcomes := map[string]int{}
	for _, e := range endings(server.Spans(t, 8)) {
		if e.Status != "unset" {
			t.Errorf("span %s has status %s, want unset", e.Span, e.Status)
		}
		outcomes[e.Span+" "+e.Outcome]++
	}
	want := map[string]int{"action ": 1, "sampling ": 1, "chat m1 ": 1, "chat m1 abandoned": 1, "validation ": 1, "requirement ": 1}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// A panic of the program beneath a call goes on, and leaves a span that ended.
func TestPanicGoesOn(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	set := (*hook.Set)(nil).With(tel)
	func() {
		defer func() {
			if got := recover(); got != (panicking{}) {
				t.Errorf("recovered %v, want the panic of the body", got)
			}
		}()
		_, _ = hookpoint.Component.Do(t.Context(), set, hookpoint.ComponentStart{Kind: "x"}, func(context.Context, hookpoint.ComponentStart) (hookpoint.ComponentEnd, error) {
			panic(panicking{})
		})
	}()
	flush(t, tel)
	want := []ending{{Span: "action", Status: "error", Description: "panicked", Outcome: "error", Type: "panic", Category: "unknown"}}
	if diff := cmp.Diff(want, endings(server.Spans(t, 1))); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
}

// A start that fails leaves a span that says so, and no session.
func TestStartFails(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	cause := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	_, err := mellea.Start(t.Context(), unreachable{&backend.Error{Provider: "ollama", Op: "info", Code: backend.CodeUnreachable, Err: cause}}, mellea.WithHooks(tel))
	if err == nil {
		t.Fatal("Start succeeded")
	}
	flush(t, tel)
	spans := server.Spans(t, 1)
	if len(spans) != 1 {
		t.Fatalf("spans:\n%s", otlptest.Tree(spans))
	}
	got := spans[0]
	want := map[string]any{"mellea.session.id": got.Attributes["mellea.session.id"], "mellea.session.context_type": "simple",
		"mellea.session.backend_name": "ollama", "gen_ai.provider.name": "ollama", "mellea.outcome": "error",
		"error.type": "unreachable", "mellea.error.category": "transport_error"}
	if diff := cmp.Diff(want, got.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got.Name != "start_session" || got.Status != "error" {
		t.Errorf("got span %s with status %s, want start_session with error", got.Name, got.Status)
	}
}

type unreachable struct{ err error }

func (u unreachable) Info(context.Context) (backend.Info, error) { return backend.Info{}, u.err }
func (u unreachable) Generate(context.Context, backend.Request) (*backend.Output, error) {
	return nil, u.err
}

func (unreachable) GenerateBatch(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
	return backend.BatchReply{}, backend.NoBatch("ollama")
}

// A reply that cannot be parsed fails the action with an event, and not the chat that made it.
func TestParseFailure(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	s := start(t, t.Context(), says("planted, no number"), mellea.WithHooks(tel))
	_, err := mellea.Act(t.Context(), s, number{})
	if err == nil {
		t.Fatal("Act succeeded")
	}
	_ = s.Close()
	flush(t, tel)
	spans := server.Spans(t, 4)
	const description, typ = "the reply cannot be read as number", "*component.ParseError"
	want := []ending{{Span: "action", Status: "error", Description: description, Outcome: "error", Type: typ, Category: "validation_error"},
		{Span: "chat m1", Status: "unset"}}
	if diff := cmp.Diff(want, endings(spans)); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
	event, ok := named(t, spans, "action").Event("parse_error")
	if want := map[string]any{"error.type": typ, "mellea.action.response_length": int64(len("planted, no number"))}; !ok || !cmp.Equal(want, event.Attributes) {
		t.Errorf("event parse_error has %v, want %v", event.Attributes, want)
	}
	if indexOf(server.Raw(), "planted") >= 0 {
		t.Error("the exported bytes hold the reply")
	}
}

// A parse failure within sampling says of which attempt.
func TestParseErrorOfAnAttempt(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	s := start(t, t.Context(), says("one"), mellea.WithHooks(tel))
	if _, err := mellea.Act(t.Context(), s, number{}, mellea.Strategy(sampling.Reject(2))); err == nil {
		t.Fatal("a reply that is no number was parsed")
	}
	_ = s.Close()
	flush(t, tel)
	var got []any
	for _, e := range named(t, server.Spans(t, 6), "action").Events {
		if e.Name == "parse_error" {
			got = append(got, e.Attributes["mellea.sampling.iteration"])
		}
	}
	if diff := cmp.Diff(got, []any{int64(1), int64(2)}); diff != "" {
		t.Errorf("iterations of the events (-got +want):\n%s", diff)
	}
}
