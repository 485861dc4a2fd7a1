package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
)

func runCancel(t *testing.T, s Suite) {
	reply := s.reply()
	stalled := func() script { return script{reply: reply, stallAfter: s.framesBefore(reply) + 1} }
	// untilText waits for the first piece of text.
	untilText := func(t *testing.T, out *backend.Output) {
		for c, err := range out.Chunks(patient(t)) {
			if err != nil {
				t.Error(err)
			}
			if c.Kind == backend.ChunkText {
				return
			}
		}
	}
	wantCancelled := func(t *testing.T, srv *server, out *backend.Output, text string) {
		t.Helper()
		r, err := out.Reply(patient(t))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled in it", err)
		}
		if r.Message.Text() != text {
			t.Errorf("got text %q, want what had arrived: %q", r.Message.Text(), text)
		}
		srv.idle() // the server saw the client go
	}
	t.Run("the context, in the middle of a stream", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(stalled()))
		ctx, cancel := context.WithCancel(context.Background())
		out := start(t, ctx, b, ask(true))
		waiting := make(chan struct{}) // a second reader keeps the generation when the first leaves
		go func() { defer close(waiting); _ = out.Wait(patient(t)) }()
		untilText(t, out)
		cancel()
		<-waiting
		wantCancelled(t, srv, out, reply.Text[0])
	})
	t.Run("the output, in the middle of a stream", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(stalled()))
		out := start(t, context.Background(), b, ask(true))
		cause := errors.New("the user pressed stop")
		for c, err := range out.Chunks(patient(t)) {
			if err != nil {
				t.Error(err)
			}
			if c.Kind == backend.ChunkText {
				out.Cancel(cause)
				break
			}
		}
		wantCancelled(t, srv, out, reply.Text[0])
		if err := out.Wait(patient(t)); !errors.Is(err, cause) {
			t.Errorf("got error %v, want the cause in it", err)
		}
	})
	t.Run("leaving the chunks", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(stalled()))
		out := start(t, context.Background(), b, ask(true))
		untilText(t, out)
		wantCancelled(t, srv, out, reply.Text[0])
	})
	t.Run("before the first byte", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			arrived, never := make(chan struct{}, 1), make(chan struct{})
			srv, b := s.serve(t, func(int, Received) script {
				arrived <- struct{}{}
				return script{hold: never}
			})
			ctx, cancel := context.WithCancel(context.Background())
			out := start(t, ctx, b, ask(stream))
			<-arrived
			cancel()
			wantCancelled(t, srv, out, "")
		})
	})
	t.Run("before the start", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(script{reply: reply}))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		out, err := b.Generate(ctx, ask(false))
		if err == nil {
			err = out.Wait(patient(t))
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled in it", err)
		}
		if n := len(srv.recorded()); n != 0 {
			t.Errorf("got %d requests, want none", n)
		}
	})
	if !s.InProcess { // which has one try
		t.Run("while it waits for the next try", func(t *testing.T) { t.Parallel(); s.cancelledBetweenTries(t) })
	}
	t.Run("the deadline", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			_, b := s.serve(t, always(script{hold: make(chan struct{})}))
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			defer cancel()
			_, err := start(t, ctx, b, ask(stream)).Reply(patient(t))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v, want context.DeadlineExceeded in it", err)
			}
			if got := wantError(t, s, err).Code; got != "timeout" {
				t.Errorf("got code %q, want timeout", got)
			}
		})
	})
	t.Run("abandoned", func(t *testing.T) {
		t.Parallel()
		_, b := s.serve(t, always(stalled()))
		out := start(t, context.Background(), b, ask(true))
		out.Cancel(backend.ErrAbandoned)
		if err := out.Wait(patient(t)); !errors.Is(err, backend.ErrAbandoned) {
			t.Errorf("got error %v, want ErrAbandoned", err)
		}
	})
}

func (s Suite) cancelledBetweenTries(t *testing.T) {
	arrived := make(chan struct{}, 8)
	_, b := s.serve(t, func(int, Received) script {
		arrived <- struct{}{}
		return script{status: 429, header: map[string]string{"Retry-After": "30"}}
	}, func(c *Config) { c.Retries = 3 })
	ctx, cancel := context.WithCancel(context.Background())
	out := start(t, ctx, b, ask(false))
	<-arrived
	cancel()
	if err := out.Wait(patient(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled in it", err)
	}
}
