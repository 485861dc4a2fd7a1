package hook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

// A panic in a role that only looks is recovered where it happened: the call goes on, its result is the body's, and what was
// opened is closed.
func TestAPanicInAnOnlookerIsReportedAndTheCallGoesOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	chunk := hook.NewSignal[int]("chunk")
	tests := []struct {
		name    string
		binding hook.Binding
		role    string
	}{
		{"bracket opening", generate.Bracket(func(context.Context, request) (context.Context, func(outcome)) { panic("boom") }, hook.Name("p")), "bracket"},
		{"bracket closing", generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
			return ctx, func(outcome) { panic("boom") }
		}, hook.Name("p")), "bracket"},
		{"observe", generate.Observe(func(context.Context, request) { panic("boom") }, hook.Name("p")), "observe"},
		{"on error", generate.OnError(func(context.Context, outcome) { panic("boom") }, hook.Name("p")), "on_error"},
		{"async", generate.Async(func(context.Context, outcome) { panic("boom") }, hook.Name("p")), "async"},
		{"signal", chunk.On(func(context.Context, int) { panic("boom") }, hook.Name("p")), "signal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var j journal
			var f failures
			s := install(j.bracket("outer"), tt.binding, j.bracket("inner"), chunk.On(func(context.Context, int) { j.add("chunk") })).Report(f.report)
			got, err := generateOn(t, s, func(ctx context.Context, _ request) (reply, error) {
				chunk.Emit(ctx, s, 1)
				return reply{"partial"}, broken
			})
			if want := (reply{"partial"}); got != want || err != broken {
				t.Errorf("got %v, %v, want %v, %v", got, err, want, broken)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"+outer", "+inner", "chunk", "-inner error", "-outer error"}, j.all()); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
			if len(f.all) != 1 {
				t.Fatalf("got failures %v, want one", f.summary())
			}
			point := "generate"
			if tt.role == "signal" {
				point = "chunk"
			}
			got1 := f.all[0]
			if !bytes.Contains(got1.Stack, []byte("report_test.go")) {
				t.Errorf("got stack %s, want the place of the panic in it", got1.Stack)
			}
			if want := point + " p " + tt.role + ": " + hook.ErrPanicked.Error() + " boom"; f.summary()[0] != want {
				t.Errorf("got failure %q, want %q", f.summary()[0], want)
			}
			if got, want := s.Stats(), (hook.Stats{PluginFailures: 1}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestFailuresAreASignal(t *testing.T) {
	t.Parallel()
	counted := 0
	var f failures
	s := install(
		hook.Failures.On(func(_ context.Context, x hook.Failure) {
			counted++
			panic("the listener of failures fails too, which is reported and ends there")
		}, hook.Name("counter")),
		generate.Observe(func(context.Context, request) { panic("boom") }, hook.Name("p")),
	).Report(f.report)
	if _, err := generateOn(t, s, answer); err != nil {
		t.Fatal(err)
	}
	if counted != 1 {
		t.Errorf("got %d signals, want 1", counted)
	}
	if len(f.all) != 2 || f.all[0].Plugin != "p" || f.all[1].Plugin != "counter" {
		t.Errorf("got reports %v, want that of p and that of the counter", f.summary())
	}
	if got := s.Stats().PluginFailures; got != 2 {
		t.Errorf("got %d failures, want 2", got)
	}
}

func TestAReporterThatPanicsHurtsNobody(t *testing.T) {
	t.Parallel()
	s := install(generate.Observe(func(context.Context, request) { panic("boom") })).Report(func(hook.Failure) { panic("too") })
	if got, err := generateOn(t, s, answer); got.Text != "re: hi" || err != nil {
		t.Errorf("got %v, %v, want the body's result", got, err)
	}
	if got := s.Stats().PluginFailures; got != 2 {
		t.Errorf("got %d failures, want 2", got)
	}
}

func TestReportIsInheritedAndReplaced(t *testing.T) {
	t.Parallel()
	var mine, theirs failures
	failing := generate.Observe(func(context.Context, request) { panic("boom") })
	base := (*hook.Set)(nil).Report(mine.report)
	derived := base.With(failing)
	if _, err := generateOn(t, derived, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := generateOn(t, derived.Report(theirs.report), answer); err != nil {
		t.Fatal(err)
	}
	if len(mine.all) != 1 || len(theirs.all) != 1 {
		t.Errorf("got %d and %d failures, want one each", len(mine.all), len(theirs.all))
	}
}

// A lineWriter collects what slog writes.
type lineWriter struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

// TestTheDefaultReportIsOneWarningAPlugin replaces slog.Default and so is not parallel.
func TestTheDefaultReportIsOneWarningAPlugin(t *testing.T) {
	var w lineWriter
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}})))
	defer slog.SetDefault(before)
	var none []int
	s := install(
		generate.Observe(func(context.Context, request) { panic("the prompt was: secret") }, hook.Name("one")),
		generate.Guard(func(_ context.Context, r request) (request, error) { return r, errors.New("a rejection is no failure") }, hook.Name("quiet"), hook.Priority(9)),
		generate.Guard(func(_ context.Context, r request) (request, error) { panic(errors.New("secret")) }, hook.Name("one"), hook.FailOpen()),
		generate.OnError(func(context.Context, outcome) { _ = none[len(none)] }, hook.Name("two")),
		ruled.Guard(func(_ context.Context, r request) (request, error) { return request{}, nil }, hook.Name("three")),
	)
	for _, set := range []*hook.Set{s, s.WithScope(hook.ScopeSession)} { // one family
		if _, err := generateOn(t, set, answer); err == nil {
			t.Error("got no error, want a rejection")
		}
		if _, err := ruled.Do(t.Context(), set, request{Model: "m"}, answer); err == nil {
			t.Error("got no error, want a rejection")
		}
	}
	want := strings.Join([]string{
		`level=WARN point=generate plugin=one role=guard error="panic with a value of type *errors.errorString"`,
		`level=WARN point=generate plugin=two role=on_error error="panic: runtime error: index out of range [0] with length 0"`,
		`level=WARN point=ruled plugin=three role=guard error=forbidden_edit`,
		"",
	}, "\n")
	if diff := cmp.Diff(want, w.buf.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if got := s.Stats().PluginFailures; got != 6 {
		t.Errorf("got %d failures, want 6: those not logged count too", got)
	}
}

func TestOpenOperationsAreCounted(t *testing.T) {
	t.Parallel()
	s := install(generate.Observe(func(context.Context, request) {}))
	_, one, err := generate.Begin(t.Context(), s, request{})
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := generate.Begin(t.Context(), s.WithScope(hook.ScopeSession), request{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Stats().OpenOperations; got != 2 {
		t.Errorf("got %d open operations, want 2", got)
	}
	_, _ = one.End(reply{}, nil)
	_, _ = two.End(reply{}, context.Canceled)
	_, _ = two.End(reply{}, nil)
	if got := s.Stats().OpenOperations; got != 0 {
		t.Errorf("got %d open operations, want 0", got)
	}
}
