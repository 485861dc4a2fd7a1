package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Tokens of one completion of the fake server.
const promptTokens, completionTokens = 3, 2

func runBatch(t *testing.T, s Suite) Outcome {
	if !s.capabilities(t).Batch {
		return s.wantRefused(t, func(b backend.Backend) error {
			_, err := b.GenerateBatch(patient(t), prompts("a", "b"))
			return err
		})
	}
	t.Run("each prompt gets its completion, in their order", func(t *testing.T) { t.Parallel(); s.batchInOrder(t) })
	t.Run("a batch is described as a whole", func(t *testing.T) { t.Parallel(); s.batchMetadata(t) })
	t.Run("options and format go with each", func(t *testing.T) { t.Parallel(); s.batchOptions(t) })
	t.Run("a prompt that fails is its item's error", func(t *testing.T) { t.Parallel(); s.batchSoftFailure(t) })
	t.Run("cancelled", func(t *testing.T) { t.Parallel(); s.batchCancelled(t) })
	if s.InProcess {
		return Pass
	}
	t.Run("a server that is not there", func(t *testing.T) {
		t.Parallel()
		reply, err := s.backendAt(t, unusedAddress(t)).GenerateBatch(patient(t), prompts("a", "b"))
		for _, err := range batchErrors(t, reply, err, 2) {
			if got := wantError(t, s, err).Code; got != backend.CodeUnreachable {
				t.Errorf("got code %q, want %q", got, backend.CodeUnreachable)
			}
		}
	})
	t.Run("a reply that is none", func(t *testing.T) {
		t.Parallel()
		for _, raw := range []string{`{}`, `{"` + hiddenReply + `":1}`, hiddenReply, `{"choices":[]}`} {
			_, b := s.serve(t, always(script{raw: []byte(raw), contentType: "application/json"}))
			reply, err := b.GenerateBatch(patient(t), prompts("a", "b"))
			for _, err := range batchErrors(t, reply, err, 2) {
				if got := wantError(t, s, err).Code; got != backend.CodeInvalidResponse {
					t.Errorf("reply %s: got code %q, want %q", raw, got, backend.CodeInvalidResponse)
				}
			}
		}
	})
	return Pass
}

func prompts(all ...string) backend.BatchRequest {
	return backend.BatchRequest{Prompts: content.ListOf(all...)}
}

func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("prompt-%d", i)
	}
	return all
}

func complete(prompt string) Completion {
	return Completion{Model: "served-model", Text: "completion of " + prompt + " ✓", Finish: "stop",
		Usage: content.Usage{InputTokens: promptTokens, OutputTokens: completionTokens}}
}

// batchErrors returns the errors of a batch of which nothing came: that of the whole, or those of all its items.
func batchErrors(t *testing.T, r backend.BatchReply, err error, n int) []error {
	t.Helper()
	if err != nil {
		return []error{err}
	}
	if r.Items.Len() != n || r.Failed() != n {
		t.Fatalf("got %d items of which %d failed, want an error or %d that failed", r.Items.Len(), r.Failed(), n)
	}
	var all []error
	for it := range r.Items.Values() {
		all = append(all, it.Err)
	}
	return all
}

func (s Suite) batchInOrder(t *testing.T) {
	const n = 100
	var open, most atomic.Int64
	second := make(chan struct{})
	var once sync.Once
	srv, b := s.serve(t, func(i int, r Received) script {
		now := open.Add(1)
		for top := most.Load(); now > top && !most.CompareAndSwap(top, now); top = most.Load() {
		}
		sc := script{complete: complete}
		switch {
		case i == 0 && len(r.Prompts) < n: // the first is answered after the second
			sc.hold = second
		case i == 1:
			once.Do(func() { close(second) })
		}
		sc.done = func() { open.Add(-1) }
		return sc
	})
	all := numbered(n)
	reply, err := b.GenerateBatch(patient(t), prompts(all...))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for it := range reply.Items.Values() {
		got = append(got, it.Text)
		if it.Err != nil {
			t.Errorf("got the error %v of an item, want none", it.Err)
		}
	}
	for _, p := range all {
		want = append(want, complete(p).Text)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("completions (-got +want):\n%s", diff)
	}
	var seen []string
	for _, r := range srv.recorded() {
		seen = append(seen, r.Prompts...)
	}
	slices.Sort(seen)
	slices.Sort(all)
	if diff := cmp.Diff(seen, all); diff != "" {
		t.Errorf("prompts sent (-got +want):\n%s", diff)
	}
	if got := most.Load(); got > 64 {
		t.Errorf("got %d requests at a time, want a bound on them", got)
	}
}

