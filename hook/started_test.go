package hook_test

import (
	"context"
	"testing"
	"time"

	"github.com/mellea-go/mellea/hook"
)

func TestStartedIsTheOutcomesStart(t *testing.T) {
	t.Parallel()
	inner, outer := hook.NewPoint[int, int]("inner"), hook.NewPoint[int, int]("outer")
	var opened, closed [2]time.Time
	bracket := func(i int, p *hook.Point[int, int]) hook.Binding {
		return p.Bracket(func(ctx context.Context, _ int) (context.Context, func(hook.Outcome[int, int])) {
			at, ok := hook.Started(ctx)
			if !ok {
				t.Errorf("%s: no start", p.Name())
			}
			opened[i] = at
			return ctx, func(o hook.Outcome[int, int]) { closed[i] = o.Start }
		})
	}
	set := (*hook.Set)(nil).With(bracket(0, outer), bracket(1, inner))
	_, _ = outer.Do(t.Context(), set, 0, func(ctx context.Context, _ int) (int, error) {
		return inner.Do(ctx, set, 0, func(context.Context, int) (int, error) { return 0, nil })
	})
	for i := range opened {
		if !opened[i].Equal(closed[i]) || opened[i].IsZero() {
			t.Errorf("operation %d: Started %v, Outcome.Start %v", i, opened[i], closed[i])
		}
	}
	if _, ok := hook.Started(t.Context()); ok {
		t.Error("a start outside any operation")
	}
}
