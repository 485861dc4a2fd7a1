package hook_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

func TestEndingFollowsFromTheError(t *testing.T) {
	t.Parallel()
	rejection := &hook.Rejection{Point: "inner", Code: "no", Err: context.Canceled}
	tests := []struct {
		name string
		err  error
		want hook.Ending
		text string
	}{
		{"nil", nil, hook.Completed, "ok"},
		{"any other", errors.New("broken"), hook.Failed, "error"},
		{"deadline", fmt.Errorf("call: %w", context.DeadlineExceeded), hook.Failed, "error"},
		{"panic", hook.ErrPanicked, hook.Failed, "error"},
		{"rejection below, of a cancelled judge", fmt.Errorf("call: %w", rejection), hook.Rejected, "rejected"},
		{"cancelled", fmt.Errorf("call: %w", context.Canceled), hook.Cancelled, "cancelled"},
		{"abandoned", fmt.Errorf("call: %w", hook.ErrAbandoned), hook.Abandoned, "abandoned"},
		{"abandoned by cancelling", errors.Join(context.Canceled, hook.ErrAbandoned), hook.Abandoned, "abandoned"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out outcome
			s := install(generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
				return ctx, func(o outcome) { out = o }
			}))
			_, err := generateOn(t, s, func(context.Context, request) (reply, error) { return reply{}, tt.err })
			if err != tt.err || out.Err != tt.err {
				t.Errorf("got error %v and outcome %v, want %v", err, out.Err, tt.err)
			}
			if out.Ending != tt.want || out.Ending.String() != tt.text {
				t.Errorf("got ending %d %q, want %d %q", out.Ending, out.Ending, tt.want, tt.text)
			}
		})
	}
}

func TestStartAndEndAreTakenOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var outs []outcome
		var late outcome // of the Async, which may run before the brackets close
		slow := func(d time.Duration) hook.Binding {
			return generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
				time.Sleep(d) // opening and closing take time, which is not the operation's
				return ctx, func(o outcome) {
					time.Sleep(d)
					outs = append(outs, o)
				}
			})
		}
		s := install(slow(time.Second), slow(time.Minute),
			generate.Review(func(_ context.Context, _ request, r reply) (reply, error) {
				time.Sleep(time.Hour)
				return r, nil
			}),
			generate.Async(func(_ context.Context, o outcome) { late = o }),
		)
		began := time.Now()
		if _, err := generateOn(t, s, answer); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(outs) != 2 {
			t.Fatalf("got %d brackets closed, want 2", len(outs))
		}
		for _, o := range append(outs, late) {
			if !o.Start.Equal(began) {
				t.Errorf("got start %v after the call, want 0", o.Start.Sub(began))
			}
			if got, want := o.End.Sub(o.Start), time.Second+time.Minute; got != want {
				t.Errorf("got duration %v, want %v: from before the first bracket to the end of the body", got, want)
			}
		}
	})
}

func TestEndAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after time.Duration // of Start
		zero  bool
		want  time.Duration
	}{
		{"earlier than now", 2 * time.Second, false, 2 * time.Second},
		{"before the start counts as the start", -time.Second, false, 0},
		{"zero is now", 0, true, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out outcome
				s := install(generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
					return ctx, func(o outcome) { out = o }
				}))
				_, op, err := generate.Begin(t.Context(), s, request{})
				if err != nil {
					t.Fatal(err)
				}
				at := time.Now().Add(tt.after)
				if tt.zero {
					at = time.Time{}
				}
				time.Sleep(5 * time.Second)
				if _, err := op.EndAt(at, reply{}, nil); err != nil {
					t.Fatal(err)
				}
				if got := out.End.Sub(out.Start); got != tt.want {
					t.Errorf("got duration %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestASecondEndReturnsTheResultOfTheFirst(t *testing.T) {
	t.Parallel()
	var j journal
	s := install(j.bracket("bracket"), generate.Review(func(_ context.Context, _ request, r reply) (reply, error) {
		j.add("review")
		return reply{r.Text + "!"}, nil
	}))
	_, op, err := generate.Begin(t.Context(), s, request{})
	if err != nil {
		t.Fatal(err)
	}
	stored := struct{ op hook.Op[request, reply] }{op} // an Op is a value, its copies are the same operation
	want := reply{"first!"}
	if got, err := op.End(reply{"first"}, nil); got != want || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := stored.op.End(reply{"second"}, errors.New("late")); got != want || err != nil {
		t.Errorf("got %v, %v from the second End, want %v", got, err, want)
	}
	if got, err := stored.op.EndAt(time.Now(), reply{"third"}, nil); got != want || err != nil {
		t.Errorf("got %v, %v from EndAt, want %v", got, err, want)
	}
	if diff := cmp.Diff([]string{"+bracket", "review", "-bracket ok"}, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestConcurrentEndsWaitForTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var closed int
		s := install(
			generate.Review(func(_ context.Context, _ request, r reply) (reply, error) {
				time.Sleep(time.Second) // the others arrive meanwhile
				return reply{"reviewed " + r.Text}, nil
			}),
			generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
				return ctx, func(outcome) {
					time.Sleep(time.Second)
					closed++
				}
			}),
		)
		_, op, err := generate.Begin(t.Context(), s, request{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[reply]int{}
		for i := range 8 {
			wg.Go(func() {
				r, err := op.End(reply{fmt.Sprint(i)}, nil)
				mu.Lock()
				defer mu.Unlock()
				got[r]++
				if err != nil {
					t.Error(err)
				}
				if closed != 1 {
					t.Errorf("got %d closed brackets when End returned, want 1", closed)
				}
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Errorf("got results %v, want one for all", got)
		}
	})
}

func TestAnOperationNobodyListensTo(t *testing.T) {
	t.Parallel()
	elsewhere := install(hook.NewPoint[int, int]("elsewhere").Observe(func(context.Context, int) {}))
	broken := errors.New("broken")
	for name, s := range map[string]*hook.Set{"nil": nil, "empty": install(), "listens elsewhere": elsewhere} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, op, err := generate.Begin(t.Context(), s, request{Prompt: "hi"})
			if ctx != t.Context() || op.Pre.Prompt != "hi" || err != nil {
				t.Errorf("got %v, %v, %v from Begin", ctx, op.Pre, err)
			}
			if got, err := op.End(reply{"r"}, broken); got != (reply{"r"}) || err != broken {
				t.Errorf("got %v, %v from End", got, err)
			}
			if got, err := op.EndAt(time.Now(), reply{"r"}, nil); got != (reply{"r"}) || err != nil {
				t.Errorf("got %v, %v from EndAt", got, err)
			}
			if got, err := generateOn(t, s, answer); got != (reply{"re: hi"}) || err != nil {
				t.Errorf("got %v, %v from Do", got, err)
			}
			if generate.Active(s) || generate.Reviewed(s) {
				t.Error("got an active point, want an idle one")
			}
		})
	}
}

