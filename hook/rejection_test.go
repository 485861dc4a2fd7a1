package hook_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/hook"
)

// A denial is a way to deny a call, to be bound in each of the roles that can.
type denial func(context.Context) error

func asGuard(deny denial, opts ...hook.Option) hook.Binding {
	return generate.Guard(func(ctx context.Context, r request) (request, error) { return r, deny(ctx) }, opts...)
}

func asCheck(deny denial, opts ...hook.Option) hook.Binding {
	return generate.Check(func(ctx context.Context, _ request) error { return deny(ctx) }, opts...)
}

func asReview(deny denial, opts ...hook.Option) hook.Binding {
	return generate.Review(func(ctx context.Context, _ request, r reply) (reply, error) { return r, deny(ctx) }, opts...)
}

var deniers = map[string]func(denial, ...hook.Option) hook.Binding{"guard": asGuard, "check": asCheck, "review": asReview}

// passing is a Check that lets everything through: with it beside them, checks run in parallel.
func passing() hook.Binding {
	return generate.Check(func(context.Context, request) error { return nil })
}

func TestARejectionInAnyRoleEndsTheOperation(t *testing.T) {
	t.Parallel()
	secret := errors.New("the prompt said: secret")
	nested := &hook.Rejection{Point: "judge", Plugin: "other", Code: "inner"}
	tests := []struct {
		name string
		deny error
		want hook.Rejection
	}{
		{"deliberate", hook.Reject("over_budget", "secret"), hook.Rejection{Code: "over_budget", Reason: "secret"}},
		{"deliberate with a cause", fmt.Errorf("%w: %w", hook.Reject("unsafe", "secret"), secret), hook.Rejection{Code: "unsafe", Reason: "secret", Err: secret}},
		{"any other error", secret, hook.Rejection{Code: hook.CodeError, Err: secret}},
		{"a judge that was rejected itself", nested, hook.Rejection{Code: hook.CodeError, Err: nested}},
		{"cancelled of its own accord", context.Canceled, hook.Rejection{Code: hook.CodeError, Err: context.Canceled}},
	}
	for _, tt := range tests {
		for role, bind := range deniers {
			t.Run(tt.name+"/"+role, func(t *testing.T) {
				t.Parallel()
				var j journal
				var out outcome
				s := install(
					j.bracket("outer"),
					generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
						return ctx, func(o outcome) { out = o }
					}),
					bind(func(context.Context) error { return tt.deny }, hook.Name("policy")), passing(),
					generate.OnError(func(_ context.Context, o outcome) { j.add("on error %s", o.Ending) }),
				).Report(func(f hook.Failure) { t.Errorf("got failure %v, want none: a rejection is no failure", f) })
				got, err := generateOn(t, s, func(ctx context.Context, r request) (reply, error) {
					if role != "review" {
						t.Error("the body ran")
					}
					return answer(ctx, r)
				})
				if got != (reply{}) {
					t.Errorf("got %v, want the zero reply", got)
				}
				rejection, ok := errors.AsType[*hook.Rejection](err)
				if !ok {
					t.Fatalf("got error %v, want a *Rejection", err)
				}
				want := tt.want
				want.Point, want.Plugin = "generate", "policy"
				if diff := cmp.Diff(want, *rejection, cmpopts.IgnoreFields(hook.Rejection{}, "Err")); diff != "" {
					t.Errorf("rejection (-want +got):\n%s", diff)
				}
				if !errors.Is(rejection.Unwrap(), want.Err) {
					t.Errorf("got cause %v, want %v", rejection.Unwrap(), want.Err)
				}
				if got, want := err.Error(), "hook: generate rejected by policy ("+want.Code+")"; got != want {
					t.Errorf("got text %q, want %q", got, want)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("got content in the text %q", err)
				}
				if out.Ending != hook.Rejected || out.Err != err || out.Start.IsZero() || out.End.IsZero() {
					t.Errorf("got outcome %+v, want Rejected, by the error returned, with its times", out)
				}
				if diff := cmp.Diff([]string{"+outer", "on error rejected", "-outer rejected"}, j.all()); diff != "" {
					t.Errorf("order (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestRejectionWithoutNames(t *testing.T) {
	t.Parallel()
	if got, want := hook.Reject("no", "secret").Error(), "hook: rejected (no)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheOutcomeOfARejectedReviewHasTheReply(t *testing.T) {
	t.Parallel()
	var out outcome
	s := install(asReview(func(context.Context) error { return hook.Reject("no", "") }),
		generate.OnError(func(_ context.Context, o outcome) { out = o }))
	got, err := generateOn(t, s, answer)
	if got != (reply{}) || err == nil {
		t.Errorf("got %v, %v, want the zero reply and an error", got, err)
	}
	if want := (reply{"re: hi"}); out.Post != want { // its usage is to be counted
		t.Errorf("got %v in the outcome, want %v", out.Post, want)
	}
}

func TestTheFirstRejectionStopsTheRest(t *testing.T) {
	t.Parallel()
	never := func(context.Context) error {
		t.Error("a role after the rejection ran")
		return nil
	}
	deny := func(context.Context) error { return hook.Reject("first", "") }
	for name, s := range map[string]*hook.Set{
		"guard":  install(asGuard(deny), asGuard(never), asCheck(never), asReview(never)),
		"check":  install(asCheck(deny), asReview(never), generate.Observe(func(context.Context, request) { t.Error("an observer ran") })),
		"review": install(asReview(deny), asReview(never)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := generateOn(t, s, answer)
			if r, ok := errors.AsType[*hook.Rejection](err); !ok || r.Code != "first" {
				t.Errorf("got error %v, want the first rejection", err)
			}
		})
	}
}

func TestChecksRunInParallelAndTheFirstRejectionCancelsTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cancelled, awaited bool
		s := install(
			asCheck(func(context.Context) error {
				time.Sleep(time.Second)
				return hook.Reject("first", "")
			}),
			asCheck(func(ctx context.Context) error {
				<-ctx.Done()
				cancelled = true
				time.Sleep(time.Second)
				awaited = true
				return ctx.Err()
			}),
			asCheck(func(ctx context.Context) error {
				time.Sleep(time.Second / 2)
				return nil
			}),
		)
		began := time.Now()
		_, err := generateOn(t, s, answer)
		if r, ok := errors.AsType[*hook.Rejection](err); !ok || r.Code != "first" {
			t.Errorf("got error %v, want the first rejection", err)
		}
		if !cancelled || !awaited {
			t.Errorf("got cancelled %t, awaited %t, want true, true", cancelled, awaited)
		}
		if got, want := time.Since(began), 2*time.Second; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestACheckThatExitsItsGoroutineDenies(t *testing.T) {
	t.Parallel()
	_, err := generateOn(t, install(asCheck(func(context.Context) error {
		runtime.Goexit()
		return nil
	}), passing()).Report(func(hook.Failure) {}), answer)
	if r, ok := errors.AsType[*hook.Rejection](err); !ok || r.Code != hook.CodePanic {
		t.Errorf("got error %v, want a rejection with code %q", err, hook.CodePanic)
	}
}

// What ended the call is not a plugin's decision: the trace must not show a policy at work.
func TestAGuardInterruptedByItsCallIsNoRejection(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	ctxErr := func(ctx context.Context) error { return fmt.Errorf("judge: %w", ctx.Err()) }
	tests := []struct {
		name  string
		cause error
		deny  denial // called once the call's context has ended
		want  hook.Ending
		in    []error // the chain of the error
	}{
		{"cancelled", nil, ctxErr, hook.Cancelled, []error{context.Canceled}},
		{"cancelled for a reason", why, ctxErr, hook.Cancelled, []error{context.Canceled, why}},
		{"cancelled for a reason that is returned", why, context.Cause, hook.Cancelled, []error{context.Canceled, why}},
		{"abandoned", hook.ErrAbandoned, ctxErr, hook.Abandoned, []error{context.Canceled, hook.ErrAbandoned}},
		{"denied all the same", nil, func(context.Context) error { return hook.Reject("no", "") }, hook.Rejected, nil},
		{"failed all the same", nil, func(context.Context) error { return why }, hook.Rejected, []error{why}},
	}
	for _, tt := range tests {
		for role, bind := range deniers {
			t.Run(tt.name+"/"+role, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var out outcome
				s := install(
					bind(func(ctx context.Context) error {
						cancel(tt.cause)
						<-ctx.Done()
						return tt.deny(ctx)
					}),
					passing(), generate.OnError(func(_ context.Context, o outcome) { out = o }),
				)
				_, err := generate.Do(ctx, s, request{}, answer)
				if out.Ending != tt.want || out.Err != err {
					t.Errorf("got %v by %v, want %v", out.Ending, out.Err, tt.want)
				}
				for _, want := range tt.in {
					if !errors.Is(err, want) {
						t.Errorf("got error %v, want %v in its chain", err, want)
					}
				}
			})
		}
	}
}
