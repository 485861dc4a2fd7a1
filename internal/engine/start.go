package engine

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/sampling"
)

// Start executes a component without waiting: one generation, nothing validated. The Component operation ends with the
// generation, in its producer, after the reply was parsed; then the call's Append is given the turn, and then the output
// is done. An error means that nothing was started.
func (s Scope) Start(ctx context.Context, c Call) (out *backend.Output, err error) {
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return nil, err
	}
	started := false
	defer func() {
		if !started {
			entry.leave()
		}
	}()
	if err := await(ctx, c.Component); err != nil {
		return nil, err
	}
	ctx, op, err := hookpoint.Component.Begin(ctx, s.Set, s.announce(c, true))
	if err != nil {
		return nil, err
	}
	defer func() {
		if started {
			return
		}
		if _, ended := op.End(hookpoint.ComponentEnd{}, ending(ctx, err)); ended != nil { // nil: see [Scope.generate]
			err = ended
		}
	}()
	lazy := &lazyCall{scope: s, ctx: ctx, call: c.edited(op.Pre), op: op, entry: entry}
	err = hook.ErrPanicked // stands when the component panics
	out, err = lazy.start()
	started = err == nil
	return out, err
}

// lazyCall is a call whose operation outlives the function that began it.
type lazyCall struct {
	scope Scope
	ctx   context.Context
	call  Call
	op    hook.Op[hookpoint.ComponentStart, hookpoint.ComponentEnd]
	entry *call
	input content.Messages
}

func (l *lazyCall) start() (*backend.Output, error) {
	a, err := l.scope.prepare(l.ctx, l.call, sampling.Step{Component: l.call.Component, History: l.call.History}, 0, &l.input)
	if err != nil {
		return nil, err
	}
	a.after, a.hold = l.finish, hookpoint.Component.Reviewed(l.scope.Set)
	return l.scope.generate(l.ctx, a)
}

// finish runs in the producer, where a panic would end the program: one of a parser or a history is the error of the
// call. The operation ends even when one of them exits the goroutine.
func (l *lazyCall) finish(r backend.Reply, err error) (backend.Reply, error) {
	defer l.entry.leave()
	defer func() { _, _ = l.op.End(hookpoint.ComponentEnd{}, hook.ErrPanicked) }() // ended by now, but for an exit
	res := Result{Reply: r, Turn: turn(l.input, r.Message), Selected: -1, Generations: 1, Usage: r.Generation.Usage}
	if err == nil {
		err = caught(func() (err error) {
			res.Value, err = l.scope.parse(l.ctx, l.call, r.Message, 0)
			return err
		})
	}
	body := err
	res.Success = body == nil
	end, err := l.op.End(res.end(), ending(l.ctx, body))
	switch {
	case err != nil && body == nil:
		r.Message = silent // a review rejected it
		return r, err
	case err != nil:
		return r, err
	case hookpoint.Component.Reviewed(l.scope.Set):
		res = res.reviewed(end.Value)
	}
	if l.call.Append != nil {
		err = caught(func() error {
			l.call.Append(res.Turn)
			return nil
		})
	}
	return res.Reply, err
}
