package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// Budget is a plugin that rejects the generations of a session that has spent its tokens, those of judges included.
// Calls outside any session share one budget.
//
// A generation is refused when the session has reached the limit, so the one that crosses it still runs to its end, and
// so do those that run beside it. Its methods are safe for concurrent use, and one Budget may be installed in any number
// of sessions.
type Budget struct {
	limit int

	mu    sync.Mutex
	spent map[string]int // by session id
}

// CodeOverBudget is the code of a Budget's rejections.
const CodeOverBudget = "over_budget"

// NewBudget returns a budget of limit tokens, input and output together, for each session.
func NewBudget(limit int) *Budget { return &Budget{limit: limit, spent: map[string]int{}} }

// Spent returns the tokens that a session has spent so far.
func (b *Budget) Spent(session string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent[session]
}

// Bindings makes a Budget a [hook.Source].
func (b *Budget) Bindings() []hook.Binding {
	return hook.Plugin{Name: "token-budget", Sources: []hook.Source{
		hookpoint.Generation.Guard(b.admit),
		hookpoint.Generation.Bracket(b.count),
		hookpoint.Session.Bracket(b.forget),
	}}.Bindings()
}

// admit denies a generation that can no longer be paid for.
func (b *Budget) admit(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
	if spent := b.Spent(g.Session.ID); spent >= b.limit {
		return g, hook.Reject(CodeOverBudget, fmt.Sprintf("%d tokens are spent, the limit is %d", spent, b.limit))
	}
	return g, nil
}

// count adds what a generation used, failed ones included. It is a bracket and no Async, because the next guard must
// see the sum.
func (b *Budget) count(ctx context.Context, g hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
	return ctx, func(o hookpoint.GenerationOutcome) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.spent[g.Session.ID] += o.Post.Generation.Usage.Total()
	}
}

// forget drops the count of a session that has ended.
func (b *Budget) forget(ctx context.Context, s hookpoint.SessionOpen) (context.Context, func(hookpoint.SessionOutcome)) {
	return ctx, func(hookpoint.SessionOutcome) {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.spent, s.ID)
	}
}
