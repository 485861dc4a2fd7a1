package backend_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a lifecycle that remembers what it was told.
type recorder struct {
	mu       sync.Mutex
	chunks   []backend.Chunk
	finished int
	reply    backend.Reply
	err      error
	// review, if not nil, is what Finish returns.
	review func(backend.Reply, error) (backend.Reply, error)
}

func (r *recorder) Chunk(c backend.Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks = append(r.chunks, c)
}

func (r *recorder) Finish(reply backend.Reply, err error) (backend.Reply, error) {
	r.mu.Lock()
	r.finished++
	r.reply, r.err = reply, err
	r.mu.Unlock()
	if r.review != nil {
		return r.review(reply, err)
	}
	return reply, err
}

// feed produces one chunk of text for each string it receives, until the channel closes.
func feed(pieces <-chan string) func(context.Context, *backend.Writer) error {
	return func(ctx context.Context, w *backend.Writer) error {
		for {
			select {
			case p, more := <-pieces:
				if !more {
					return nil
				}
				w.Text(time.Now(), []byte(p))
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// pieces produces the pieces at once.
func pieces(texts ...string) func(context.Context, *backend.Writer) error {
	return func(_ context.Context, w *backend.Writer) error {
		for _, p := range texts {
			w.Text(time.Now(), []byte(p))
		}
		return nil
	}
}

// collect reads an output to its end.
func collect(ctx context.Context, out *backend.Output) (texts []string, err error) {
	for c, e := range out.Chunks(ctx) {
		if e != nil {
			return texts, e
		}
		texts = append(texts, c.Text)
	}
	return texts, nil
}
