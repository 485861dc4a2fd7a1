package hook_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mellea-go/mellea/hook"
)

// A deed is what one function does when it is called: a subscriber or the body.
type deed uint8

const (
	succeed deed = iota
	fail         // return an error, which is a rejection for a guard, a check and a review
	reject       // return a rejection made by hook.Reject
	panicking
	exit       // runtime.Goexit
	cancelCall // cancel the call's context, as the caller does
	abandon    // cancel it with hook.ErrAbandoned, as the library does
	dawdle     // outlive a timeout
	deeds
)

// A plan is one operation at random: who is bound, what each does, and how the caller ends it.
type plan struct {
	brackets, closers, guards, checks, observers, reviews, onErrors, asyncs []deed

	body     deed
	stream   bool // Begin and End instead of Do
	enders   int  // calls of End, all at once
	early    bool // End while the body would still be running, as the reader broke off
	failOpen bool
	bounded  bool // guards, checks and reviews have a timeout
}

func draw(r *rand.Rand) plan {
	some := func(most int) []deed {
		list := make([]deed, r.IntN(most+1))
		for i := range list {
			if r.IntN(3) == 0 { // mostly well-behaved, so that the later stages are reached
				list[i] = deed(r.IntN(int(deeds)))
			}
		}
		return list
	}
	p := plan{
		brackets: some(6), guards: some(3), checks: some(3), observers: some(2), reviews: some(3), onErrors: some(2), asyncs: some(3),
		body: deed(r.IntN(int(deeds))), stream: r.IntN(2) == 0, enders: 1 + r.IntN(3), early: r.IntN(4) == 0,
		failOpen: r.IntN(3) == 0, bounded: r.IntN(2) == 0,
	}
	p.closers = make([]deed, len(p.brackets))
	for i := range p.closers {
		if r.IntN(4) == 0 {
			p.closers[i] = deed(r.IntN(int(deeds)))
		}
	}
	return p
}

// A trial is a plan being carried out, and what was seen of it.
type trial struct {
	plan
	t      *testing.T
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	opened   []int // brackets, in order of opening
	closed   []int // brackets, in order of closing
	final    []outcome
	delivery []int // outcomes each Async was handed
	returned []error
}

// do does the deed and returns its error.
func (tr *trial) do(d deed) error {
	switch d {
	case fail:
		return errors.New("broken")
	case reject:
		return hook.Reject("no", "")
	case panicking:
		panic("boom")
	case exit:
		runtime.Goexit()
	case cancelCall:
		tr.cancel(nil)
		return context.Canceled
	case abandon:
		tr.cancel(hook.ErrAbandoned)
		return context.Canceled
	case dawdle:
		time.Sleep(time.Minute)
	}
	return nil
}

func (tr *trial) locked(f func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	f()
}

func (tr *trial) set() *hook.Set {
	var sources []hook.Source
	add := func(b hook.Binding) { sources = append(sources, b) }
	var opts []hook.Option
	if tr.failOpen {
		opts = append(opts, hook.FailOpen())
	}
	if tr.bounded {
		opts = append(opts, hook.Timeout(time.Second))
	}
	for i, d := range tr.brackets {
		add(generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
			_ = tr.do(d)
			tr.locked(func() { tr.opened = append(tr.opened, i) })
			return ctx, func(o outcome) {
				tr.locked(func() {
					tr.closed = append(tr.closed, i)
					tr.final = append(tr.final, o)
				})
				_ = tr.do(tr.closers[i])
			}
		}))
	}
	for _, d := range tr.guards {
		add(asGuard(func(context.Context) error { return tr.do(d) }, opts...))
	}
	for _, d := range tr.checks {
		add(asCheck(func(context.Context) error { return tr.do(d) }, opts...))
	}
	for _, d := range tr.observers {
		add(generate.Observe(func(context.Context, request) { _ = tr.do(d) }))
	}
	for _, d := range tr.reviews {
		add(asReview(func(context.Context) error { return tr.do(d) }, opts...))
	}
	for _, d := range tr.onErrors {
		add(generate.OnError(func(context.Context, outcome) { _ = tr.do(d) }))
	}
	tr.delivery = make([]int, len(tr.asyncs))
	for i, d := range tr.asyncs {
		add(generate.Async(func(_ context.Context, o outcome) {
			tr.locked(func() {
				tr.delivery[i]++
				tr.final = append(tr.final, o)
			})
			_ = tr.do(d)
		}))
	}
	return install(sources...).Report(func(hook.Failure) {})
}

