package backend

import (
	"context"
	"time"

	"github.com/mellea-go/mellea/content"
)

// Writer is the producer's side of an [Output]. It belongs to the goroutine that runs the produce function of
// [Start], and must not be used after that returns. The times given are those at which bytes arrived.
type Writer struct{ o *Output }

// Generation returns the metadata to fill in. It stays the producer's until produce returns.
func (w *Writer) Generation() *Generation { return &w.o.gen }

// Text appends a piece of the reply's text. An empty piece is ignored. The bytes are copied.
func (w *Writer) Text(at time.Time, piece []byte) {
	if len(piece) == 0 {
		return
	}
	o := w.o
	o.mu.Lock()
	start := o.text.Len()
	o.text.Write(piece)
	w.add(chunkRef{kind: ChunkText, start: start, end: o.text.Len(), at: at})
}

// Reasoning appends a piece of the model's reasoning. An empty piece is ignored. The bytes are copied.
func (w *Writer) Reasoning(at time.Time, piece []byte) {
	if len(piece) == 0 {
		return
	}
	o := w.o
	o.mu.Lock()
	start := o.reasoning.Len()
	o.reasoning.Write(piece)
	w.add(chunkRef{kind: ChunkReasoning, start: start, end: o.reasoning.Len(), at: at})
}

// MaxToolCalls bounds the tool calls of one reply.
const MaxToolCalls = 256

// ToolCall adds to a tool call. The error says that the index is negative or not below [MaxToolCalls], which no honest
// model asks for.
func (w *Writer) ToolCall(at time.Time, d ToolDelta) error {
	o := w.o
	if d.Index < 0 || d.Index >= MaxToolCalls {
		return &Error{Provider: o.gen.Provider, Op: "generate", Code: CodeInvalidResponse,
			Remedy: "the reply numbers a tool call out of range"}
	}
	o.mu.Lock()
	for len(o.tools) <= d.Index {
		o.tools = append(o.tools, toolCall{})
	}
	c := &o.tools[d.Index]
	if d.ID != "" {
		c.id = d.ID
	}
	if d.Name != "" {
		c.name = d.Name
	}
	c.arguments = append(c.arguments, d.Arguments...)
	o.deltas = append(o.deltas, d)
	w.add(chunkRef{kind: ChunkToolCall, start: len(o.deltas) - 1, at: at})
	return nil
}

// ServerTool adds to a tool that the provider ran itself. A result of more than [content.MaxServerToolResult] bytes is left
// out. The error says that the index is negative or not below [MaxToolCalls].
func (w *Writer) ServerTool(at time.Time, d ServerToolDelta) error {
	o := w.o
	if d.Index < 0 || d.Index >= MaxToolCalls {
		return &Error{Provider: o.gen.Provider, Op: "generate", Code: CodeInvalidResponse,
			Remedy: "the reply numbers a tool that the provider ran out of range"}
	}
	if len(d.Result) > content.MaxServerToolResult {
		d.Result = ""
	}
	o.mu.Lock()
	for len(o.served) <= d.Index {
		o.served = append(o.served, servedTool{})
	}
	o.served[d.Index].add(d)
	o.servedDeltas = append(o.servedDeltas, d)
	w.add(chunkRef{kind: ChunkServerTool, start: len(o.servedDeltas) - 1, at: at})
	return nil
}

// Other records a sign of life that brings no content, such as a chunk with a role or with usage only. It counts as a
// chunk and readers do not see it.
func (w *Writer) Other(at time.Time) {
	w.o.mu.Lock()
	w.add(chunkRef{kind: ChunkOther, at: at})
}

// End says when the last byte arrived. Without it the end is when produce returns.
func (w *Writer) End(at time.Time) { w.o.gen.Ended = at }

// Len returns how many bytes of text and reasoning have arrived.
func (w *Writer) Len() int {
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	return w.o.text.Len() + w.o.reasoning.Len()
}

// add publishes a chunk. It is entered with mu held and releases it.
func (w *Writer) add(ref chunkRef) {
	o := w.o
	o.chunks = append(o.chunks, ref)
	var c Chunk
	if o.lifecycle != nil {
		c = o.chunk(len(o.chunks) - 1)
	}
	if !o.hidden {
		o.wakeReaders()
	}
	o.mu.Unlock()
	w.stamp(ref.kind, ref.at)
	if o.lifecycle != nil {
		c.Index = o.gen.Chunks - 1
		o.lifecycle.Chunk(c)
	}
}

func (w *Writer) stamp(kind ChunkKind, at time.Time) {
	g := &w.o.gen
	g.Chunks++
	if g.FirstChunk.IsZero() {
		g.FirstChunk = at
	}
	if g.FirstToken.IsZero() && kind != ChunkOther {
		g.FirstToken = at
	}
}

// Forward makes the writer's output follow src: every chunk as it arrives, then src's metadata and error. It is what a
// decorator does with the generation it started itself. Leaving because ctx ended cancels src.
func (w *Writer) Forward(ctx context.Context, src *Output) error {
	stop := context.AfterFunc(ctx, func() { src.Cancel(context.Cause(ctx)) })
	defer stop()
	var refused error
	src.follow(context.WithoutCancel(ctx), func(c Chunk, err error) bool {
		switch c.Kind {
		case ChunkText:
			w.Text(c.At, []byte(c.Text))
		case ChunkReasoning:
			w.Reasoning(c.At, []byte(c.Text))
		case ChunkToolCall:
			refused = w.ToolCall(c.At, c.Tool)
		case ChunkServerTool:
			refused = w.ServerTool(c.At, c.ServerTool)
		case ChunkOther:
			w.Other(c.At)
		}
		return refused == nil
	})
	if refused != nil {
		return refused
	}
	r, err := src.Reply(context.WithoutCancel(ctx))
	w.o.gen = r.Generation
	return err
}
