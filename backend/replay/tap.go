package replay

import (
	"context"
	"sync"

	"github.com/mellea-go/mellea/backend"
)

// tap follows a generation as its lifecycle, which sees more than readers do: signs of life without content too. The
// producer of that generation appends and never waits; forward takes.
type tap struct {
	wake chan struct{} // holds a token when there may be something to take

	mu      sync.Mutex
	waiting []backend.Chunk
}

// Chunk implements [backend.Lifecycle].
func (t *tap) Chunk(c backend.Chunk) {
	t.mu.Lock()
	t.waiting = append(t.waiting, c)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Finish implements [backend.Lifecycle].
func (t *tap) Finish(r backend.Reply, err error) (backend.Reply, error) { return r, err }

func (t *tap) take() []backend.Chunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.waiting
	t.waiting = nil
	return list
}

// forward makes w follow src and returns what came, and src's error. When ctx ends, src is cancelled with its cause.
func (t *tap) forward(ctx context.Context, src *backend.Output, w *backend.Writer) (all []backend.Chunk, err error) {
	stop := context.AfterFunc(ctx, func() { src.Cancel(context.Cause(ctx)) })
	defer stop()
	for over := false; !over; {
		select {
		case <-t.wake:
		case <-src.Done():
			over = true
		}
		for _, c := range t.take() {
			all = append(all, c)
			if err := write(w, c); err != nil {
				src.Cancel(err)
				<-src.Done()
				return all, err
			}
		}
	}
	reply, err := src.Reply(context.WithoutCancel(ctx)) // it is over: nothing waits
	*w.Generation() = reply.Generation
	return all, err
}

// write gives c to w as it arrived.
func write(w *backend.Writer, c backend.Chunk) error {
	switch c.Kind {
	case backend.ChunkText:
		w.Text(c.At, []byte(c.Text))
	case backend.ChunkReasoning:
		w.Reasoning(c.At, []byte(c.Text))
	case backend.ChunkToolCall:
		return w.ToolCall(c.At, c.Tool)
	case backend.ChunkServerTool:
		return w.ServerTool(c.At, c.ServerTool)
	default:
		w.Other(c.At)
	}
	return nil
}
