package hook_test

import (
	"context"
	"testing"

	"github.com/mellea-go/mellea/hook"
)

var chunks = hook.NewSignal[reply]("chunks")

// allocations measures one operation of each kind on s.
func allocations(t *testing.T, s *hook.Set) (beginEnd, do, emit float64) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx, extra := t.Context(), "captured"
	beginEnd = testing.AllocsPerRun(100, func() {
		ctx, op, err := generate.Begin(ctx, s, request{"m", extra})
		r, err := answerQuietly(ctx, op.Pre, err)
		_, _ = op.End(r, err)
	})
	do = testing.AllocsPerRun(100, func() {
		_, _ = generate.Do(ctx, s, request{"m", extra}, func(ctx context.Context, r request) (reply, error) {
			return reply{extra}, nil // a closure over the caller's variables stays on the stack
		})
	})
	emit = testing.AllocsPerRun(100, func() { chunks.Emit(ctx, s, reply{extra}) })
	return beginEnd, do, emit
}

//go:noinline
func answerQuietly(_ context.Context, r request, err error) (reply, error) {
	return reply{r.Prompt}, err
}

// These are not parallel: testing.AllocsPerRun must have the process to itself.

func TestNobodyListeningCostsNoAllocation(t *testing.T) {
	elsewhere := hook.NewPoint[int, int]("elsewhere") // a later id, so that the table has room for the point itself
	for name, s := range map[string]*hook.Set{
		"nil Set":                    nil,
		"Set that listens elsewhere": install(elsewhere.Observe(func(context.Context, int) {})),
	} {
		t.Run(name, func(t *testing.T) {
			beginEnd, do, emit := allocations(t, s)
			if beginEnd != 0 || do != 0 || emit != 0 {
				t.Errorf("got %v allocations for Begin and End, %v for Do, %v for Emit, want 0", beginEnd, do, emit)
			}
		})
	}
}

func TestAnOperationCostsOneAllocation(t *testing.T) {
	finisher := func(outcome) {}
	bracket := generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) { return ctx, finisher })
	guard := generate.Guard(func(_ context.Context, r request) (request, error) { return r, nil })
	check := generate.Check(func(context.Context, request) error { return nil })
	observe := generate.Observe(func(context.Context, request) {})
	review := generate.Review(func(_ context.Context, _ request, r reply) (reply, error) { return r, nil })
	for name, s := range map[string]*hook.Set{
		"one bracket": install(bracket),
		"all inline":  install(bracket, bracket, bracket, bracket, guard, check, observe, review),
	} {
		t.Run(name, func(t *testing.T) {
			beginEnd, do, _ := allocations(t, s)
			if beginEnd != 1 || do != 1 {
				t.Errorf("got %v allocations for Begin and End, %v for Do, want 1", beginEnd, do)
			}
		})
	}
}

func TestEmittingASignalCostsNoAllocation(t *testing.T) {
	_, _, emit := allocations(t, install(chunks.On(func(context.Context, reply) {})))
	if emit != 0 {
		t.Errorf("got %v allocations, want 0", emit)
	}
}
