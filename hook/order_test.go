package hook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

func TestRolesFireInTheFixedOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"success", nil, []string{"+bracket", "guard", "check", "observe", "body", "review", "enqueue", "-bracket ok"}},
		{"failure", broken, []string{"+bracket", "guard", "check", "observe", "body", "on error", "enqueue", "-bracket error"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var j journal
			s := install( // in an order that is not that of firing
				generate.Async(func(context.Context, outcome) {}),
				generate.OnError(func(context.Context, outcome) { j.add("on error") }),
				generate.Review(func(_ context.Context, _ request, r reply) (reply, error) {
					j.add("review")
					return r, nil
				}),
				generate.Observe(func(context.Context, request) { j.add("observe") }),
				generate.Check(func(context.Context, request) error {
					j.add("check")
					return nil
				}),
				generate.Guard(func(_ context.Context, r request) (request, error) {
					j.add("guard")
					return r, nil
				}),
				j.bracket("bracket"),
			)
			// A closed queue refuses the outcome in the goroutine that ends the operation: that is when it was offered.
			s = s.Report(func(hook.Failure) { j.add("enqueue") })
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := generateOn(t, s, func(context.Context, request) (reply, error) {
				j.add("body")
				return reply{}, tt.err
			})
			if !errors.Is(err, tt.err) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, j.all()); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPriorityThenScopeThenInstallationOrdersARole(t *testing.T) {
	t.Parallel()
	var j journal
	program := install(j.bracket("program"), j.bracket("last", hook.Priority(1)))
	block := program.
		WithScope(hook.ScopeBlock, j.bracket("block"), j.bracket("tracing", hook.Priority(hook.PriorityTracing))).
		WithScope(hook.ScopeSession, j.bracket("session 1"), j.bracket("session 2"), j.bracket("logs", hook.Priority(hook.PriorityLogs)))
	if _, err := generateOn(t, block, answer); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"+tracing", "+logs", "+program", "+session 1", "+session 2", "+block", "+last",
		"-last ok", "-block ok", "-session 2 ok", "-session 1 ok", "-program ok", "-logs ok", "-tracing ok",
	}
	if diff := cmp.Diff(want, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestEachGuardSeesWhatTheOneBeforeItLeft(t *testing.T) {
	t.Parallel()
	appending := func(text string, priority int) hook.Binding {
		return generate.Guard(func(_ context.Context, r request) (request, error) {
			r.Prompt += text
			return r, nil
		}, hook.Priority(priority))
	}
	var checked, observed, atOpen string
	var out outcome
	s := install(
		appending(" two", 2), appending(" one", 1),
		generate.Check(func(_ context.Context, r request) error {
			checked = r.Prompt
			return nil
		}),
		generate.Observe(func(_ context.Context, r request) { observed = r.Prompt }),
		generate.Bracket(func(ctx context.Context, r request) (context.Context, func(outcome)) {
			atOpen = r.Prompt
			return ctx, func(o outcome) { out = o }
		}),
	)
	got, err := generateOn(t, s, answer)
	if err != nil {
		t.Fatal(err)
	}
	if want := (reply{"re: hi one two"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	seen := []string{atOpen, checked, observed, out.Pre.Prompt}
	if diff := cmp.Diff([]string{"hi", "hi one two", "hi one two", "hi one two"}, seen); diff != "" {
		t.Errorf("prompts at opening, check, observe and end (-want +got):\n%s", diff)
	}
}

func TestEachReviewSeesWhatTheOneBeforeItLeft(t *testing.T) {
	t.Parallel()
	appending := func(text string) hook.Binding {
		return generate.Review(func(_ context.Context, pre request, r reply) (reply, error) {
			r.Text += text + pre.Model
			return r, nil
		})
	}
	var out outcome
	s := install(appending(" a"), appending(" b"), generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
		return ctx, func(o outcome) { out = o }
	}))
	got, err := generateOn(t, s, answer)
	if err != nil {
		t.Fatal(err)
	}
	want := reply{"re: hi am bm"}
	if got != want || out.Post != want {
		t.Errorf("got %v and the outcome %v, want %v", got, out.Post, want)
	}
}

func TestReviewsRunOnSuccessOnly(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	s := install(generate.Review(func(context.Context, request, reply) (reply, error) {
		t.Error("a review ran for a failed operation")
		return reply{}, nil
	}))
	got, err := generateOn(t, s, func(context.Context, request) (reply, error) { return reply{"partial"}, broken })
	if want := (reply{"partial"}); got != want || err != broken {
		t.Errorf("got %v, %v, want %v, %v", got, err, want, broken)
	}
}

type depthKey struct{}

// deeper is a bracket that counts itself in the context.
func deeper() hook.Binding {
	return generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
		depth, _ := ctx.Value(depthKey{}).(int)
		return context.WithValue(ctx, depthKey{}, depth+1), nil
	})
}

