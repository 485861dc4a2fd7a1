package mellea_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
)

// A session that is closed while calls succeed ends with exactly the interactions its history has: a turn is taken in
// before Close stops waiting for its call.
func TestCloseWaitsForTheTurn(t *testing.T) {
	t.Parallel()
	for range 200 {
		told := 0
		count := hookpoint.Session.Bracket(func(context.Context, hookpoint.SessionOpen) (context.Context, func(hookpoint.SessionOutcome)) {
			return nil, func(o hookpoint.SessionOutcome) { told = o.Post.Interactions }
		})
		s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")), mellea.WithHistory(history.Chat()), mellea.WithHooks(count))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if i%2 == 0 {
					_, _ = s.Chat(t.Context(), "Say.")
				} else if out, err := s.StartInstruct(t.Context(), "Say."); err == nil {
					_ = out.Wait(t.Context())
				}
			})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		atClose := s.History().Len()
		wg.Wait()
		if got := s.History().Len(); got != 2*told || got != atClose {
			t.Fatalf("%d messages at the end, %d when Close returned, want both to be 2 for each of the %d interactions told of", got, atClose, told)
		}
	}
}

// No turn is lost and none is there twice, however many goroutines use one session.
func TestTurnsUnderConcurrency(t *testing.T) {
	t.Parallel()
	s, _ := start(t, melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply { return melleatest.Say(fmt.Sprint(n)) }),
		mellea.WithHistory(history.Chat()))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if _, err := s.Chat(t.Context(), "Say."); err != nil {
					t.Error(err)
				}
				out, err := s.StartInstruct(t.Context(), "Say.")
				if err == nil {
					err = out.Wait(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	role := ""
	for m := range s.History().View().Values() {
		if string(m.Role()) == role {
			t.Fatal("a turn was taken apart")
		}
		if role = string(m.Role()); role == "assistant" {
			seen[m.Text()]++
		}
	}
	for reply, n := range seen {
		if n != 1 {
			t.Errorf("reply %s is there %d times", reply, n)
		}
	}
	if got, want := len(seen), 160; got != want {
		t.Errorf("%d replies, want %d", got, want)
	}
}

// Close keeps to its context when a backend does not let go, and still ends the session.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := melleatest.NewRecorder(t)
		s, err := mellea.Start(t.Context(), slow{time.Minute}, mellea.WithHooks(rec))
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.StartInstruct(t.Context(), "Say.")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := s.Close(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that the time is over", err)
		}
		if got, want := time.Since(began), mellea.CloseTimeout; got != want {
			t.Errorf("Close took %v, want %v", got, want)
		}
		if got := endings(rec, "session"); len(got) != 1 || got[0] != "ok" {
			t.Errorf("session ended %v, want once", got)
		}
		if err := out.Wait(t.Context()); !errors.Is(err, backend.ErrAbandoned) {
			t.Errorf("output's error %v, want that it was abandoned", err)
		}
	})
}

// Close from inside a call waits for itself, but no longer than its context allows.
func TestCloseFromInside(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		call func(ctx context.Context, s *mellea.Session, end func()) error
	}{
		{"the sink", func(ctx context.Context, s *mellea.Session, end func()) error {
			_, err := s.Chat(ctx, "Say.", mellea.Stream(func(int, backend.Chunk) { end() }))
			return err
		}},
		{"a hook", func(ctx context.Context, s *mellea.Session, end func()) error {
			v := s.With(mellea.WithHooks(hookpoint.Generation.Observe(func(context.Context, hookpoint.GenerationStart) { end() })))
			_, err := v.Chat(ctx, "Say.")
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, err := mellea.Start(t.Context(), melleatest.NewBackend(melleatest.Reply{Pieces: []string{"a"}, Block: true}),
					mellea.WithHooks(melleatest.NewRecorder(t)))
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				err = tc.call(t.Context(), s, func() {
					if err := s.Close(); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("close: error %v, want that the time is over", err)
					}
				})
				if got, want := time.Since(began), mellea.CloseTimeout; got != want {
					t.Errorf("the call took %v, want %v", got, want)
				}
				if !errors.Is(err, backend.ErrAbandoned) {
					t.Errorf("error %v, want that the call was abandoned", err)
				}
			})
		})
	}
}

