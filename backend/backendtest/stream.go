package backendtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

// silence is how long a server of these tests may be silent: long enough that a busy machine is not taken for one.
const silence = 500 * time.Millisecond

func runStream(t *testing.T, s Suite) {
	t.Run("the pieces are the server's", func(t *testing.T) {
		t.Parallel()
		_, b := s.serve(t, always(script{reply: s.reply()}))
		ctx := patient(t)
		var got []string
		for c, err := range start(t, ctx, b, ask(true)).Chunks(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind == backend.ChunkText {
				got = append(got, c.Text)
			}
		}
		if diff := cmp.Diff(got, s.reply().Text); diff != "" {
			t.Errorf("pieces of text (-got +want):\n%s", diff)
		}
	})
	t.Run("no piece waits for the next", func(t *testing.T) {
		t.Parallel()
		// The server falls silent after its first frames; what it had sent must come through.
		for frames := range 4 {
			t.Run(fmt.Sprint(frames+1), func(t *testing.T) {
				t.Parallel()
				reply := s.reply()
				_, b := s.serve(t, always(script{reply: reply, stallAfter: s.framesBefore(reply) + frames + 1}))
				ctx := patient(t)
				out := start(t, ctx, b, ask(true))
				var got strings.Builder
				for c, err := range out.Chunks(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					got.WriteString(c.Text)
					if got.String() == strings.Join(reply.Text[:frames+1], "") {
						return // leaving cancels, as nobody else reads
					}
				}
				t.Errorf("got %q, want the first %d pieces", got.String(), frames+1)
			})
		}
	})
	t.Run("deltas add up for every reader, the late one too", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			_, b := s.serve(t, always(script{reply: s.reply()}))
			ctx := patient(t)
			out := start(t, ctx, b, ask(stream))
			if err := out.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			text, _ := out.Text(ctx)
			for range 2 {
				var got strings.Builder
				var last time.Time
				n := 0
				for c, err := range out.Chunks(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					if c.Index != n {
						t.Errorf("got chunk %d, want %d", c.Index, n)
					}
					n++
					if c.At.Before(last) {
						t.Error("got a chunk older than the one before, want them in order")
					}
					last = c.At
					got.WriteString(c.Text)
				}
				if got.String() != text || text != s.reply().FullText() {
					t.Errorf("got chunks %q and text %q, want both %q", got.String(), text, s.reply().FullText())
				}
				if stream && n < len(s.reply().Text) {
					t.Errorf("got %d chunks, want at least %d", n, len(s.reply().Text))
				}
			}
		})
	})
	t.Run("a server that falls silent is given up", func(t *testing.T) {
		t.Parallel()
		reply := s.reply()
		_, b := s.serve(t, always(script{reply: reply, stallAfter: s.framesBefore(reply) + 1}))
		req := ask(true)
		req.Options = req.Options.WithStreamTimeout(silence)
		r, err := generate(t, b, req)
		if got := wantError(t, s, err).Code; got != "timeout" {
			t.Errorf("got code %q, want timeout", got)
		}
		if got, want := r.Message.Text(), reply.Text[0]; got != want {
			t.Errorf("got text %q, want what had arrived: %q", got, want)
		}
	})
	t.Run("a stream timeout of zero is a bound", func(t *testing.T) {
		t.Parallel()
		_, b := s.serve(t, always(script{hold: make(chan struct{})}))
		req := ask(true)
		req.Options = req.Options.WithStreamTimeout(0)
		_, err := generate(t, b, req)
		if got := wantError(t, s, err).Code; got != backend.CodeTimeout {
			t.Errorf("got code %q, want %q", got, backend.CodeTimeout)
		}
	})
	t.Run("a stream timeout is not for a whole reply", func(t *testing.T) {
		t.Parallel()
		_, b := s.serve(t, always(script{reply: s.reply()}))
		req := ask(false)
		req.Options = req.Options.WithStreamTimeout(0)
		if _, err := generate(t, b, req); err != nil {
			t.Errorf("got %v, want the reply", err)
		}
	})
	t.Run("a server that does not begin is given up", func(t *testing.T) {
		t.Parallel()
		_, b := s.serve(t, always(script{hold: make(chan struct{})}))
		req := ask(true)
		req.Options = req.Options.WithStreamTimeout(silence)
		_, err := generate(t, b, req)
		if got := wantError(t, s, err).Code; got != "timeout" {
			t.Errorf("got code %q, want timeout", got)
		}
	})
	t.Run("a reader that stands still holds nothing up", func(t *testing.T) {
		t.Parallel()
		// More than all buffers between the server and the reader can hold, so that one who waits for the reader shows.
		reply := s.reply()
		reply.Text = slices.Repeat([]string{strings.Repeat("x", 64<<10)}, 256)
		_, b := s.serve(t, always(script{reply: reply}), func(c *Config) { c.ReplyLimit = 64 << 20 })
		ctx := patient(t)
		out := start(t, ctx, b, ask(true))
		got := 0
		for c, err := range out.Chunks(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if got == 0 {
				select { // the generation ends, and its times are taken, while the reader has its first piece in hand
				case <-out.Done():
				case <-ctx.Done():
					t.Fatal("the generation waits for its reader")
				}
			}
			got += len(c.Text)
		}
		if want := len(reply.FullText()); got != want {
			t.Errorf("got %d bytes, want %d", got, want)
		}
	})
	t.Run("a generation ends when nobody reads", func(t *testing.T) {
		t.Parallel()
		_, b := s.serve(t, always(script{reply: s.reply()}))
		out := start(t, context.Background(), b, ask(true))
		select {
		case <-out.Done():
		case <-patient(t).Done():
			t.Error("a generation without a reader does not end, want it to")
		}
	})
}

// framesBefore counts the frames before the first piece of text: those that are the same whatever it says.
func (s Suite) framesBefore(r Reply) int {
	one, other := r, r
	one.Text, other.Text = []string{"one"}, []string{"other"}
	a, b := s.Dialect.Frames(one), s.Dialect.Frames(other)
	n := 0
	for n < min(len(a), len(b)) && string(a[n]) == string(b[n]) {
		n++
	}
	return n
}