// run is the caller: it never lets an operation go without an end.
func (tr *trial) run(ctx context.Context, s *hook.Set) {
	defer func() { _ = recover() }() // the body's panic comes through
	body := func(context.Context, request) (reply, error) { return reply{"r"}, tr.do(tr.body) }
	note := func(err error) { tr.locked(func() { tr.returned = append(tr.returned, err) }) }
	if !tr.stream {
		_, err := generate.Do(ctx, s, request{}, body)
		note(err)
		return
	}
	ctx, op, err := generate.Begin(ctx, s, request{})
	if err != nil {
		note(err)
	}
	ended := false
	defer func() {
		if !ended {
			_, err := op.End(reply{}, hook.ErrPanicked)
			note(err)
		}
	}()
	if tr.early {
		tr.cancel(nil)
		_, _ = op.End(reply{"part"}, context.Canceled)
	}
	var post reply
	if err == nil {
		post, err = body(ctx, op.Pre)
	}
	ended = true
	var wg sync.WaitGroup
	for range tr.enders {
		copied := op
		wg.Go(func() {
			defer func() { _ = recover() }()
			_, err := copied.End(post, err)
			note(err)
		})
	}
	wg.Wait()
}

// carryOut carries out a plan and waits for everything it started. It must be called in a synctest bubble, where what
// dawdles costs no time and a goroutine that is left fails the test.
func carryOut(t *testing.T, p plan) (*trial, *hook.Set) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	tr := &trial{plan: p, t: t, cancel: cancel}
	s := tr.set()
	done := make(chan struct{})
	go func() { // an exit of the goroutine must not be that of the test
		defer close(done)
		tr.run(ctx, s)
	}()
	<-done
	if err := s.Close(context.WithoutCancel(ctx)); err != nil {
		t.Error(err)
	}
	return tr, s
}

// TestExactlyOneEnd is the property the package is for, over random operations: each bracket that opened closed once, in
// reverse order; each Async was handed one outcome; all saw the same final one; and nothing stays open.
func TestExactlyOneEnd(t *testing.T) {
	t.Parallel()
	endings := map[hook.Ending]int{}
	for seed := range uint64(5000) {
		p := draw(rand.New(rand.NewPCG(seed, 2)))
		synctest.Test(t, func(t *testing.T) {
			tr, s := carryOut(t, p)
			tr.verify(s)
			if len(tr.final) > 0 {
				endings[tr.final[0].Ending]++
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d: %+v", seed, p)
		}
	}
	for e := hook.Completed; e <= hook.Abandoned; e++ { // else the property says less than it seems to
		if endings[e] < 50 {
			t.Errorf("got %d plans that ended as %v, want at least 50: %v", endings[e], e, endings)
		}
	}
}

func (tr *trial) verify(s *hook.Set) {
	t := tr.t
	if got := s.Stats().OpenOperations; got != 0 {
		t.Errorf("got %d open operations, want 0", got)
	}
	if got := s.Stats().AsyncDropped; got != 0 {
		t.Errorf("got %d dropped, want 0", got)
	}
	want := slices.Clone(tr.opened)
	slices.Reverse(want)
	if !slices.Equal(tr.closed, want) {
		t.Errorf("got brackets closed in the order %v, want %v", tr.closed, want)
	}
	for i, n := range tr.delivery {
		if n != 1 {
			t.Errorf("Async %d was handed %d outcomes, want 1", i, n)
		}
	}
	for _, o := range tr.final {
		if first := tr.final[0]; o.Err != first.Err || o.Ending != first.Ending || !o.Start.Equal(first.Start) || !o.End.Equal(first.End) {
			t.Errorf("got outcomes %+v and %+v, want one", first, o)
		}
	}
	if len(tr.final) == 0 {
		return
	}
	final := tr.final[0]
	if (final.Err == nil) != (final.Ending == hook.Completed) || final.End.Before(final.Start) || final.Start.IsZero() {
		t.Errorf("got outcome %+v, want an ending that fits the error, and times", final)
	}
	for _, err := range tr.returned {
		if err != final.Err {
			t.Errorf("the caller was given %v, subscribers %v", err, final.Err)
		}
	}
}