func TestActiveAndReviewed(t *testing.T) {
	t.Parallel()
	observed := install(generate.Observe(func(context.Context, request) {}))
	if !generate.Active(observed) || generate.Reviewed(observed) {
		t.Errorf("got active %t, reviewed %t, want true, false", generate.Active(observed), generate.Reviewed(observed))
	}
	reviewed := observed.With(generate.Review(func(_ context.Context, _ request, r reply) (reply, error) { return r, nil }))
	if !generate.Active(reviewed) || !generate.Reviewed(reviewed) {
		t.Errorf("got active %t, reviewed %t, want true, true", generate.Active(reviewed), generate.Reviewed(reviewed))
	}
}

func TestAPanicInTheBodyEndsTheOperationAndGoesOn(t *testing.T) {
	t.Parallel()
	var j journal
	var out outcome
	s := install(j.bracket("outer"), generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
		return ctx, func(o outcome) {
			out = o
			panic("in the finisher, while the body's panic unwinds")
		}
	}), generate.OnError(func(context.Context, outcome) { j.add("on error") })).Report(func(hook.Failure) {})
	recovered := func() (v any) {
		defer func() { v = recover() }()
		_, _ = generateOn(t, s, func(context.Context, request) (reply, error) { panic("body") })
		return nil
	}()
	if recovered != "body" {
		t.Errorf("got panic %v, want the body's", recovered)
	}
	if out.Err != hook.ErrPanicked || out.Ending != hook.Failed || out.End.IsZero() {
		t.Errorf("got outcome %+v, want ErrPanicked, Failed and an end", out)
	}
	if diff := cmp.Diff([]string{"+outer", "on error", "-outer error"}, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestAnExitOfTheGoroutineEndsTheOperation calls runtime.Goexit, as t.FailNow does, in each place of an operation.
func TestAnExitOfTheGoroutineEndsTheOperation(t *testing.T) {
	t.Parallel()
	places := []string{"bracket", "guard", "check", "observe", "body", "review", "on error", "finisher"}
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			exit := func(at string) {
				if at == place {
					runtime.Goexit()
				}
			}
			var j journal
			s := install(
				j.bracket("outer"), j.bracket("middle"),
				generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
					exit("bracket")
					return ctx, func(outcome) { exit("finisher") }
				}),
				generate.Guard(func(_ context.Context, r request) (request, error) {
					exit("guard")
					return r, nil
				}),
				generate.Check(func(context.Context, request) error {
					exit("check")
					return nil
				}),
				generate.Observe(func(context.Context, request) { exit("observe") }),
				generate.Review(func(_ context.Context, _ request, r reply) (reply, error) {
					exit("review")
					if place == "on error" {
						return r, errors.New("no")
					}
					return r, nil
				}),
				generate.OnError(func(context.Context, outcome) { exit("on error") }),
				generate.Async(func(context.Context, outcome) { j.add("async") }),
			)
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = generateOn(t, s, func(ctx context.Context, r request) (reply, error) {
					exit("body")
					return answer(ctx, r)
				})
				t.Error("got a return, want the goroutine to have exited")
			}()
			<-done
			if got := s.Stats().OpenOperations; got != 0 {
				t.Errorf("got %d open operations, want 0", got)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			counts := map[string]int{}
			for _, line := range j.all() {
				counts[line]++
			}
			ending := "error"
			switch place {
			case "finisher":
				ending = "ok"
			case "on error":
				ending = "rejected"
			}
			want := map[string]int{"+outer": 1, "+middle": 1, "-middle " + ending: 1, "-outer " + ending: 1, "async": 1}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}
