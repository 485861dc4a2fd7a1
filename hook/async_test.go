package hook_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

// slowly binds an Async that takes a second for each outcome.
func slowly(j *journal, name string, opts ...hook.Option) hook.Binding {
	return generate.Async(func(_ context.Context, o outcome) {
		time.Sleep(time.Second)
		j.add("%s %s", name, o.Post.Text)
	}, append(opts, hook.Name(name))...)
}

// number fires the point n times, with the numbers from 0 as replies.
func number(t *testing.T, s *hook.Set, n int) {
	t.Helper()
	for i := range n {
		if _, err := generateOn(t, s, func(context.Context, request) (reply, error) { return reply{fmt.Sprint(i)}, nil }); err != nil {
			t.Error(err)
		}
	}
}

func TestAsyncKeepsOrderAndDoesNotHoldUpTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		s := install(slowly(&j, "audit"))
		began := time.Now()
		number(t, s, 20)
		if got := time.Since(began); got != 0 {
			t.Errorf("the calls took %v, want 0", got)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(began), 20*time.Second; got != want {
			t.Errorf("Close returned after %v, want %v", got, want)
		}
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprintf("audit %d", i))
		}
		if diff := cmp.Diff(want, j.all()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestAsyncKeepsOrderWhileItsQueueGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		s := install(slowly(&j, "audit"))
		var want []string
		for _, n := range []int{7, 20, 50} { // more each time than went out meanwhile, from the middle of the ring
			number(t, s, n)
			time.Sleep(5500 * time.Millisecond)
			for i := range n {
				want = append(want, fmt.Sprintf("audit %d", i))
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, j.all()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestAsyncSeesTheFinalOutcomeInAContextThatLives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var got outcome
		s := install(
			generate.Guard(func(_ context.Context, r request) (request, error) { return request{r.Model, "guarded"}, nil }),
			generate.Review(func(_ context.Context, _ request, r reply) (reply, error) { return reply{r.Text + ", reviewed"}, nil }),
			generate.Async(func(ctx context.Context, o outcome) {
				time.Sleep(time.Second)
				if ctx.Err() != nil || ctx.Value(key{}) != "value" {
					t.Errorf("got context error %v and value %v, want none and the operation's", ctx.Err(), ctx.Value(key{}))
				}
				if _, bounded := ctx.Deadline(); bounded {
					t.Error("got a deadline, want none")
				}
				got = o
			}),
			generate.Async(func(ctx context.Context, _ outcome) {
				began := time.Now()
				<-ctx.Done()
				if d := time.Since(began); d != time.Minute {
					t.Errorf("the context ended after %v, want the timeout", d)
				}
			}, hook.Timeout(time.Minute)),
		)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		if _, err := generate.Do(ctx, s, request{"m", "hi"}, answer); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got.Pre.Prompt != "guarded" || got.Post.Text != "re: guarded, reviewed" || got.Ending != hook.Completed || got.End.IsZero() {
			t.Errorf("got %+v, want what guards and reviews left", got)
		}
	})
}

func TestAsyncIsBoundedAndCountsDrops(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts []hook.Option
		room int
	}{
		{"one", []hook.Option{hook.QueueSize(1)}, 1},
		{"more than the ring starts with", []hook.Option{hook.QueueSize(100)}, 100},
		{"default", nil, hook.DefaultQueueSize},
		{"nonsense is the default", []hook.Option{hook.QueueSize(0)}, hook.DefaultQueueSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var f failures
				release := make(chan struct{})
				seen := 0
				s := install(generate.Async(func(context.Context, outcome) {
					<-release
					seen++
				}, append(tt.opts, hook.Name("audit"))...)).Report(f.report)
				number(t, s, 1)
				synctest.Wait() // the first has left the queue
				number(t, s, tt.room+2)
				if got := s.Stats(); got != (hook.Stats{AsyncDropped: 2}) {
					t.Errorf("got %+v, want 2 dropped and nothing else", got)
				}
				drop := "generate audit async: " + hook.ErrDropped.Error() + " <nil>"
				if diff := cmp.Diff([]string{drop, drop}, f.summary()); diff != "" {
					t.Errorf("failures (-want +got):\n%s", diff)
				}
				close(release)
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got, want := seen, tt.room+1; got != want {
					t.Errorf("got %d outcomes delivered, want %d", got, want)
				}
			})
		})
	}
}

func TestClosingOneSessionLeavesTheOthersQueueAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var program, session journal
		plugin := slowly(&session, "session")
		base := install(slowly(&program, "program"))
		a, b := base.WithScope(hook.ScopeSession, plugin), base.WithScope(hook.ScopeSession, plugin)
		quiet := func(hook.Failure) {}
		a, b = a.Report(quiet), b.Report(quiet)
		number(t, a, 1)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		number(t, a, 1) // the session's own queue is closed, the program's is not
		number(t, b, 2)
		for _, s := range []*hook.Set{a, b, b, base} { // again, and twice
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"session 0", "session 0", "session 1"}, session.all()); diff != "" {
			t.Errorf("delivered to the sessions (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"program 0", "program 0", "program 0", "program 1"}, program.all()); diff != "" {
			t.Errorf("delivered to the program (-want +got):\n%s", diff)
		}
		if got := b.Stats().AsyncDropped; got != 1 {
			t.Errorf("got %d dropped, want 1", got)
		}
	})
}

func TestClosingASessionWaitsForItsBlocksAndNotForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		program := install(passing())
		session, other := program.WithScope(hook.ScopeSession), program.WithScope(hook.ScopeSession, slowly(&j, "other"))
		block := session.WithScope(hook.ScopeBlock, slowly(&j, "block"))
		number(t, block, 3)
		number(t, other, 5)
		began := time.Now()
		if err := session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := program.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(began), 3*time.Second; got != want {
			t.Errorf("closing session and program took %v, want %v", got, want)
		}
		if err := other.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCloseIsBoundedByItsContextAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		s := install(slowly(&j, "audit"))
		number(t, s, 3)
		why := errors.New("why")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 1500*time.Millisecond, why)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, why) {
			t.Errorf("got error %v, want the context's cause", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(ctx); err != nil {
			t.Errorf("got error %v with nothing left to wait for, want nil", err)
		}
		if diff := cmp.Diff([]string{"audit 0", "audit 1", "audit 2"}, j.all()); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
	})
}

// A block that is never closed must not leak: the queue's goroutine ends when there is nothing to deliver.
func TestAnUnclosedSetLeavesNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails on a goroutine that is left
		var j journal
		s := install(slowly(&j, "audit"))
		for range 3 { // starts, ends and starts again
			number(t, s, 2)
			time.Sleep(time.Minute)
		}
		if got := len(j.all()); got != 6 {
			t.Errorf("got %d delivered, want 6", got)
		}
	})
}

func TestAsyncSurvivesItsSubscriber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f failures
		var j journal
		s := install(generate.Async(func(_ context.Context, o outcome) {
			j.add("%s", o.Post.Text)
			switch o.Post.Text {
			case "0":
				panic("boom")
			case "1":
				runtime.Goexit()
			}
		}, hook.Name("audit"))).Report(f.report)
		number(t, s, 3)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, j.all()); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"generate audit async: " + hook.ErrPanicked.Error() + " boom"}, f.summary()); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
	})
}
