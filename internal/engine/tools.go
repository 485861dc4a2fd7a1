package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/tool"
)

// ToolRun is one call of a tool and what became of it.
type ToolRun struct {
	// Call is what the model asked for, as it wrote it.
	Call tool.Call
	// Output is what the tool gave. After an error its Text is what the model is told of that.
	Output tool.Output
	// Err says why the tool gave nothing: it does not exist, its arguments do not fit, it failed, or a hook denied the call.
	Err error
}

// Message returns the message that tells the model.
func (r ToolRun) Message() content.Message {
	return content.NewMessage(content.RoleTool, content.ToolResult{CallID: r.Call.ID, Name: r.Call.Name,
		Content: r.Output.Text, IsError: r.Err != nil})
}

// Invoke runs calls of tools for a program that asks for it, outside any reply's loop. See [Scope.RunTools].
func (s Scope) Invoke(ctx context.Context, calls []tool.Call) ([]ToolRun, error) {
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer entry.leave()
	return s.RunTools(ctx, s.Tools, calls, 0, 0)
}

// RunTools runs calls, several at a time, each under a Tool operation. The runs are in the order of the calls, one for each.
// Whatever goes wrong with a call is told to the model. The error is that of a tool which said it is fatal, or the end of
// ctx; calls that were not begun by then, or had not ended, have it too.
func (s Scope) RunTools(ctx context.Context, tools tool.Set, calls []tool.Call, iteration, turn int) ([]ToolRun, error) {
	runs := make([]ToolRun, len(calls))
	start := func(i int) hookpoint.ToolStart {
		return hookpoint.ToolStart{Session: s.Session, Call: calls[i], Tools: tools,
			Conversation: s.Conversation, Iteration: iteration, Turn: turn}
	}
	if len(calls) == 1 {
		var err error
		runs[0], err = s.runTool(ctx, start(0))
		return runs, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		once  sync.Once
		fatal error
	)
	next := make(chan int)
	for range min(s.Loop.parallel(), len(calls)) {
		wg.Go(func() {
			for i := range next {
				runs[i] = ToolRun{Call: calls[i], Err: hook.ErrPanicked} // stands when a hook exits the goroutine
				var err error
				if runs[i], err = s.runTool(ctx, start(i)); err != nil {
					once.Do(func() { fatal = err })
					cancel(err)
				}
			}
		})
	}
	for i := range calls {
		select {
		case next <- i:
		case <-ctx.Done():
			runs[i] = ToolRun{Call: calls[i], Err: ending(ctx, givenUp(ctx))}
		}
	}
	close(next)
	wg.Wait()
	if fatal == nil && ctx.Err() != nil {
		fatal = ending(ctx, givenUp(ctx))
	}
	return runs, fatal
}

// runTool runs one call. The error ends the program's call; what the model can be told is in the run.
func (s Scope) runTool(ctx context.Context, start hookpoint.ToolStart) (ToolRun, error) {
	run := ToolRun{Call: start.Call}
	canonical, unfit := "", error(nil)
	if t, ok := start.Tool(); ok {
		if canonical, unfit = t.Arguments(start.Call.Arguments); unfit == nil {
			start.Call.Arguments = canonical
		}
	}
	name, arguments := start.Call.Name, start.Call.Arguments
	end, err := hookpoint.Tool.Do(ctx, s.Set, start, func(ctx context.Context, p hookpoint.ToolStart) (hookpoint.ToolEnd, error) {
		t, ok := p.Tool()
		if !ok {
			return hookpoint.ToolEnd{}, unknown(p)
		}
		if p.Call.Name != name || p.Call.Arguments != arguments { // a guard edited the call
			canonical, unfit = t.Arguments(p.Call.Arguments)
		}
		if unfit != nil {
			return hookpoint.ToolEnd{}, unfit
		}
		began := time.Now()
		out, err := s.callTool(ctx, t, canonical)
		return hookpoint.ToolEnd{Output: out, Ran: true, Took: time.Since(began)}, ending(ctx, err)
	})
	run.Output, run.Err = end.Output, err
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return run, ending(ctx, givenUp(ctx))
	case errors.As(err, new(*tool.FatalError)):
		return run, err
	default:
		run.Output = tool.Output{Text: told(err)}
	}
	return run, nil
}

func unknown(p hookpoint.ToolStart) error {
	e := &tool.UnknownError{Name: p.Call.Name}
	for t := range p.Tools.All() {
		e.Known = append(e.Known, t.Name())
	}
	return e
}

// told is what the model is told of an error: the reason, where a hook denied the call.
func told(err error) string {
	r, ok := err.(*hook.Rejection) //nolint:errorlint // the rejection of this call, not that of one that the tool made
	switch {
	case !ok:
		return tool.Explain(err)
	case r.Reason == "":
		return "Error: the call was denied."
	}
	return tool.Explain(&tool.Error{Err: errors.New("the call was denied: " + r.Reason)})
}

// toolGrace is how long a tool is waited for when its context has ended.
const toolGrace = time.Second

// callTool runs a tool in a goroutine, so that one which exits it, or does not heed the end of its context, harms nobody.
// One that is given up is awaited when the session is closed.
func (s Scope) callTool(ctx context.Context, t tool.Tool, arguments string) (tool.Output, error) {
	if after := t.Timeout(); after > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, after, &tool.TimeoutError{Tool: t.Name(), After: after})
		defer cancel()
	}
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return tool.Output{}, err
	}
	type result struct {
		out tool.Output
		err error
	}
	results := make(chan result, 1)
	go func() {
		defer entry.leave()
		r := result{err: &tool.PanicError{Tool: t.Name()}} // stands when the tool exits the goroutine
		defer func() { results <- r }()
		r.out, r.err = t.Call(ctx, arguments)
	}()
	select {
	case r := <-results:
		return r.out, r.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(toolGrace)
	defer grace.Stop()
	select {
	case r := <-results:
		return r.out, r.err
	case <-grace.C:
		if late, ok := errors.AsType[*tool.TimeoutError](context.Cause(ctx)); ok {
			return tool.Output{}, late
		}
		return tool.Output{}, &tool.Error{Tool: t.Name(), Err: givenUp(ctx)}
	}
}
