package watsonx

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/wire"
)

// GenerateBatch makes a raw completion of each prompt, as [backend.Batcher] says: one request for each, several at once
// (see [WithBatchConcurrency]). When one fails in a way that all others would, as for want of access or of the model, no
// further ones are sent. The error is that of the first prompt that failed when none gave a completion; what was complete
// when ctx ended is kept.
//
// The service constrains no raw completion to a schema: a Format is an error with [backend.CodeUnsupported].
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	if b.problem != nil {
		return backend.BatchReply{}, b.problem
	}
	options, err := b.resolve(opBatch, batchNames, batchLacks, req.Options.WithStream(false))
	if err != nil {
		return backend.BatchReply{}, err
	}
	if !req.Format.IsZero() {
		return backend.BatchReply{}, unsupported(opBatch, "the service has no schema for raw completions: use a chat for each prompt")
	}
	bodies := make([][]byte, req.Prompts.Len())
	for i, prompt := range req.Prompts.All() {
		if bodies[i], err = appendCompletion(nil, b.scope, options, prompt); err != nil {
			return backend.BatchReply{}, fail(opBatch, err)
		}
	}
	batch := &batch{b: b, model: options.Model(), items: make([]completion, len(bodies))}
	g := b.generation(options, false)
	g.Started = time.Now()
	batch.run(ctx, bodies)
	return batch.reply(g)
}

// batch is the work on a batch.
type batch struct {
	b     *Backend
	model string
	items []completion

	mu      sync.Mutex
	retries []backend.Retry
	fatal   error // what would fail all others too
}

// completion is what became of one prompt.
type completion struct {
	backend.BatchItem

	model, requestID string
	first, last      time.Time // of the reply's bytes
}

// run makes the completions and returns when all have ended.
func (t *batch) run(ctx context.Context, bodies [][]byte) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(t.b.concurrency, len(bodies)) {
		workers.Go(func() {
			for i := range next {
				t.items[i] = t.one(ctx, bodies[i])
			}
		})
	}
	for i := range bodies {
		next <- i
	}
	close(next)
	workers.Wait()
}

// stopped returns why no further prompt is sent.
func (t *batch) stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return backend.Ended(ctx, Provider, opBatch)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fatal
}

func (t *batch) one(ctx context.Context, body []byte) (c completion) {
	defer func() { // of a transport, say: it must not end the program
		if p := recover(); p != nil {
			c.Err = &backend.Error{Provider: Provider, Op: opBatch, Code: backend.CodePanic, Err: &backend.PanicError{Value: p, Stack: debug.Stack()}}
		}
	}()
	if c.Err = t.stopped(ctx); c.Err != nil {
		return c
	}
	res, err := t.b.do(ctx, opBatch, wire.Call{Path: "/ml/v1/text/generation", Body: body}, func(r backend.Retry) {
		t.mu.Lock()
		t.retries = append(t.retries, r)
		t.mu.Unlock()
	})
	if err == nil {
		defer res.Close()
		c.requestID = res.RequestID()
		var data []byte
		if data, err = res.ReadAll(0); err != nil {
			err = broken(opBatch, res, err)
		} else {
			err = c.read(res, data)
		}
		c.first, c.last = res.FirstRead(), res.LastRead()
	}
	if c.Err = err; err != nil {
		nameModel(err, t.model)
		t.note(err)
		if ctx.Err() != nil {
			c.Err = backend.Ended(ctx, Provider, opBatch)
		}
	}
	return c
}

// note keeps an error that would fail all other prompts too.
func (t *batch) note(err error) {
	e, ok := errors.AsType[*backend.Error](err)
	if !ok {
		return
	}
	switch {
	case e.Op == opToken, e.Code == backend.CodeRedirect, e.Code == backend.CodeUnreachable, e.Code == "model_not_supported",
		e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden, e.Status == http.StatusNotFound:
		t.mu.Lock()
		if t.fatal == nil {
			t.fatal = err
		}
		t.mu.Unlock()
	}
}

// read reads the reply to one prompt.
func (c *completion) read(res *wire.Response, data []byte) error {
	var doc struct {
		ModelID string `json:"model_id"`
		Results []struct {
			GeneratedText string         `json:"generated_text"`
			StopReason    string         `json:"stop_reason"`
			OutputTokens  float64        `json:"generated_token_count"`
			InputTokens   float64        `json:"input_token_count"`
			Moderations   map[string]any `json:"moderations"`
		} `json:"results"`
	}
	if e := res.StreamError(data); e != nil {
		return serverError(opBatch, res, data)
	}
	if json.Unmarshal(data, &doc) != nil { // the error may quote the reply
		return malformed(opBatch, res, data, false, nil)
	}
	if len(doc.Results) == 0 {
		return invalid(opBatch, res, "the reply has no results: does the base URL lead to a watsonx.ai service?", nil)
	}
	r := doc.Results[0]
	c.model, c.Text = doc.ModelID, r.GeneratedText
	c.Usage = content.Usage{InputTokens: count(r.InputTokens), OutputTokens: count(r.OutputTokens)}
	switch reason := strings.ToLower(r.StopReason); reason {
	case "eos_token", "stop_sequence":
		c.FinishReason = "stop"
	case "max_tokens", "token_limit":
		c.FinishReason = "length"
	case "error", "cancelled":
		return invalid(opBatch, res, "the service gave the reply up: try again", nil)
	default: // "time_limit", "not_finished"
		c.FinishReason = reason
	}
	if c.Text == "" && len(r.Moderations) > 0 {
		return &backend.Error{Provider: Provider, Op: opBatch, Code: codeContentFilter, RequestID: res.RequestID(),
			Remedy: "a moderation of the service blocked the request or the reply: change the request"}
	}
	return nil
}

// count makes a number of tokens of what a service says it is.
func count(n float64) int { return int(min(max(n, 0), 1<<31-1)) }

// reply sums up.
func (t *batch) reply(g backend.Generation) (backend.BatchReply, error) {
	var items []backend.BatchItem
	var reasons []string
	var failure error
	completed := 0
	for i := range t.items {
		c := &t.items[i]
		items = append(items, c.BatchItem)
		g.Usage = g.Usage.Add(c.Usage)
		if g.FirstChunk.IsZero() || !c.first.IsZero() && c.first.Before(g.FirstChunk) {
			g.FirstChunk, g.FirstToken = c.first, c.first
		}
		if c.last.After(g.Ended) {
			g.Ended = c.last
		}
		if !c.first.IsZero() {
			g.Chunks++
		}
		switch {
		case c.Err == nil:
			completed++
			reasons = append(reasons, c.FinishReason)
			g.ResponseModel = c.model
		case failure == nil:
			failure = c.Err
		}
		if id := c.requestID; len(t.items) == 1 && id != "" {
			g.RequestID = id
		}
	}
	slices.SortFunc(t.retries, func(a, b backend.Retry) int { return a.At.Compare(b.At) })
	g.Retries = content.ListOf(t.retries...)
	g.FinishReasons = content.ListOf(reasons...)
	if g.Ended.IsZero() {
		g.Ended = time.Now()
	}
	if completed == 0 && failure != nil {
		if e, ok := errors.AsType[*backend.Error](failure); ok {
			g.RequestID = e.RequestID
		}
		return backend.BatchReply{Generation: g}, failure
	}
	return backend.BatchReply{Items: content.ListOf(items...), Generation: g}, nil
}
