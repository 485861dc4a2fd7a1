package backendtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// kill ends a connection as the death of a server does: the kernel resets it, or closes it in between two packets.
type kill struct {
	after int // bytes of the exchange
	reset bool
}

// killings is how often the server dies in the middle of a stream.
const killings = 500

// runKilled kills the server in the middle of a stream, each time at another byte: the call returns a typed error and
// the beginning of the reply, and no goroutine is left.
func runKilled(t *testing.T, s Suite) {
	reply := s.reply()
	reply.Text = strings.SplitAfter("one two three four five six seven eight nine ten", " ")
	srv, _ := s.serve(t, always(script{}))
	frames := s.Dialect.Frames(reply)
	last := s.framesBefore(reply) + len(reply.Text) - 1
	end := len(srv.raw(frames[:last])) // before the last piece of text nothing can be whole

	random := rand.New(rand.NewPCG(1, killings))
	plans := make([]kill, killings)
	for i := range plans {
		plans[i] = kill{after: random.IntN(end), reset: random.IntN(2) == 0}
	}
	watched(t, func(ctx context.Context) {
		next := make(chan kill)
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for k := range next {
					s.killOnce(t, ctx, reply, k)
				}
			})
		}
		for _, k := range plans {
			next <- k
		}
		close(next)
		workers.Wait()
	})
}

func (s Suite) killOnce(t *testing.T, ctx context.Context, reply Reply, k kill) { //nolint:revive // the test first
	var transport *http.Transport
	srv := newServer(t, s.Dialect, always(script{reply: reply, kill: &k}))
	b := s.backendAt(t, srv.url, func(c *Config) { transport = c.Transport })
	defer srv.stop()
	defer transport.CloseIdleConnections()
	what := fmt.Sprintf("killed after %d bytes (reset: %t)", k.after, k.reset)
	out, err := b.Generate(ctx, ask(true))
	if err != nil {
		t.Errorf("%s: Generate: %v", what, err)
		return
	}
	r, err := out.Reply(ctx)
	if err == nil {
		t.Errorf("%s: got no error, want one", what)
		return
	}
	_ = wantError(t, s, err) // the typed error is what counts
	if got := r.Message.Text(); !strings.HasPrefix(reply.FullText(), got) {
		t.Errorf("%s: got text %q, want a beginning of %q", what, got, reply.FullText())
	}
	if r.Generation.Ended.IsZero() || r.Generation.FinishReasons.Len() != 0 {
		t.Errorf("%s: ended %v for the reasons %v, want an end without a reason", what, r.Generation.Ended, r.Generation.FinishReasons.Slice())
	}
}

// raw returns the bytes of an exchange, as a server sends a stream.
func (s *server) raw(frames [][]byte) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nX-Request-ID: %s\r\nTransfer-Encoding: chunked\r\n\r\n", s.dialect.ContentType(true), requestID)
	for _, f := range frames {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(f), f)
	}
	return []byte(b.String())
}

// killed serves the beginning of a stream and ends the connection.
func (s *server) killed(w http.ResponseWriter, sc script, frames [][]byte) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.t.Errorf("hijack: %v", err)
		return
	}
	_, _ = buffered.Write(s.raw(frames)[:sc.kill.after]) // a client that is gone is of no interest
	_ = buffered.Flush()
	if tcp, ok := conn.(*net.TCPConn); ok && sc.kill.reset {
		_ = tcp.SetLinger(0) // close sends a reset
	}
	_ = conn.Close()
}