func (s Suite) batchMetadata(t *testing.T) {
	srv, b := s.serve(t, always(script{complete: complete}))
	req := prompts("a", "b", "c")
	req.Options = req.Options.WithModel(calledModel).WithMaxTokens(9).WithStream(true)
	reply, err := b.GenerateBatch(patient(t), req)
	if err != nil {
		t.Fatal(err)
	}
	g := reply.Generation
	host, port := s.address(t, srv)
	bound, _ := g.Sent.MaxTokens()
	got := []any{g.Provider, g.Model, g.ResponseModel, g.Usage, g.FinishReasons.Slice(), g.ServerAddress, g.ServerPort, g.Streaming, g.Sent.Stream(), g.Sent.Model(), bound}
	want := []any{s.Provider, calledModel, "served-model", content.Usage{InputTokens: 3 * promptTokens, OutputTokens: 3 * completionTokens},
		[]string{"stop", "stop", "stop"}, host, port, false, false, calledModel, 9}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("metadata (-got +want):\n%s", diff)
	}
	if g.Started.IsZero() || g.Ended.Before(g.Started) {
		t.Errorf("got start %v and end %v, want them in this order", g.Started, g.Ended)
	}
	for it := range reply.Items.Values() {
		if it.FinishReason != "stop" {
			t.Errorf("got finish reason %q of an item, want stop", it.FinishReason)
		}
	}
	for _, r := range srv.recorded() {
		if r.Model != calledModel {
			t.Errorf("got a request for model %q, want %q", r.Model, calledModel)
		}
	}
}

func (s Suite) batchOptions(t *testing.T) {
	req := prompts("a", "b")
	req.Options = req.Options.WithMaxTokens(9)
	srv, b := s.serve(t, always(script{complete: complete}))
	if _, err := b.GenerateBatch(patient(t), req); err != nil {
		t.Fatal(err)
	}
	path := s.BatchMaxTokens
	if path == "" {
		path = s.Options[backend.NeutralMaxTokens]
	}
	s.wantOption(t, srv.recorded()[0].body, backend.NeutralMaxTokens, path, 9.0)

	req.Format = mustSchema("person", `{"type":"object"}`)
	srv, b = s.serve(t, always(script{complete: complete}))
	_, err := b.GenerateBatch(patient(t), req)
	if s.BatchSchemaPath == "" {
		if got := wantError(t, s, err).Code; got != backend.CodeUnsupported {
			t.Errorf("got code %q for a format, want %q", got, backend.CodeUnsupported)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	s.wantSchema(t, srv.recorded()[0].body, s.BatchSchemaPath, map[string]any{"type": "object"})
}

func (s Suite) batchSoftFailure(t *testing.T) {
	const bad = "prompt-that-fails"
	srv, b := s.serve(t, func(_ int, r Received) script {
		if slices.Contains(r.Prompts, bad) {
			return script{status: 400, code: "bad_prompt", message: hiddenMessage}
		}
		return script{complete: complete}
	})
	reply, err := b.GenerateBatch(patient(t), prompts("a", bad, "c"))
	if len(srv.recorded()) == 1 { // all of them in one request
		for _, err := range batchErrors(t, reply, err, 3) {
			_ = wantError(t, s, err) // the typed error is what counts
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if e := wantError(t, s, reply.Items.At(1).Err); e.Status != 400 && !s.InProcess {
		t.Errorf("got status %d of the item that fails, want 400", e.Status)
	}
	for _, i := range []int{0, 2} {
		if it := reply.Items.At(i); it.Err != nil || it.Text == "" {
			t.Errorf("got %q, %v of item %d, want its completion", it.Text, it.Err, i)
		}
	}
	if got := reply.Generation.Usage.Total(); got != 2*(promptTokens+completionTokens) {
		t.Errorf("got %d tokens, want those of the two items that did not fail", got)
	}
	if got := reply.Generation.FinishReasons.Len(); got != 2 {
		t.Errorf("got %d finish reasons, want those of the two items that did not fail", got)
	}
}

func (s Suite) batchCancelled(t *testing.T) {
	arrived := make(chan struct{}, 1)
	srv, b := s.serve(t, func(int, Received) script {
		select {
		case arrived <- struct{}{}:
		default:
		}
		return script{hold: make(chan struct{})}
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-arrived
		cancel()
	}()
	reply, err := b.GenerateBatch(ctx, prompts(numbered(50)...))
	for _, err := range batchErrors(t, reply, err, 50) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled in it", err)
		}
	}
	srv.idle() // the server saw the client go
}
