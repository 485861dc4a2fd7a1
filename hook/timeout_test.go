package hook_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

// Ways for a guard, check or review to go wrong, and the code the call is denied with.
var malfunctions = []struct {
	name     string
	deny     denial
	opts     []hook.Option
	code     string
	err      error
	reported string // of the failure, after point, plugin and role
}{
	{
		"panic", func(context.Context) error { panic("boom") }, nil,
		hook.CodePanic, hook.ErrPanicked, hook.ErrPanicked.Error() + " boom",
	},
	{
		"panic of a bounded one", func(context.Context) error { panic("boom") }, []hook.Option{hook.Timeout(time.Second)},
		hook.CodePanic, hook.ErrPanicked, hook.ErrPanicked.Error() + " boom",
	},
	{
		"exit of a bounded one", func(context.Context) error { runtime.Goexit(); return nil }, []hook.Option{hook.Timeout(time.Second)},
		hook.CodePanic, hook.ErrPanicked, hook.ErrPanicked.Error() + " <nil>",
	},
	{
		"timeout that is honoured", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, []hook.Option{hook.Timeout(time.Second)},
		hook.CodeTimeout, context.DeadlineExceeded, context.DeadlineExceeded.Error() + " <nil>",
	},
	{
		"timeout put otherwise", func(ctx context.Context) error { <-ctx.Done(); return errors.New("judge failed") }, []hook.Option{hook.Timeout(time.Second)},
		hook.CodeTimeout, context.DeadlineExceeded, context.DeadlineExceeded.Error() + " <nil>",
	},
	{
		"timeout that is ignored", func(context.Context) error { time.Sleep(time.Hour); return nil }, []hook.Option{hook.Timeout(time.Second)},
		hook.CodeTimeout, context.DeadlineExceeded, context.DeadlineExceeded.Error() + " <nil>",
	},
}