func TestEverythingInsideRunsInTheBracketsContext(t *testing.T) {
	t.Parallel()
	var j journal
	note := func(ctx context.Context, what string) { j.add("%s %v", what, ctx.Value(depthKey{})) }
	s := install(
		deeper(), deeper(),
		generate.Guard(func(ctx context.Context, r request) (request, error) {
			note(ctx, "guard")
			return r, nil
		}),
		generate.Guard(func(ctx context.Context, r request) (request, error) {
			note(ctx, "bounded guard")
			return r, nil
		}, hook.Timeout(1<<40)),
		generate.Check(func(ctx context.Context, _ request) error {
			note(ctx, "check")
			return nil
		}),
		generate.Observe(func(ctx context.Context, _ request) { note(ctx, "observe") }),
		generate.Review(func(ctx context.Context, _ request, r reply) (reply, error) {
			note(ctx, "review")
			return r, errors.New("no")
		}),
		generate.OnError(func(ctx context.Context, _ outcome) { note(ctx, "on error") }),
		generate.Async(func(ctx context.Context, _ outcome) { note(ctx, "async") }),
	)
	_, err := generateOn(t, s, func(ctx context.Context, r request) (reply, error) {
		note(ctx, "body")
		return answer(ctx, r)
	})
	if err == nil {
		t.Fatal("got no error, want a rejection")
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"guard 2", "bounded guard 2", "check 2", "observe 2", "body 2", "review 2", "on error 2", "async 2"}
	if diff := cmp.Diff(want, j.all()); diff != "" {
		t.Errorf("depth (-want +got):\n%s", diff)
	}
}

func TestBeginReturnsTheBracketsContext(t *testing.T) {
	t.Parallel()
	ctx, op, err := generate.Begin(t.Context(), install(deeper()), request{Prompt: "hi"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ctx.Value(depthKey{}); got != 1 {
		t.Errorf("got depth %v, want 1", got)
	}
	if got := op.Pre.Prompt; got != "hi" {
		t.Errorf("got prompt %q, want %q", got, "hi")
	}
	if _, err := op.End(reply{}, nil); err != nil {
		t.Error(err)
	}
}

func TestARejectedBeginReturnsTheCallersContext(t *testing.T) {
	t.Parallel()
	s := install(deeper(), generate.Check(func(context.Context, request) error { return hook.Reject("no", "") }))
	ctx, op, err := generate.Begin(t.Context(), s, request{})
	if err == nil {
		t.Fatal("got no error, want a rejection")
	}
	if got := ctx.Value(depthKey{}); got != nil {
		t.Errorf("got depth %v, want none: the brackets have closed", got)
	}
	if got, again := op.End(reply{"late"}, nil); got != (reply{}) || again != err {
		t.Errorf("got %v, %v from End, want the zero reply and the rejection of Begin", got, again)
	}
}

func TestABracketMayReturnNothing(t *testing.T) {
	t.Parallel()
	var j journal
	s := install(deeper(), generate.Bracket(func(context.Context, request) (context.Context, func(outcome)) {
		return nil, nil
	}), j.bracket("inner"))
	_, err := generateOn(t, s, func(ctx context.Context, r request) (reply, error) {
		j.add("body %v", ctx.Value(depthKey{}))
		return answer(ctx, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"+inner", "body 1", "-inner ok"}, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestMoreBracketsThanFitInline(t *testing.T) {
	t.Parallel()
	var j journal
	var sources []hook.Source
	var want []string
	for i := range 9 {
		sources = append(sources, j.bracket(fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("+%d", i))
	}
	for i := 8; i >= 0; i-- {
		want = append(want, fmt.Sprintf("-%d ok", i))
	}
	if _, err := generateOn(t, install(sources...), answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
