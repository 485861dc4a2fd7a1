package melleatest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
)

// Reply is what a scripted [Backend] says to one request.
type Reply struct {
	// Pieces are the chunks of the text, in order.
	Pieces []string
	// Calls are the tool calls of the reply.
	Calls []content.ToolCall
	// Served is what the backend ran itself, before the text: a delta for each call and each result.
	Served []backend.ServerToolDelta
	// Usage, FinishReason, ResponseID and ResponseModel fill the metadata; FinishReason defaults to "stop", and
	// to "tool_calls" with Calls.
	Usage         content.Usage
	FinishReason  string
	ResponseID    string
	ResponseModel string
	// Err ends the reply after Pieces.
	Err error
	// Refuse is returned by Generate itself: nothing starts.
	Refuse error
	// Panic is the value of a panic of the producer after Pieces.
	Panic any
	// Step, when set, is received from before each piece and before the end: the test decides when the reply goes on.
	// The wait ends with the request's context.
	Step <-chan struct{}
	// Block waits after Pieces until the request's context ends.
	Block bool
}

// Say returns a reply of one piece.
func Say(text string) Reply { return Reply{Pieces: []string{text}} }

// Use returns a reply that asks for one call of a tool, without an id. Arguments are JSON, or what a careless model writes.
func Use(name, arguments string) Reply {
	return Reply{Calls: []content.ToolCall{{Name: name, Arguments: arguments}}}
}

// Fail returns a reply that ends with err before its first piece.
func Fail(err error) Reply { return Reply{Err: err} }

// Backend says what a test scripts. It is safe for concurrent use.
type Backend struct {
	mu       sync.Mutex
	info     backend.Info
	infoErr  error
	respond  func(n int, r backend.Request) Reply
	requests []backend.Request
	batches  []backend.BatchRequest
	contexts []context.Context
	outside  int
	infos    int
}

var _ backend.Backend = (*Backend)(nil)

// NewBackend returns a backend that gives the replies in order, the last one again and again.
func NewBackend(replies ...Reply) *Backend {
	return NewBackendFunc(func(n int, _ backend.Request) Reply {
		if len(replies) == 0 {
			return Reply{}
		}
		return replies[min(n, len(replies)-1)]
	})
}

// NewBackendFunc returns a backend that asks respond what to say to request n, counted from 0. respond may be called by
// several goroutines at once.
func NewBackendFunc(respond func(n int, r backend.Request) Reply) *Backend {
	return &Backend{respond: respond, info: backend.Info{Provider: "scripted", Model: "script-1", ServerAddress: "model.test", ServerPort: 443}}
}

// WithInfo replaces what the backend says of itself, and its error.
func (b *Backend) WithInfo(info backend.Info, err error) *Backend {
	b.info, b.infoErr = info, err
	return b
}

// Info implements [backend.Backend].
func (b *Backend) Info(context.Context) (backend.Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.infos++
	return b.info, b.infoErr
}

// Generate implements [backend.Backend].
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	b.mu.Lock()
	n := len(b.requests)
	b.requests = append(b.requests, req)
	b.contexts = append(b.contexts, ctx)
	if rec, ok := ctx.Value(recorderKey{}).(*Recorder); ok && !rec.generating(ctx, hookpoint.Generation.Name()) {
		b.outside++
	}
	b.mu.Unlock()
	r := b.respond(n, req)
	if r.Refuse != nil {
		return nil, r.Refuse
	}
	model := req.Options.Model()
	if model == "" {
		model = b.info.Model
	}
	g := backend.Generation{Provider: b.info.Provider, Model: model, ServerAddress: b.info.ServerAddress,
		ServerPort: b.info.ServerPort, InProcess: b.info.InProcess, Sent: req.Options, Streaming: req.Options.Stream()}
	return backend.Start(ctx, req, g, r.produce), nil
}

// GenerateBatch implements [backend.Backend]: it asks the script for each prompt in turn, as for a request with that
// prompt as its only message. A reply that ends with Err fails its item; one with Refuse fails the batch.
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	started := time.Now()
	b.mu.Lock()
	b.batches = append(b.batches, req)
	if rec, ok := ctx.Value(recorderKey{}).(*Recorder); ok && !rec.generating(ctx, hookpoint.GenerationBatch.Name()) {
		b.outside++
	}
	b.mu.Unlock()
	model := req.Options.Model()
	if model == "" {
		model = b.info.Model
	}
	reply := backend.BatchReply{Generation: backend.Generation{Provider: b.info.Provider, Model: model, Started: started,
		ServerAddress: b.info.ServerAddress, ServerPort: b.info.ServerPort, InProcess: b.info.InProcess, Sent: req.Options}}
	g := &reply.Generation
	for n, prompt := range req.Prompts.All() {
		r := b.respond(n, backend.Request{Messages: content.NewMessages(content.User(prompt)), Options: req.Options, Format: req.Format})
		if r.Refuse != nil {
			g.Ended = time.Now()
			return reply, r.Refuse
		}
		item := backend.BatchItem{Text: strings.Join(r.Pieces, ""), Usage: r.Usage, Err: r.Err}
		if r.Err == nil {
			item.FinishReason = cmp.Or(r.FinishReason, "stop")
			g.FinishReasons = g.FinishReasons.Append(item.FinishReason)
		}
		g.Usage = g.Usage.Add(r.Usage)
		reply.Items = reply.Items.Append(item)
	}
	g.Ended = time.Now()
	return reply, nil
}

// Batches returns the batches asked for so far.
func (b *Backend) Batches() []backend.BatchRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]backend.BatchRequest(nil), b.batches...)
}

func (r Reply) produce(ctx context.Context, w *backend.Writer) error {
	pause := func() error {
		if r.Step == nil {
			return ctx.Err()
		}
		select {
		case <-r.Step:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g := w.Generation()
	g.ResponseID, g.ResponseModel = r.ResponseID, r.ResponseModel
	for _, d := range r.Served {
		if err := w.ServerTool(time.Now(), d); err != nil {
			return err
		}
	}
	for _, p := range r.Pieces {
		if err := pause(); err != nil {
			return err
		}
		w.Text(time.Now(), []byte(p))
	}
	for i, c := range r.Calls {
		if err := w.ToolCall(time.Now(), backend.ToolDelta{Index: i, ID: c.ID, Name: c.Name, Arguments: c.Arguments}); err != nil {
			return err
		}
	}
	if err := pause(); err != nil {
		return err
	}
	if r.Block {
		<-ctx.Done()
		return ctx.Err()
	}
	if r.Panic != nil {
		panic(r.Panic)
	}
	g.Usage = r.Usage
	if r.Err != nil {
		return r.Err
	}
	reason := r.FinishReason
	if reason == "" {
		reason = "stop"
		if len(r.Calls) > 0 {
			reason = "tool_calls"
		}
	}
	g.FinishReasons = content.ListOf(reason)
	return nil
}

// Requests returns the requests made so far.
func (b *Backend) Requests() []backend.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]backend.Request(nil), b.requests...)
}

// Prompt returns the texts of the messages of request n, each behind its role.
func (b *Backend) Prompt(n int) []string {
	reqs := b.Requests()
	if n >= len(reqs) {
		return nil
	}
	var out []string
	for m := range reqs[n].Messages.Values() {
		out = append(out, fmt.Sprintf("%s: %s", m.Role(), m.Text()))
	}
	return out
}

// Outside returns how many requests were made outside an open Generation operation, as far as a [Recorder] watched.
func (b *Backend) Outside() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outside
}
