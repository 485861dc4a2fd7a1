package engine

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/sampling"
)

// Start executes a component without waiting: one generation, nothing validated. The Component operation ends with the
// generation, in its producer, after the reply was parsed; then done is called with the result, and then the output is
// done. An error means that nothing was started, and done is not called.
func (s Scope) Start(ctx context.Context, c Call, done func(Result, error) error) (*backend.Output, error) {
	if err := await(ctx, c.Component); err != nil {
		return nil, err
	}
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return nil, err
	}
	start := s.announce(c, true)
	ctx, op, err := hookpoint.Component.Begin(ctx, s.Set, start)
	if err != nil {
		entry.leave()
		return nil, err
	}
	lazy := &lazyCall{scope: s, ctx: ctx, call: c.edited(op.Pre), op: op, entry: entry, done: done}
	out, err := lazy.start()
	if err != nil {
		_, err = op.End(hookpoint.ComponentEnd{}, ending(ctx, err))
		entry.leave()
		return nil, err
	}
	return out, nil
}

// lazyCall is a call whose operation outlives the function that began it.
type lazyCall struct {
	scope Scope
	ctx   context.Context
	call  Call
	op    hook.Op[hookpoint.ComponentStart, hookpoint.ComponentEnd]
	entry *call
	done  func(Result, error) error
	try   try
}

func (l *lazyCall) start() (*backend.Output, error) {
	a, err := l.scope.prepare(l.ctx, l.call, sampling.Step{Component: l.call.Component, History: l.call.History}, 0, &l.try.input)
	if err != nil {
		return nil, err
	}
	a.after = l.finish
	return l.scope.generate(l.ctx, a)
}

// finish runs in the producer. Its recover keeps a panic of a parser from ending the program: it is the error of the
// call then.
func (l *lazyCall) finish(r backend.Reply, err error) (_ backend.Reply, ended error) {
	defer l.entry.leave()
	l.try.reply = r
	if err == nil {
		err = l.parse()
	}
	res := Result{Value: l.try.value, Reply: r, Turn: turn(l.try.input, r.Message), Selected: -1, Success: err == nil,
		Generations: 1, Usage: r.Generation.Usage}
	end, err := l.op.End(res.end(), ending(l.ctx, err))
	res.Value = end.Value
	if l.done != nil {
		if derr := l.done(res, err); err == nil {
			err = derr
		}
	}
	return r, err
}

func (l *lazyCall) parse() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	l.try.value, err = l.scope.parse(l.ctx, l.call, l.try.reply.Message)
	return err
}
