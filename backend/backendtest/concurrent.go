package backendtest

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// concurrentCalls is how many generations run at once, each with a connection of its own.
const concurrentCalls = 1000

// runConcurrent runs many generations at once: each gets the reply to its own prompt, buffers that are used again are
// not used twice, and neither a goroutine nor the memory of a generation is left.
func runConcurrent(t *testing.T, s Suite) {
	var arrived atomic.Int64
	all := make(chan struct{})
	var transport *http.Transport
	_, b := s.serve(t, func(_ int, r Received) script {
		if arrived.Add(1) == concurrentCalls {
			close(all)
		}
		reply := s.reply()
		reply.ID = "id-" + r.Prompt()
		reply.Text = strings.SplitAfter("answer to "+r.Prompt()+" in words", " ")
		return script{reply: reply, hold: all} // none is answered before all have come
	}, func(c *Config) { transport, c.Calls = c.Transport, concurrentCalls })
	var freed atomic.Int64
	watched(t, func(ctx context.Context) {
		var calls sync.WaitGroup
		for i := range concurrentCalls {
			calls.Go(func() { s.oneOfMany(t, ctx, b, i, &freed) })
		}
		calls.Wait()
		transport.CloseIdleConnections()
	})
	collected(t, concurrentCalls, func() int { return int(freed.Load()) })
	runtime.KeepAlive(b) // it must not be what holds them
}

func (s Suite) oneOfMany(t *testing.T, ctx context.Context, b backend.Backend, i int, freed *atomic.Int64) { //nolint:revive // the test first
	prompt := fmt.Sprintf("prompt-%d", i)
	req := ask(i%2 == 0)
	req.Messages = content.NewMessages(content.User(prompt))
	out, err := b.Generate(ctx, req)
	if err != nil {
		t.Errorf("call %d: %v", i, err)
		return
	}
	runtime.AddCleanup(out, func(n *atomic.Int64) { n.Add(1) }, freed)
	r, err := out.Reply(ctx)
	if err != nil {
		t.Errorf("call %d: %v", i, err)
		return
	}
	if got, want := r.Message.Text(), "answer to "+prompt+" in words"; got != want {
		t.Errorf("got reply %q, want %q", got, want)
	}
	if got, want := r.Generation.ResponseID, "id-"+prompt; got != want && !s.NoResponseID {
		t.Errorf("got response id %q, want %q", got, want)
	}
}
