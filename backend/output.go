package backend

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/tool"
)

// Output is a running generation. A goroutine it owns appends what arrives; any number of readers follow, each at its
// own pace, and a late one sees the reply from the start. Nothing blocks the producer, so a slow or absent reader
// changes no measured time and leaks nothing.
//
// Contexts given to its methods bound the waiting. The generation itself lives by the context it was started with and
// by [Output.Cancel]. All methods are safe for concurrent use.
type Output struct {
	lifecycle Lifecycle
	origin    context.Context // that of the generation
	cancel    context.CancelCauseFunc
	done      chan struct{}

	// writer and gen belong to the producer until done closes; gen is copied into reply then.
	writer Writer
	gen    Generation

	mu sync.Mutex
	// text and reasoning grow by appending only, so the strings cut from them stay valid.
	text, reasoning strings.Builder
	chunks          []chunkRef
	deltas          []ToolDelta
	tools           []toolCall
	servedDeltas    []ServerToolDelta
	served          []servedTool
	hidden          bool // chunks are held back until Finish has returned
	holding         bool
	attached        int // readers and waiters
	wake            []chan struct{}
	finished        bool
	reply           Reply
	err             error
}

// toolCall is a tool call as it grows.
type toolCall struct {
	id, name  string
	arguments []byte
}

// chunkRef is a Chunk whose text is a range of a builder, or whose delta is an index into Output.deltas or
// Output.servedDeltas.
type chunkRef struct {
	kind       ChunkKind
	start, end int
	at         time.Time
}

// Start runs produce in a goroutine that the returned Output owns and waits for. The Generation gives what is known
// beforehand; produce adds the rest through the Writer. The error that produce returns ends the output; when ctx is
// done or the output was cancelled, its cause takes the place of that error. A panic of produce becomes an *[Error].
func Start(ctx context.Context, req Request, g Generation, produce func(context.Context, *Writer) error) *Output {
	o := &Output{lifecycle: req.lifecycle, origin: ctx, done: make(chan struct{}), gen: g, hidden: req.hold, holding: req.hold}
	o.writer.o = o
	if o.gen.Started.IsZero() {
		o.gen.Started = time.Now()
	}
	if s, ok := req.lifecycle.(Streamer); ok && g.Streaming {
		s.Streams()
	}
	ctx, o.cancel = context.WithCancelCause(ctx)
	go o.run(ctx, produce)
	return o
}

func (o *Output) run(ctx context.Context, produce func(context.Context, *Writer) error) {
	var err error
	returned := false
	defer func() {
		if !returned { // produce exited the goroutine
			err = o.exited()
		}
		o.finish(ctx, err)
	}()
	err = o.produce(ctx, produce)
	returned = true
}

// finish ends the output. What must happen is deferred, so that it does when a hook exits the goroutine.
func (o *Output) finish(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		err = Ended(ctx, o.gen.Provider, "generate")
	}
	if o.gen.Ended.IsZero() {
		o.gen.Ended = time.Now()
	}
	arrived := Reply{Message: o.message(), Generation: o.gen}
	if o.lifecycle == nil {
		o.settle(arrived, arrived, err)
		return
	}
	reply, returned := Reply{Message: content.Assistant(""), Generation: o.gen}, false
	defer func() {
		if p := recover(); p != nil {
			err = o.panicked(p)
		} else if !returned {
			err = o.exited()
		}
		o.settle(arrived, reply, err)
	}()
	reply, err = o.lifecycle.Finish(arrived, err)
	returned = true
}

// settle makes reply and err final and wakes who waits for them.
func (o *Output) settle(arrived, reply Reply, err error) {
	o.mu.Lock()
	if o.hidden && !reply.Message.Equal(arrived.Message) {
		o.replace(reply.Message)
	}
	o.hidden = false
	o.reply, o.err, o.finished = reply, err, true
	o.wakeReaders()
	close(o.done)
	o.mu.Unlock()
	o.cancel(nil)
}