func TestAMalfunctionDeniesTheCall(t *testing.T) {
	t.Parallel()
	for _, tt := range malfunctions {
		for role, bind := range deniers {
			t.Run(tt.name+"/"+role, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var f failures
					var j journal
					s := install(bind(tt.deny, append(tt.opts, hook.Name("policy"))...), passing(), j.bracket("bracket")).Report(f.report)
					_, err := generateOn(t, s, answer)
					rejection, ok := errors.AsType[*hook.Rejection](err)
					if !ok || rejection.Code != tt.code || rejection.Err != tt.err {
						t.Errorf("got error %#v, want a rejection with code %q by %v", err, tt.code, tt.err)
					}
					if diff := cmp.Diff([]string{"generate policy " + role + ": " + tt.reported}, f.summary()); diff != "" {
						t.Errorf("failures (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff([]string{"+bracket", "-bracket rejected"}, j.all()); diff != "" {
						t.Errorf("order (-want +got):\n%s", diff)
					}
					if err := s.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestAMalfunctionLetsTheCallGoOnWithFailOpen(t *testing.T) {
	t.Parallel()
	for _, tt := range malfunctions {
		for role, bind := range deniers {
			t.Run(tt.name+"/"+role, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var f failures
					s := install(bind(tt.deny, append(tt.opts, hook.FailOpen(), hook.Name("policy"))...), passing()).Report(f.report)
					got, err := generateOn(t, s, answer)
					if want := (reply{"re: hi"}); got != want || err != nil {
						t.Errorf("got %v, %v, want %v with the payloads as they were", got, err, want)
					}
					if diff := cmp.Diff([]string{"generate policy " + role + ": " + tt.reported}, f.summary()); diff != "" {
						t.Errorf("failures (-want +got):\n%s", diff)
					}
					if err := s.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestFailOpenStillDenies(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"rejection": hook.Reject("no", ""), "error": errors.New("broken")} {
		for role, bind := range deniers {
			t.Run(name+"/"+role, func(t *testing.T) {
				t.Parallel()
				_, got := generateOn(t, install(bind(func(context.Context) error { return err }, hook.FailOpen())), answer)
				if _, ok := errors.AsType[*hook.Rejection](got); !ok {
					t.Errorf("got error %v, want a rejection", got)
				}
			})
		}
	}
}

func TestABoundedGuardWithinItsTimeoutCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := install(
			generate.Guard(func(_ context.Context, r request) (request, error) {
				time.Sleep(time.Second)
				r.Prompt = "edited"
				return r, nil
			}, hook.Timeout(time.Minute)),
			generate.Review(func(_ context.Context, _ request, r reply) (reply, error) {
				time.Sleep(time.Second)
				r.Text += "!"
				return r, nil
			}, hook.Timeout(time.Minute)),
		)
		got, err := generateOn(t, s, answer)
		if want := (reply{"re: edited!"}); got != want || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	})
}

// The call does not wait for a bounded guard once its own context has ended, and the guard's goroutine is not forgotten.
func TestACallThatEndsLeavesItsBoundedGuards(t *testing.T) {
	t.Parallel()
	for role, bind := range deniers {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out outcome
				s := install(bind(func(context.Context) error {
					time.Sleep(time.Hour)
					return nil
				}, hook.Timeout(time.Minute)), generate.OnError(func(_ context.Context, o outcome) { out = o }))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				_, err := generate.Do(ctx, s, request{}, answer)
				if !errors.Is(err, context.DeadlineExceeded) || out.Ending != hook.Failed {
					t.Errorf("got error %v and ending %v, want the call's deadline and Failed", err, out.Ending)
				}
				if got := time.Since(began); got != time.Second {
					t.Errorf("took %v, want 1s", got)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if got := time.Since(began); got != time.Hour {
					t.Errorf("Close returned after %v, want 1h", got)
				}
			})
		})
	}
}

// Whoever closes first waits: the Set that installed the guard, or the one whose call it guarded.
func TestCloseAwaitsGuardsThatOutlivedTheirTimeout(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"program", "session", "other session"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				program := install(asGuard(func(context.Context) error {
					time.Sleep(time.Hour)
					return nil
				}, hook.Timeout(time.Second))).Report(func(hook.Failure) {})
				session, other := program.WithScope(hook.ScopeSession), program.WithScope(hook.ScopeSession)
				began := time.Now()
				if _, err := generateOn(t, session, answer); err == nil {
					t.Error("got no error, want a rejection")
				}
				want := time.Hour
				set := program
				switch who {
				case "session":
					set = session
				case "other session":
					set, want = other, time.Second
				}
				short, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
				defer cancel()
				if err := set.Close(short); (err == nil) != (who == "other session") || err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %v from a Close without patience", err)
				}
				if err := set.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if got := time.Since(began).Truncate(time.Second); got != want {
					t.Errorf("Close returned after %v, want %v", got, want)
				}
				if err := program.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// keepModel is the rule of a point that lets the prompt be edited and the model not.
func keepModel(old, edited request) (request, error) {
	if edited.Model != old.Model {
		return old, errModel
	}
	return edited, nil
}

var (
	errModel = errors.New("the model cannot be edited")
	ruled    = hook.NewPoint("ruled", hook.Accept[request, reply](keepModel), hook.AcceptPost[request](func(old, edited reply) (reply, error) {
		if edited.Text == "" {
			return old, errModel
		}
		return edited, nil
	}))
)

func TestAForbiddenEditIsAnError(t *testing.T) {
	t.Parallel()
	bindings := map[string]func(...hook.Option) hook.Binding{
		"guard": func(opts ...hook.Option) hook.Binding {
			return ruled.Guard(func(_ context.Context, r request) (request, error) { return request{"other", r.Prompt}, nil }, opts...)
		},
		"review": func(opts ...hook.Option) hook.Binding {
			return ruled.Review(func(context.Context, request, reply) (reply, error) { return reply{}, nil }, opts...)
		},
	}
	options := map[string][]hook.Option{"plain": nil, "fail open": {hook.FailOpen()}, "bounded": {hook.Timeout(time.Hour), hook.FailOpen()}}
	for role, bind := range bindings {
		for name, opts := range options {
			t.Run(role+"/"+name, func(t *testing.T) {
				t.Parallel()
				var f failures
				s := install(bind(append(opts, hook.Name("policy"))...)).Report(f.report)
				_, err := ruled.Do(t.Context(), s, request{"m", "hi"}, answer)
				rejection, ok := errors.AsType[*hook.Rejection](err)
				if !ok || rejection.Code != hook.CodeForbiddenEdit || !errors.Is(err, errModel) {
					t.Errorf("got error %v, want a rejection for a forbidden edit", err)
				}
				if diff := cmp.Diff([]string{"ruled policy " + role + ": " + errModel.Error() + " <nil>"}, f.summary()); diff != "" {
					t.Errorf("failures (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestAnAllowedEditCounts(t *testing.T) {
	t.Parallel()
	s := install(
		ruled.Guard(func(_ context.Context, r request) (request, error) { return request{r.Model, "edited"}, nil }),
		ruled.Review(func(_ context.Context, _ request, r reply) (reply, error) { return reply{r.Text + "!"}, nil }),
	)
	got, err := ruled.Do(t.Context(), s, request{"m", "hi"}, answer)
	if want := (reply{"re: edited!"}); got != want || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
