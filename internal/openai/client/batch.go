package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// atATime bounds the requests of a batch that goes out prompt by prompt.
const atATime = 8

// GenerateBatch makes raw completions, as [backend.Batcher] says: in one request where the server takes a list of
// prompts. Where it does not, or refuses the list, the prompts go out one by one, several at a time.
func (c *Client) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	if c.problem != nil {
		return backend.BatchReply{}, c.problem
	}
	options, err := c.resolve(Completions, req.Options)
	if err != nil {
		return backend.BatchReply{}, err
	}
	if !req.Format.IsZero() && c.cfg.NoFormatInBatch {
		return backend.BatchReply{}, c.unsupported(Completions, "the provider has no structured output for raw completions: leave the format out, or use chat")
	}
	b := &batch{c: c, req: req, options: options.WithStream(false), model: options.Model(), prompts: req.Prompts.Slice(), items: make([]backend.BatchItem, req.Prompts.Len())}
	b.g = backend.Generation{
		Provider: c.cfg.Provider, Model: options.Model(), Sent: b.options, Started: time.Now(),
		ServerAddress: c.info.ServerAddress, ServerPort: c.info.ServerPort,
	}
	err = b.run(ctx)
	if b.g.Ended.IsZero() {
		b.g.Ended = time.Now()
	}
	if err != nil {
		return backend.BatchReply{Generation: b.g}, err
	}
	var finish []string
	for _, it := range b.items {
		if it.Err == nil && it.FinishReason != "" {
			finish = append(finish, it.FinishReason)
		}
	}
	b.g.FinishReasons = content.ListOf(finish...)
	return backend.BatchReply{Items: content.ListOf(b.items...), Generation: b.g}, nil
}

// batch is one call of GenerateBatch.
type batch struct {
	c       *Client
	req     backend.BatchRequest
	options backend.Options
	model   string
	prompts []string

	mu    sync.Mutex
	items []backend.BatchItem
	g     backend.Generation
	some  bool // a reply came
}

// oneByOne is the key under which a client remembers that its server takes no list of prompts for a model.
type oneByOne struct{ model string }

func (b *batch) run(ctx context.Context) error {
	single := oneByOne{b.model}
	_, known := b.c.learned.Load(single)
	if len(b.prompts) > 1 && !known {
		err := b.send(ctx, 0, len(b.prompts))
		var failure *backend.Error
		switch {
		case errors.Is(err, errOneChoice):
			b.c.learned.Store(single, true)
		case err == nil || !errors.As(err, &failure) || !refusal(failure.Status):
			return err
		case noList(failure.Message):
			b.c.learned.Store(single, true)
		}
		// One prompt of them may be what the server refuses, which must not cost the others theirs.
	}
	return b.each(ctx)
}

// refusal tells a status that is about the request and not about who asks.
func refusal(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge
}

// noList tells the message of a server that takes one prompt only.
func noList(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "prompt") && (strings.Contains(m, "array") || strings.Contains(m, "list") || strings.Contains(m, "string"))
}

// each sends the prompts one by one. What fails for one is its item's; what would fail for all ends the batch, with what
// is on its way.
func (b *batch) each(ctx context.Context) error {
	next, given := make(chan int), make(chan struct{})
	var giveUp sync.Once
	var cause error // why the batch was given up
	var wg sync.WaitGroup
	for range min(atATime, len(b.prompts)) {
		wg.Go(func() {
			for i := range next {
				if err := b.send(ctx, i, i+1); err != nil && b.fail(i, err) {
					giveUp.Do(func() {
						cause = err
						close(given)
					})
				}
			}
		})
	}
	sent := 0
feed:
	for sent < len(b.prompts) {
		select {
		case next <- sent:
			sent++
		case <-given:
			break feed
		}
	}
	close(next)
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cause != nil && !b.some:
		return cause
	case cause != nil:
		for i := range b.items[sent:] {
			b.items[sent+i].Err = cause
		}
	case len(b.items) > 0 && !b.some:
		return b.items[0].Err
	}
	return nil
}

// fail notes the error of an item and reports whether the batch is to be given up.
func (b *batch) fail(i int, err error) bool {
	b.mu.Lock()
	b.items[i].Err = err
	b.mu.Unlock()
	var failure *backend.Error
	if !errors.As(err, &failure) {
		return true // the context ended
	}
	switch failure.Code {
	case backend.CodeUnreachable, backend.CodeRedirect, backend.CodeConfiguration, backend.CodeUnsupported:
		return true
	}
	switch failure.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return true
	}
	return false
}

// errOneChoice is a single completion to a list of prompts: the server made one prompt of them.
var errOneChoice = errors.New("one completion for several prompts")