func (o *Output) produce(ctx context.Context, produce func(context.Context, *Writer) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = o.panicked(p)
		}
	}()
	return produce(ctx, &o.writer)
}

// PanicError is a panic of a backend, caught so that it ends one generation and not the program. Its text does not
// hold the value, which may quote anything.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic with a %T", e.Value) }

// Unwrap returns the value when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// panicked runs in the deferred function that recovered p.
func (o *Output) panicked(p any) error {
	return &Error{Provider: o.gen.Provider, Op: "generate", Code: CodePanic, Err: &PanicError{Value: p, Stack: debug.Stack()}}
}

// exited is the error of a producer whose goroutine was exited by [runtime.Goexit], as a failing test does.
func (o *Output) exited() error {
	return &Error{Provider: o.gen.Provider, Op: "generate", Code: CodePanic, Remedy: "the goroutine that made the reply was exited"}
}

func (o *Output) message() content.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reasoning.Len() == 0 && len(o.tools) == 0 && len(o.served) == 0 {
		return content.Assistant(o.text.String())
	}
	parts := make([]content.Part, 0, 2+len(o.tools)+2*len(o.served))
	if o.reasoning.Len() > 0 {
		parts = append(parts, content.Reasoning{Text: o.reasoning.String()})
	}
	for _, s := range o.served { // the text was written after them, at least where it ends
		parts = s.appendParts(parts)
	}
	if o.text.Len() > 0 {
		parts = append(parts, content.Text(o.text.String()))
	}
	for _, c := range o.tools {
		parts = append(parts, content.ToolCall{ID: c.id, Name: c.name, Arguments: string(c.arguments)})
	}
	return content.NewMessage(content.RoleAssistant, parts...)
}

// replace makes the reviewed message the only thing readers get. It runs under mu, before any reader saw a chunk.
func (o *Output) replace(m content.Message) {
	at := o.gen.Ended
	o.text.Reset()
	o.reasoning.Reset()
	o.chunks, o.deltas, o.tools, o.servedDeltas, o.served = nil, nil, nil, nil, nil
	if r := m.Reasoning(); r != "" {
		o.reasoning.WriteString(r)
		o.chunks = append(o.chunks, chunkRef{kind: ChunkReasoning, end: len(r), at: at})
	}
	for _, d := range servedBy(m) {
		o.chunks = append(o.chunks, chunkRef{kind: ChunkServerTool, start: len(o.servedDeltas), at: at})
		o.servedDeltas = append(o.servedDeltas, d)
	}
	if t := m.Text(); t != "" {
		o.text.WriteString(t)
		o.chunks = append(o.chunks, chunkRef{kind: ChunkText, end: len(t), at: at})
	}
	for c := range m.ToolCalls() {
		i := len(o.deltas)
		o.chunks = append(o.chunks, chunkRef{kind: ChunkToolCall, start: i, at: at})
		o.deltas = append(o.deltas, ToolDelta{Index: i, ID: c.ID, Name: c.Name, Arguments: c.Arguments})
	}
}

