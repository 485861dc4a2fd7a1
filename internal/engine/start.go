package engine

import (
	"context"

	"github.com/mellea-go/mellea/backend"
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
	try   try
}

func (l *lazyCall) start() (*backend.Output, error) {
	a, err := l.scope.prepare(l.ctx, l.call, sampling.Step{Component: l.call.Component, History: l.call.History}, 0, &l.try.input)
	if err != nil {
		return nil, err
	}
	hold := hookpoint.Component.Reviewed(l.scope.Set)
	if l.call.tools.Len() > 0 {
		return l.converse(a, hold), nil
	}
	a.after, a.hold = l.single, hold
	return l.scope.generate(l.ctx, a)
}

// converse returns the output of a call with tools: that of all the generations that it takes, one after the other. Readers
// see the pieces of each as they arrive; the reply is the last one.
func (l *lazyCall) converse(a ask, hold bool) *backend.Output {
	req := backend.Request{}.WithLifecycle(conversation{l}, hold)
	return backend.Start(l.ctx, req, backend.Generation{Provider: a.info.Provider}, func(ctx context.Context, w *backend.Writer) error {
		generation, base, top := 0, 0, 0 // tool calls are numbered through
		served, servedTop := 0, 0        // and so are tools of the provider
		return l.scope.converse(ctx, a, l.call.tools, 0, func(_ int, c backend.Chunk) {
			if generation != l.try.generations {
				generation, base, served = l.try.generations, top, servedTop
			}
			switch c.Kind {
			case backend.ChunkText:
				w.Text(c.At, []byte(c.Text))
			case backend.ChunkReasoning:
				w.Reasoning(c.At, []byte(c.Text))
			case backend.ChunkToolCall:
				c.Tool.Index += base
				top = max(top, c.Tool.Index+1)
				_ = w.ToolCall(c.At, c.Tool) // past the bound readers see no more of them
			case backend.ChunkServerTool:
				c.ServerTool.Index += served
				servedTop = max(servedTop, c.ServerTool.Index+1)
				_ = w.ServerTool(c.At, c.ServerTool)
			}
		}, &l.try)
	})
}

// conversation is the part of a lazy call in the output that it makes of several generations.
type conversation struct{ l *lazyCall }

// Chunk implements [backend.Lifecycle]: the generations have announced their chunks.
func (conversation) Chunk(backend.Chunk) {}

// Finish implements [backend.Lifecycle].
func (c conversation) Finish(all backend.Reply, err error) (backend.Reply, error) {
	if c.l.try.generations == 0 {
		c.l.try.reply = backend.Reply{Message: silent, Generation: all.Generation}
	}
	return c.l.finish(c.l.try.reply, err)
}

// single is finish for a call of one generation.
func (l *lazyCall) single(r backend.Reply, err error) (backend.Reply, error) {
	l.try.reply, l.try.generations, l.try.usage = r, 1, r.Generation.Usage
	return l.finish(r, err)
}

// finish runs in the producer, where a panic would end the program: one of a parser or a history is the error of the
// call. The operation ends even when one of them exits the goroutine.
func (l *lazyCall) finish(r backend.Reply, err error) (backend.Reply, error) {
	defer l.entry.leave()
	defer func() { _, _ = l.op.End(hookpoint.ComponentEnd{}, hook.ErrPanicked) }() // ended by now, but for an exit
	t := &l.try
	res := Result{Reply: r, Turn: turn(t.input, t.steps, r.Message), Selected: -1, Generations: t.generations, Usage: t.usage}
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
