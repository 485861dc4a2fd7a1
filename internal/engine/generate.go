package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/schema"
)

// ask describes one generation to make.
type ask struct {
	backend   backend.Backend
	info      backend.Info // the backend's
	kind      string
	prompt    hookpoint.Prompt
	variables func() content.List[hookpoint.Variable]
	messages  content.Messages
	options   backend.Options
	format    schema.Schema
	tools     content.List[content.ToolSpec]
	context   int // messages that came from the history
	iteration int
	hold      bool // readers see nothing before after has run
	// after runs in the goroutine that produced the reply, when the Generation operation has ended and before readers
	// learn that the output is done. It is for calls that do not wait.
	after func(backend.Reply, error) (backend.Reply, error)
}

// generation is one open Generation operation. It takes part in the output as its Lifecycle.
type generation struct {
	ctx   context.Context
	scope Scope
	op    hook.Op[hookpoint.GenerationStart, hookpoint.GenerationEnd]
	after func(backend.Reply, error) (backend.Reply, error)
	// reviewed says that a review must see the reply before anybody else.
	reviewed bool
	finished atomic.Bool

	// The rest belongs to the producer.
	events   bool // the reply is streamed, and somebody wants to know of its chunks
	chunks   int
	previous time.Time
}

var (
	_ backend.Lifecycle = (*generation)(nil)
	_ backend.Streamer  = (*generation)(nil)
)

// generate opens a Generation operation and starts the backend. With an error nothing runs and the operation has
// ended; without, the operation ends in the output's producer.
func (s Scope) generate(ctx context.Context, a ask) (*backend.Output, error) {
	_, out, err := s.open(ctx, a)
	return out, err
}

// open is generate for who wants to know what became of the request.
func (s Scope) open(ctx context.Context, a ask) (*generation, *backend.Output, error) {
	info := a.info
	start := hookpoint.GenerationStart{
		Session: s.Session, Info: info, Kind: a.kind, Conversation: s.Conversation, Prompt: a.prompt,
		Messages: a.messages, Options: a.options, Format: a.format, Tools: a.tools,
		ContextSize: a.context, Iteration: a.iteration,
	}
	if a.variables != nil && hookpoint.Generation.Active(s.Set) {
		start.Variables = a.variables()
	}
	ctx, op, err := hookpoint.Generation.Begin(ctx, s.Set, start)
	if err != nil {
		return nil, nil, err
	}
	g := &generation{ctx: ctx, scope: s, op: op, after: a.after, events: op.Pre.Options.Stream() && hookpoint.GenerationEvent.Active(s.Set),
		reviewed: hookpoint.Generation.Reviewed(s.Set)}
	req := backend.Request{Messages: op.Pre.Messages, Options: op.Pre.Options, Format: op.Pre.Format, Tools: op.Pre.Tools}
	req = req.WithLifecycle(g, g.reviewed || a.hold)
	out, err := g.start(a.backend, req)
	if err != nil {
		g.finished.Store(true) // nothing is to follow, whatever the backend left running
		_, ended := g.end(backend.Reply{Generation: backend.Generation{Provider: info.Provider, Model: op.Pre.Model(),
			ServerAddress: info.ServerAddress, ServerPort: info.ServerPort, InProcess: info.InProcess}}, err)
		if ended != nil { // nil when what the backend left running was faster
			err = ended
		}
		return nil, nil, err
	}
	return g, out, nil
}

// start calls the backend. The operation has to end whatever that does: a panic is an error, and so is an output that
// would never end it.
func (g *generation) start(b backend.Backend, req backend.Request) (out *backend.Output, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		if p == nil { // the backend exited the goroutine, which goes on unwinding
			g.finished.Store(true)
			_, _ = g.end(backend.Reply{}, hook.ErrPanicked)
			return
		}
		out, err = nil, g.fault(backend.CodePanic, "", panicked(p))
	}()
	out, err = b.Generate(g.ctx, req)
	returned = true
	switch {
	case err != nil:
		return nil, err
	case out == nil:
		return nil, g.fault(backend.CodeInvalidResponse, "the backend returned neither an output nor an error: mend its Generate", nil)
	case !out.Of(req):
		out.Cancel(backend.ErrAbandoned)
		return nil, g.fault(backend.CodeInvalidResponse,
			"the backend returned the output of another request: start its own and let it follow with Writer.Forward", nil)
	}
	return out, nil
}

func (g *generation) fault(code, remedy string, cause error) error {
	return &backend.Error{Provider: g.op.Pre.Info.Provider, Op: "generate", Code: code, Remedy: remedy, Err: cause}
}

// Streams implements [backend.Streamer].
func (g *generation) Streams() { g.events = hookpoint.GenerationEvent.Active(g.scope.Set) }

// Chunk implements [backend.Lifecycle].
func (g *generation) Chunk(c backend.Chunk) {
	if !g.events {
		return
	}
	e := hookpoint.ChunkArrived{Session: g.scope.Session, Kind: c.Kind, Index: g.chunks,
		Length: len(c.Text) + len(c.Tool.Arguments), At: c.At}
	if g.chunks > 0 {
		e.SincePrevious = c.At.Sub(g.previous)
	}
	g.chunks++
	g.previous = c.At
	hookpoint.GenerationEvent.Emit(g.ctx, g.scope.Set, e)
}

// Finish implements [backend.Lifecycle].
func (g *generation) Finish(r backend.Reply, err error) (backend.Reply, error) {
	if g.after == nil || !g.finished.CompareAndSwap(false, true) {
		return g.end(r, err)
	}
	returned := false
	defer func() {
		if !returned { // a review exited the goroutine
			_, _ = g.after(backend.Reply{Message: silent, Generation: r.Generation}, hook.ErrPanicked)
		}
	}()
	r, err = g.end(r, err)
	returned = true
	return g.after(r, err)
}

// end ends the operation. A reply that was to be reviewed and was not, because the generation failed, is seen by nobody,
// and so is one that a review rejected.
func (g *generation) end(r backend.Reply, err error) (backend.Reply, error) {
	if err != nil && g.reviewed {
		r.Message = silent
	}
	r.Message = identified(r.Message, g.op.Pre.Messages)
	end, err := g.op.EndAt(r.Generation.Ended, hookpoint.GenerationEnd{Reply: r.Message, Generation: r.Generation}, ending(g.ctx, err))
	switch {
	case err == nil:
		r.Message = end.Reply
		if g.reviewed {
			r.Message = identified(r.Message, g.op.Pre.Messages)
		}
	case g.reviewed:
		r.Message = silent
	}
	return r, err
}

// silent is the message of a reply that nobody may see.
var silent = content.Assistant("")

// collect waits for out, handing its chunks to sink as they arrive. A panic of sink goes on when the output has ended.
func collect(ctx context.Context, out *backend.Output, iteration int, sink func(int, backend.Chunk)) (backend.Reply, error) {
	if sink == nil {
		return wait(ctx, out)
	}
	defer func() {
		out.Cancel(nil) // does nothing to one that has ended
		<-out.Done()
	}()
	for c, err := range out.Chunks(ctx) {
		if err != nil {
			break
		}
		sink(iteration, c)
	}
	return wait(ctx, out)
}

// wait returns when the output is done, which follows soon on the end of ctx: the output lives by a context derived
// from it.
func wait(ctx context.Context, out *backend.Output) (backend.Reply, error) {
	<-out.Done()
	return out.Reply(ctx)
}