// Everything that a call runs may use the session.
func TestSessionFromInside(t *testing.T) {
	t.Parallel()
	var s *mellea.Session
	inner := func(ctx context.Context) {
		if len(ctx.Value(depthKey{}).([]int)) > 1 {
			return
		}
		if _, err := s.Chat(context.WithValue(ctx, depthKey{}, []int{1, 2}), "Inner."); err != nil {
			t.Error(err)
		}
	}
	guard := hookpoint.Generation.Guard(func(ctx context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		inner(ctx)
		return p, nil
	})
	iteration := hookpoint.SamplingIteration.On(func(ctx context.Context, _ hookpoint.Iteration) { inner(ctx) })
	b := melleatest.NewBackend(melleatest.Say("x"))
	s, _ = start(t, b, mellea.WithHistory(history.Chat()), mellea.WithHooks(guard, iteration))
	ctx := context.WithValue(t.Context(), depthKey{}, []int{1})
	_, err := s.Instruct(ctx, "Outer.", mellea.Require("be good"), mellea.Strategy(strategist{plan: planOf(1)}),
		mellea.Stream(func(int, backend.Chunk) { inner(ctx) }))
	if _, ok := errors.AsType[*mellea.UnmetError](err); !ok { // "x" is no yes
		t.Fatal(err)
	}
	// The attempt and its judge, an inner call for the guard of each, one for the sink and one for the iteration.
	if got, want := len(b.Requests()), 6; got != want {
		t.Errorf("%d requests, want %d", got, want)
	}
}

type depthKey struct{}

// Starting and closing at the same time leaves nothing open, and a call that came too late says so.
func TestCloseBesideStarts(t *testing.T) {
	t.Parallel()
	for range 100 {
		s, _ := start(t, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"a"}, Block: true}))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				out, err := s.StartInstruct(context.Background(), "Say.")
				if err == nil {
					err = out.Wait(context.Background())
				}
				if !errors.Is(err, mellea.ErrClosed) && !errors.Is(err, backend.ErrAbandoned) {
					t.Errorf("error %v, want that the session is closed or the call abandoned", err)
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// What runs without a session is given up and awaited by closing its runner, which drains its hooks.
func TestCloseDirect(t *testing.T) {
	t.Parallel()
	rec := melleatest.NewRecorder(t)
	var told atomic.Int64
	async := hookpoint.Component.Async(func(context.Context, hookpoint.ComponentOutcome) { told.Add(1) })
	on := mellea.On(melleatest.NewBackend(melleatest.Reply{Block: true}), mellea.WithHooks(rec, async))
	if _, err := mellea.StartInstruct(t.Context(), on, "Say."); err != nil {
		t.Fatal(err)
	}
	if err := on.Close(); err != nil {
		t.Fatal(err)
	}
	if got := endings(rec, "component"); len(got) != 1 || got[0] != "abandoned" {
		t.Errorf("component ended %v, want abandoned", got)
	}
	if got := told.Load(); got != 1 {
		t.Errorf("the background hook was told %d times, want once", got)
	}
	if _, err := mellea.Chat(t.Context(), on, "Say."); !errors.Is(err, mellea.ErrClosed) {
		t.Errorf("error %v, want mellea.ErrClosed", err)
	}
}

// A session that did not start drains its hooks although the context of its start has ended.
func TestFailedStartDrainsItsHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := false
		async := hookpoint.SessionStart.Async(func(context.Context, hookpoint.SessionStartOutcome) {
			time.Sleep(time.Second)
			told = true
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cause := errors.New("no setting")
		_, err := mellea.Start(ctx, melleatest.NewBackend().WithInfo(backend.Info{}, cause), mellea.WithHooks(async))
		if !errors.Is(err, cause) || !told {
			t.Errorf("error %v, background hook told: %v; want the cause, and true", err, told)
		}
	})
}

// A hook at the end of a session may object, and the session is closed all the same: its operation ends, its background
// work is drained, and further calls are refused.
func TestNobodyVetoesTheClose(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	s, err := mellea.Start(t.Context(), melleatest.NewBackend(melleatest.Say("x")), mellea.WithHooks(
		hookpoint.Session.Review(func(_ context.Context, _ hookpoint.SessionOpen, end hookpoint.SessionEnd) (hookpoint.SessionEnd, error) {
			return end, errors.New("stay")
		}),
		hookpoint.Session.Async(func(context.Context, hookpoint.SessionOutcome) { told.Add(1) }),
		melleatest.NewRecorder(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close does not report the objection")
	}
	if got := told.Load(); got != 1 {
		t.Errorf("the background hook was told %d times by the end of Close, want once", got)
	}
	if _, err := s.Chat(t.Context(), "Say."); !errors.Is(err, mellea.ErrClosed) {
		t.Errorf("a call after the close: %v, want mellea.ErrClosed", err)
	}
}
