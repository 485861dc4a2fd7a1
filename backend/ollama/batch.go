package ollama

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/wire"
)

const opBatch = "batch"

// DefaultBatchConcurrency is how many prompts of a batch are with the server at a time when nothing else is set. The
// server queues what it cannot run at once.
const DefaultBatchConcurrency = 4

// GenerateBatch makes a raw completion of each prompt with /api/generate, without the model's template, a bounded number
// of them at a time; see [WithBatchConcurrency]. A completion may be empty. What fails for every prompt alike, such as a
// model that is not installed, ends the batch: the prompts not sent yet get the same error, and it is the error of the
// whole when nothing had come. When ctx ends, so do the prompts that are not done.
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	if b.err != nil {
		return backend.BatchReply{}, b.err
	}
	sent, err := b.resolve(opBatch, req.Options.Merge(backend.Options{}.WithStream(false)))
	if err != nil {
		return backend.BatchReply{}, err
	}
	host, port := b.client.Server()
	run := batch{b: b, items: make([]backend.BatchItem, req.Prompts.Len()), g: backend.Generation{Provider: provider, Model: sent.Model(), Sent: sent,
		ServerAddress: host, ServerPort: port, Started: time.Now()}}
	if run.g.Model == "" {
		if run.g.Model, err = b.pick(ctx); err != nil {
			run.g.Ended = time.Now()
			return backend.BatchReply{Generation: run.g}, ended(ctx, err)
		}
		run.g.Sent = sent.WithModel(run.g.Model)
	}
	if run.head, err = appendBatch(nil, req, sent, b.keepAlive); err != nil {
		return backend.BatchReply{}, err
	}
	run.do(ctx, req.Prompts)
	return run.reply()
}

// appendBatch appends the body of a request for one completion without its model, its prompt and its closing brace.
func appendBatch(body []byte, req backend.BatchRequest, sent backend.Options, keepAlive string) ([]byte, error) {
	body = append(body, `{"raw":true,"stream":false`...)
	if !req.Format.IsZero() {
		body = append(append(body, `,"format":`...), req.Format.JSON()...)
	}
	return appendOptions(body, sent, keepAlive, !req.Format.IsZero())
}

// batch is one run of GenerateBatch.
type batch struct {
	b     *Backend
	head  []byte              // of each request
	items []backend.BatchItem // each is written by the one goroutine that makes it

	mu       sync.Mutex
	g        backend.Generation
	hopeless error // what fails for every prompt alike
}

// do makes all completions and returns when nothing runs any more.
func (r *batch) do(ctx context.Context, prompts content.List[string]) {
	work := make(chan int)
	var workers sync.WaitGroup
	for range min(r.b.batchConcurrency, prompts.Len()) {
		workers.Go(func() {
			for i := range work {
				r.items[i] = r.one(ctx, prompts.At(i))
			}
		})
	}
	for i := range prompts.Len() {
		work <- i
	}
	close(work)
	workers.Wait()
}

// one makes one completion.
func (r *batch) one(ctx context.Context, prompt string) backend.BatchItem {
	r.mu.Lock()
	hopeless := r.hopeless
	r.mu.Unlock()
	switch {
	case hopeless != nil:
		return backend.BatchItem{Err: hopeless}
	case ctx.Err() != nil:
		return backend.BatchItem{Err: backend.Ended(ctx, provider, opBatch)}
	}
	body := wire.GetBuffer()
	defer wire.PutBuffer(body)
	body.Write(r.head)
	body.Write(appendString(append(body.AvailableBuffer(), `,"prompt":`...), prompt))
	body.Write(closeRequest(body.AvailableBuffer(), r.g.Model))

	d := decoders.Get().(*decoder)
	defer d.release()
	d.raw = true
	item, err := r.exchange(ctx, body.Bytes(), d)
	if err != nil {
		item.Err = ended(ctx, err)
		if forAll(err) {
			r.mu.Lock()
			r.hopeless = err
			r.mu.Unlock()
		}
	}
	return item
}

// ended is err, but for what a context that has ended makes of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return backend.Ended(ctx, provider, opBatch)
	}
	return err
}

// forAll reports whether an error comes of any prompt, so that there is no use in sending the next.
func forAll(err error) bool {
	e, ok := errors.AsType[*backend.Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return e.Code == backend.CodeUnreachable || e.Code == backend.CodeRedirect
}

// exchange sends one request and reads its reply.
func (r *batch) exchange(ctx context.Context, body []byte, d *decoder) (backend.BatchItem, error) {
	resp, err := r.b.client.Do(ctx, wire.Call{
		Path:       "/api/generate",
		Body:       body,
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
		OnRetry: func(again wire.Retry) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.g.Retries = r.g.Retries.Append(failure.Retry(again))
		},
	})
	if err != nil {
		return backend.BatchItem{}, noModel(fail(opBatch, err), r.g.Model)
	}
	defer resp.Close()
	text, err := resp.ReadAll(0)
	if err != nil {
		return backend.BatchItem{}, broken(opBatch, resp, err)
	}
	switch {
	case d.decode(text) != nil:
		return backend.BatchItem{}, malformed(opBatch, resp)
	case d.failed:
		if s := resp.StreamError(text); s != nil {
			return backend.BatchItem{}, failStream(opBatch, s)
		}
		return backend.BatchItem{}, malformed(opBatch, resp)
	case !d.completion || !d.done:
		return backend.BatchItem{}, malformed(opBatch, resp)
	}
	item := backend.BatchItem{Text: string(d.text), FinishReason: string(d.reason),
		Usage: content.Usage{InputTokens: d.promptTokens, OutputTokens: d.tokens}}
	r.arrived(resp.LastRead(), string(d.model))
	return item, nil
}

// arrived notes a completion in the metadata of the whole.
func (r *batch) arrived(at time.Time, model string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := &r.g
	g.Chunks++
	if g.FirstChunk.IsZero() || at.Before(g.FirstChunk) {
		g.FirstChunk, g.FirstToken = at, at
	}
	if g.ResponseModel == "" {
		g.ResponseModel = model
	}
}

// reply sums up. Nothing runs any more.
func (r *batch) reply() (backend.BatchReply, error) {
	r.g.Ended = time.Now()
	var reasons []string
	for _, it := range r.items {
		r.g.Usage = r.g.Usage.Add(it.Usage)
		if it.Err == nil && it.FinishReason != "" {
			reasons = append(reasons, it.FinishReason)
		}
	}
	r.g.FinishReasons = content.ListOf(reasons...)
	if r.hopeless != nil && r.g.Chunks == 0 {
		return backend.BatchReply{Generation: r.g}, r.hopeless
	}
	return backend.BatchReply{Items: content.ListOf(r.items...), Generation: r.g}, nil
}
