package backend_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

// kinds notes the chunks that a lifecycle sees.
type kinds struct{ seen []string }

func (k *kinds) Chunk(c backend.Chunk) { k.seen = append(k.seen, c.Kind.String()+":"+c.Text) }

func (k *kinds) Finish(r backend.Reply, err error) (backend.Reply, error) { return r, err }

// A decorator's output has every chunk of the one it follows, those without content too.
func TestForwardPassesSignsOfLife(t *testing.T) {
	t.Parallel()
	var seen kinds
	inner := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, func(_ context.Context, w *backend.Writer) error {
		w.Other(time.Now())
		w.Text(time.Now(), []byte("a"))
		w.Other(time.Now())
		return nil
	})
	outer := backend.Start(t.Context(), backend.Request{}.WithLifecycle(&seen, false), backend.Generation{},
		func(ctx context.Context, w *backend.Writer) error { return w.Forward(ctx, inner) })
	var read []string
	for c, err := range outer.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, c.Text)
	}
	reply, err := outer.Reply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seen.seen, []string{"other:", "text:a", "other:"}); diff != "" {
		t.Errorf("chunks of the lifecycle (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(read, []string{"a"}); diff != "" {
		t.Errorf("chunks of a reader (-got +want):\n%s", diff)
	}
	if got := reply.Generation.Chunks; got != 3 {
		t.Errorf("got %d chunks counted, want 3", got)
	}
}