// send makes one request for the prompts from i to before j and puts what comes of it into their items.
func (b *batch) send(ctx context.Context, i, j int) error {
	c := b.c
	body := wire.GetBuffer()
	defer wire.PutBuffer(body)
	encoded, err := openai.AppendCompletions(body.AvailableBuffer(), b.prompts[i:j], b.options, b.req.Format, c.cfg.Style)
	if err != nil {
		return c.fail(Completions.String(), err)
	}
	body.Write(encoded)
	res, err := c.wire.Do(ctx, wire.Call{
		Path: c.path(Completions, b.model), Body: body.Bytes(),
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
		OnRetry: func(r wire.Retry) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.g.Retries = b.g.Retries.Append(failure.Retry(r))
		},
	})
	if err != nil {
		return b.refused(err)
	}
	defer func() { _ = res.Close() }() // it never fails
	data, err := res.ReadAll(0)
	if err != nil {
		return c.broken(Completions, res, err)
	}
	reply, err := openai.DecodeCompletions(data, j-i)
	switch {
	case err != nil:
		return c.malformed(Completions, res, data, err, false)
	case reply.HasError:
		return c.serverError(Completions, res, data)
	case len(reply.Choices) == 0:
		return c.invalid(Completions, res, "the reply has no choices: does the base URL lead to a server with raw completions?", nil)
	case len(reply.Choices) == 1 && j-i > 1:
		return errOneChoice
	}
	b.take(res, reply, i, j)
	return nil
}

// refused is the error of a request that got no reply.
func (b *batch) refused(err error) error {
	if status, ok := errors.AsType[*wire.StatusError](err); ok {
		b.mu.Lock()
		b.g.RequestID = status.RequestID
		b.c.describe(status.Header, &b.g)
		b.mu.Unlock()
	}
	err = b.c.fail(Completions.String(), err)
	failure, ok := errors.AsType[*backend.Error](err)
	if !ok || failure.Status != http.StatusNotFound {
		return err
	}
	switch m := strings.ToLower(failure.Message); {
	case strings.Contains(m, "chat model") || strings.Contains(m, "chat/completions"):
		failure.Remedy = "the model has no raw completions: use chat, one call for each prompt"
	case !strings.Contains(m, "model") && !strings.Contains(failure.Code, "model"):
		failure.Remedy = "the server has no raw completions at that address: use chat, one call for each prompt, or check that " + b.c.cfg.Base
	default:
		b.c.nameModel(failure, b.model)
	}
	return err
}

// take puts a reply into the items from i to before j.
func (b *batch) take(res *wire.Response, reply openai.CompletionReply, i, j int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.some = true
	of := b.g // what this reply tells, to be added to what others told
	of.Cost = backend.Cost{}
	b.c.describe(res.Header, &of)
	if b.g.Cost.Reported && of.Cost.Reported {
		of.Cost.USD += b.g.Cost.USD
	} else if !of.Cost.Reported {
		of.Cost = b.g.Cost
	}
	b.g = of
	g := &b.g
	if g.RequestID == "" || j-i > 1 {
		g.RequestID = res.RequestID()
	}
	setIfTold(&g.ResponseID, reply.ID)
	setIfTold(&g.ResponseModel, reply.Model)
	setIfTold(&g.SystemFingerprint, reply.Fingerprint)
	g.Usage = g.Usage.Add(reply.Usage)
	if at := res.LastRead(); at.After(g.Ended) {
		g.Ended = at
	}
	missing := make([]bool, j-i)
	for k := range missing {
		missing[k] = true
	}
	for k, choice := range reply.Choices {
		at := choice.Index
		if !numbered(reply.Choices, j-i) {
			at = k
		}
		if at < 0 || at >= j-i || !missing[at] {
			continue
		}
		missing[at] = false
		b.items[i+at] = b.item(res, choice)
	}
	for k, none := range missing {
		if none {
			b.items[i+k].Err = b.c.invalid(Completions, res, "the reply has no completion of this prompt: try it again", nil)
		}
	}
	if j-i == 1 && reply.HasUsage {
		b.items[i].Usage = reply.Usage
	}
}

// numbered reports whether the choices have different numbers, each that of a prompt.
func numbered(choices []openai.CompletionChoice, prompts int) bool {
	seen := make([]int, 0, len(choices))
	for _, c := range choices {
		if c.Index < 0 || c.Index >= prompts {
			return false
		}
		seen = append(seen, c.Index)
	}
	slices.Sort(seen)
	return len(slices.Compact(seen)) == len(choices)
}

func (b *batch) item(res *wire.Response, choice openai.CompletionChoice) backend.BatchItem {
	it := backend.BatchItem{Text: choice.Text, FinishReason: choice.FinishReason}
	switch {
	case choice.FinishReason == openai.FinishContentFilter:
		it.Err = b.c.filtered(Completions, res)
	case choice.Text == "" && !b.options.Has(backend.NeutralStop):
		it.Err = b.c.invalid(Completions, res, "the completion is empty: try it again or change the prompt", nil)
	}
	return it
}

func setIfTold(dst *string, v string) {
	if v != "" {
		*dst = v
	}
}