// wakeReaders runs under mu.
func (o *Output) wakeReaders() {
	for _, w := range o.wake {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// Done closes when the generation is over: the reply is complete or failed, reviews have run and every hook bracket
// has closed.
func (o *Output) Done() <-chan struct{} { return o.done }

// Of reports whether o is the generation that [Start] began for r, whose lifecycle takes part in it.
func (o *Output) Of(r Request) bool { return o.lifecycle == r.lifecycle }

// Held reports whether readers get the reply only when it is complete, because a hook reviews it first. Of a reply that
// broke off they get nothing then.
func (o *Output) Held() bool { return o.holding }

// Cancel gives the generation up. Readers get what had arrived and an error that errors.Is finds context.Canceled and
// cause in; with [ErrAbandoned] as cause it is that. It does nothing once the reply is complete.
func (o *Output) Cancel(cause error) {
	if cause == ErrAbandoned {
		o.cancel(cause)
		return
	}
	o.cancel(&CancelledError{Cause: cause})
}

// Wait blocks until the generation is over and returns its error, or ctx's when that ends first.
func (o *Output) Wait(ctx context.Context) error {
	_, err := o.Reply(ctx)
	return err
}

// Reply waits as [Output.Wait] does and returns what the generation gave. After an error it holds what had arrived.
func (o *Output) Reply(ctx context.Context) (Reply, error) {
	select {
	case <-o.done:
		return o.reply, o.err
	default:
	}
	o.mu.Lock()
	o.attached++
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.attached--
		o.mu.Unlock()
	}()
	select {
	case <-o.done:
		return o.reply, o.err
	case <-ctx.Done():
		return Reply{}, context.Cause(ctx)
	}
}

// Text waits as [Output.Wait] does and returns the reply's text. After an error it is the text that had arrived.
func (o *Output) Text(ctx context.Context) (string, error) {
	r, err := o.Reply(ctx)
	return r.Message.Text(), err
}

// ToolCalls iterates over the calls that the reply asks for, each with the context of the generation as its Origin. It
// yields nothing before [Output.Done] closes.
func (o *Output) ToolCalls() iter.Seq[tool.Call] {
	return func(yield func(tool.Call) bool) {
		select {
		case <-o.done:
		default:
			return
		}
		for c := range o.reply.Message.ToolCalls() {
			if !yield(tool.Call{ToolCall: c, Origin: o.origin}) {
				return
			}
		}
	}
}

// Chunks iterates over the reply from its start, each piece as it arrives, and yields the error that ended it last. A
// context that ends stops the iteration with its error and leaves the generation running. Leaving the loop early
// cancels the generation unless somebody else reads or waits.
func (o *Output) Chunks(ctx context.Context) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		seen := 0
		o.follow(ctx, func(c Chunk, err error) bool {
			if c.Kind == ChunkOther {
				return true
			}
			c.Index = seen
			seen++
			return yield(c, err)
		})
	}
}

// follow yields every chunk, those without content too.
func (o *Output) follow(ctx context.Context, yield func(Chunk, error) bool) {
	wake := make(chan struct{}, 1)
	o.attach(wake)
	left := true
	defer func() { o.detach(wake, left) }()
	for i := 0; ; i++ {
		c, more, err := o.next(ctx, i, wake)
		if !more {
			left = false
			if err != nil {
				yield(Chunk{}, err)
			}
			return
		}
		if !yield(c, nil) {
			return
		}
	}
}

// next returns chunk i, waiting for it; more is false at the end.
func (o *Output) next(ctx context.Context, i int, wake chan struct{}) (c Chunk, more bool, err error) {
	for {
		o.mu.Lock()
		switch {
		case !o.hidden && i < len(o.chunks):
			c = o.chunk(i)
			o.mu.Unlock()
			return c, true, nil
		case o.finished:
			o.mu.Unlock()
			return Chunk{}, false, o.err
		}
		o.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return Chunk{}, false, context.Cause(ctx)
		}
	}
}

// chunk runs under mu.
func (o *Output) chunk(i int) Chunk {
	ref := o.chunks[i]
	c := Chunk{Kind: ref.kind, Index: i, At: ref.at}
	switch ref.kind {
	case ChunkText:
		c.Text = o.text.String()[ref.start:ref.end]
	case ChunkReasoning:
		c.Text = o.reasoning.String()[ref.start:ref.end]
	case ChunkToolCall:
		c.Tool = o.deltas[ref.start]
	case ChunkServerTool:
		c.ServerTool = o.servedDeltas[ref.start]
	}
	return c
}

func (o *Output) attach(wake chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attached++
	o.wake = append(o.wake, wake)
}

func (o *Output) detach(wake chan struct{}, left bool) {
	o.mu.Lock()
	o.attached--
	o.wake = slices.DeleteFunc(o.wake, func(w chan struct{}) bool { return w == wake })
	alone := o.attached == 0 && !o.finished
	o.mu.Unlock()
	if left && alone {
		o.Cancel(errReaderLeft)
	}
}

var errReaderLeft = fmt.Errorf("the last reader left: %w", context.Canceled)
