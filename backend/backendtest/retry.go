package backendtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func runRetry(t *testing.T, s Suite) {
	retries := func(n int) func(*Config) { return func(c *Config) { c.Retries = n } }
	limited := script{status: 429, code: "rate_limit_exceeded", message: hiddenMessage, header: map[string]string{"Retry-After": "0"}}
	t.Run("429, then a reply", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			srv, b := s.serve(t, sequence(limited, script{reply: s.reply()}), retries(1))
			r, err := generate(t, b, ask(stream))
			if err != nil {
				t.Fatal(err)
			}
			if r.Message.Text() != s.reply().FullText() {
				t.Errorf("got reply %q, want %q", r.Message.Text(), s.reply().FullText())
			}
			seen := srv.recorded()
			if len(seen) != 2 || string(seen[0].body) != string(seen[1].body) {
				t.Errorf("got %d requests, want the same one twice", len(seen))
			}
			g := r.Generation
			if g.Retries.Len() != 1 {
				t.Fatalf("got %d retries recorded, want 1", g.Retries.Len())
			}
			first := g.Retries.At(0)
			if first.Status != 429 || first.Reason != "rate_limit" {
				t.Errorf("got a retry after %d (%s), want 429 (rate_limit)", first.Status, first.Reason)
			}
			if first.At.Before(g.Started) || first.At.Add(first.Delay).After(g.FirstChunk) {
				t.Errorf("got a retry at %v after %v, want it between the start %v and the first chunk %v", first.At, first.Delay, g.Started, g.FirstChunk)
			}
		})
	})
	t.Run("429 until the tries are spent", func(t *testing.T) {
		t.Parallel()
		last := limited
		last.header = map[string]string{"Retry-After": "7"}
		srv, b := s.serve(t, sequence(limited, last), retries(1))
		r, err := generate(t, b, ask(false))
		e := wantError(t, s, err)
		if e.Status != 429 || e.RetryAfter != 7*time.Second {
			t.Errorf("got status %d, retry after %v, want 429 and 7s", e.Status, e.RetryAfter)
		}
		if n, recorded := len(srv.recorded()), r.Generation.Retries.Len(); n != 2 || recorded != 1 {
			t.Errorf("got %d requests and %d retries recorded, want 2 and 1", n, recorded)
		}
	})
	t.Run("what no retry helps is not tried again", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{400, 401, 403, 404, 422} {
			srv, b := s.serve(t, always(script{status: status}), retries(3))
			_, err := generate(t, b, ask(false))
			if got := wantError(t, s, err).Status; got != status {
				t.Errorf("got status %d, want %d", got, status)
			}
			if n := len(srv.recorded()); n != 1 {
				t.Errorf("HTTP %d: got %d requests, want 1", status, n)
			}
		}
	})
	t.Run("nothing is tried again after the first byte", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(script{reply: s.reply(), cut: &cut{after: 20}}), retries(3))
		_, err := generate(t, b, ask(true))
		if got := wantError(t, s, err).Code; got != backend.CodeInvalidResponse {
			t.Errorf("got code %q, want %q", got, backend.CodeInvalidResponse)
		}
		if n := len(srv.recorded()); n != 1 {
			t.Errorf("got %d requests, want 1", n)
		}
	})
}

// runCutOff ends the connection after every byte of a reply: what comes of it is the whole reply, or an error and the
// beginning of it.
func runCutOff(t *testing.T, s Suite) {
	reply := s.reply()
	reply.Text = []string{"one ", "two✓"}
	both(t, func(t *testing.T, stream bool) {
		size := len(s.Dialect.Reply(reply))
		if stream {
			size = 0
			for _, f := range s.Dialect.Frames(reply) {
				size += len(f)
			}
		}
		for _, clean := range []bool{false, true} {
			t.Run(fmt.Sprintf("clean=%t", clean), func(t *testing.T) {
				t.Parallel()
				var whole []int
				_, b := s.serve(t, func(n int, _ Received) script {
					return script{reply: reply, cut: &cut{after: n, clean: clean}}
				})
				for n := range size + 1 {
					r, err := generate(t, b, ask(stream))
					text := r.Message.Text()
					switch {
					case err != nil:
						if got := wantError(t, s, err).Code; got != backend.CodeInvalidResponse {
							t.Errorf("cut after %d of %d bytes: got code %q, want %q", n, size, got, backend.CodeInvalidResponse)
						}
						if !strings.HasPrefix(reply.FullText(), text) {
							t.Errorf("cut after %d of %d bytes: got text %q, want a beginning of %q", n, size, text, reply.FullText())
						}
					case text != reply.FullText() || r.Generation.FinishReasons.Len() != 1:
						t.Errorf("cut after %d of %d bytes: got %q and finish reasons %v without an error, want one",
							n, size, text, r.Generation.FinishReasons.Slice())
					default:
						whole = append(whole, n)
					}
				}
				wantWholeEnd(t, whole, size, stream, clean)
			})
		}
	})
}

// wantWholeEnd checks where a reply counts as whole: from some byte on until the end, and not early.
func wantWholeEnd(t *testing.T, whole []int, size int, stream, clean bool) {
	t.Helper()
	if !stream && !clean { // the server promised a byte more than it had
		if len(whole) > 0 {
			t.Errorf("got replies cut after bytes %v taken for whole, want none", whole)
		}
		return
	}
	if len(whole) == 0 || whole[len(whole)-1] != size {
		t.Errorf("got no reply from all %d bytes, want one", size)
		return
	}
	var run []int
	for n := whole[0]; n <= size; n++ {
		run = append(run, n)
	}
	if diff := cmp.Diff(whole, run); diff != "" {
		t.Errorf("bytes after which the reply is whole (-got +want):\n%s", diff)
	}
	if whole[0] < size/2 {
		t.Errorf("the reply counts as whole after %d of %d bytes, want more of it", whole[0], size)
	}
}
