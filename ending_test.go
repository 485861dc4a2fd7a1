package mellea_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

var errLeft = errors.New("the user left")

// waits is a check that gives up with its context.
func waits() requirement.Requirement {
	return requirement.New("waits", func(ctx context.Context, _ requirement.Env) (requirement.Verdict, error) {
		<-ctx.Done()
		return requirement.Verdict{}, ctx.Err()
	})
}

// However a caller ends its context, and wherever the call is then, the ending tells whose doing it was, and the error
// has both the context's error and the cause that the caller gave.
func TestEndingOfTheCallersContext(t *testing.T) {
	t.Parallel()
	for _, how := range []struct {
		name   string
		within func(context.Context) (context.Context, context.CancelFunc)
		is     []error
		want   string
	}{
		{"cancelled", context.WithCancel, []error{context.Canceled}, "cancelled"},
		{"cancelled for a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			return ctx, func() { cancel(errLeft) }
		}, []error{context.Canceled, errLeft}, "cancelled"},
		{"a deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, []error{context.DeadlineExceeded}, "error"},
		{"a deadline with a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, errLeft)
		}, []error{context.DeadlineExceeded, errLeft}, "error"},
	} {
		for _, where := range []struct {
			name  string
			reply melleatest.Reply
			opts  []mellea.CallOption
		}{
			{"generating", melleatest.Reply{Block: true}, nil},
			{"sampling", melleatest.Reply{Block: true}, []mellea.CallOption{mellea.Strategy(sampling.Repair(2))}},
			{"sampling in parallel", melleatest.Reply{Block: true}, []mellea.CallOption{mellea.Strategy(sampling.Reject(3, sampling.Parallel(3)))}},
			{"checking", melleatest.Say("x"), []mellea.CallOption{mellea.Check(waits())}},
		} {
			t.Run(how.name+"/"+where.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, rec := start(t, melleatest.NewBackend(where.reply))
					ctx, cancel := how.within(t.Context())
					defer cancel()
					if how.want == "cancelled" {
						time.AfterFunc(time.Second, cancel)
					}
					_, err := s.Instruct(ctx, "Say.", where.opts...)
					for _, want := range how.is {
						if !errors.Is(err, want) {
							t.Errorf("error %v is not %v", err, want)
						}
					}
					if diff := cmp.Diff([]string{how.want}, endings(rec, "component")); diff != "" {
						t.Errorf("component ended (-want +got):\n%s", diff)
					}
				})
			})
		}
	}
}

// A call that waits for its input is given up with its context and with its session, and blames neither on the input.
func TestWaitingForAnInputIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(*mellea.Session, context.CancelFunc)
		want error
	}{
		{"by the caller", func(_ *mellea.Session, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"by closing the session", func(s *mellea.Session, _ context.CancelFunc) { _ = s.Close() }, backend.ErrAbandoned},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				other, _ := start(t, melleatest.NewBackend(melleatest.Reply{Block: true}))
				input, err := other.StartInstruct(t.Context(), "Never ends.")
				if err != nil {
					t.Fatal(err)
				}
				s, rec := start(t, melleatest.NewBackend(melleatest.Say("x")))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error)
				go func() {
					_, err := s.Instruct(ctx, "Use {{x}}.", mellea.Vars{"x": input})
					result <- err
				}()
				synctest.Wait()
				tc.end(s, cancel)
				err = <-result
				if !errors.Is(err, tc.want) {
					t.Errorf("error %v, want %v", err, tc.want)
				}
				if errors.As(err, new(*mellea.InputError)) {
					t.Errorf("error %v blames the input, which still runs", err)
				}
				if got := endings(rec, "component"); got != nil {
					t.Errorf("component operations %v of a call that did not start", got)
				}
			})
		})
	}
}

// What parallel attempts have in common is said once.
func TestParallelAttemptsEndedByTheCallerAreOneError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := start(t, melleatest.NewBackend(melleatest.Reply{Block: true}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.Instruct(ctx, "Say.", mellea.Strategy(sampling.Reject(3, sampling.Parallel(3))))
		if got, want := err.Error(), "context canceled"; got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	})
}

func TestParallelCountsWhatLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply {
			if n == 2 {
				return melleatest.Say("good")
			}
			return melleatest.Reply{Pieces: []string{"bad"}, Block: true}
		})
		generations := 0
		s, _ := start(t, b, mellea.WithHooks(countGenerations(&generations)))
		if _, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.Contains("good")), mellea.Strategy(sampling.Reject(3, sampling.Parallel(3)))); err != nil {
			t.Fatal(err)
		}
		if got, want := generations, len(b.Requests()); got != want {
			t.Errorf("the component tells of %d generations, want %d", got, want)
		}
	})
}
