package replay

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// item is what became of one prompt of a batch.
type item struct {
	Text         string   `json:"text,omitzero"`
	Base64       bool     `json:"base64,omitzero"`
	FinishReason string   `json:"finish_reason,omitzero"`
	Usage        usage    `json:"usage,omitzero"`
	Error        *failure `json:"error,omitzero"`
}

// recordBatch returns a batch's request as [recordRequest] does.
func recordBatch(req backend.BatchRequest, model string) (request, error) {
	r := request{Model: model, Messages: []message{}, Prompts: append([]string{}, req.Prompts.Slice()...)}
	if m := req.Options.Model(); m != "" {
		r.Model = m
	}
	if !req.Format.IsZero() {
		r.Format = &format{Name: req.Format.Name(), Schema: jsontext.Value(req.Format.JSON())}
	}
	var err error
	r.Options, err = recordOptions(req.Options)
	return r, err
}

func recordItem(it backend.BatchItem) item {
	r := item{Text: it.Text, FinishReason: it.FinishReason, Usage: recordUsage(it.Usage), Error: recordFailure(it.Err)}
	if r.Base64 = !utf8.ValidString(it.Text); r.Base64 {
		r.Text = base64.StdEncoding.EncodeToString([]byte(it.Text))
	}
	return r
}

func (i *item) item(provider string) backend.BatchItem {
	text := i.Text
	if i.Base64 {
		b, _ := base64.StdEncoding.DecodeString(text) // the file was checked
		text = string(b)
	}
	return backend.BatchItem{Text: text, FinishReason: i.FinishReason, Usage: i.Usage.usage(), Err: i.Error.err(provider)}
}

// GenerateBatch passes the batch on and writes it down when it has ended.
func (r *Recorder) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	index, ok := r.begin()
	if !ok {
		return r.inner.GenerateBatch(ctx, req)
	}
	defer r.running.Done()
	reply, err := r.inner.GenerateBatch(ctx, req)
	e := &exchange{Index: index, Generation: recordGeneration(reply.Generation), Error: recordFailure(err)}
	for it := range reply.Items.Values() {
		e.Items = append(e.Items, recordItem(it))
	}
	r.record(ctx, e, func(model string) (request, error) { return recordBatch(req, model) })
	return reply, err
}

// GenerateBatch replays a batch as [Backend.Generate] replays a generation. Its reply comes as a whole, when the recorded
// one had ended.
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	e, err := b.find(recordBatch(req, b.header.Model))
	if err != nil {
		return backend.BatchReply{}, err
	}
	started := time.Now()
	reply := backend.BatchReply{Generation: b.generation(e.Generation, started, false)}
	p := player{exchange: e, timing: b.timing, started: started, provider: b.header.Provider}
	err = p.wait(ctx, e.Generation.Ended)
	reply.Generation.Ended = time.Now()
	if err != nil {
		return reply, err
	}
	items := make([]backend.BatchItem, len(e.Items))
	for i := range e.Items {
		items[i] = e.Items[i].item(b.header.Provider)
	}
	reply.Items = content.ListOf(items...)
	return reply, e.Error.err(b.header.Provider)
}

// checkItems finds what a batch may not say.
func (e *exchange) checkItems() error {
	switch {
	case e.Request.Prompts == nil && e.Items != nil:
		return errors.New("it has items and no prompts")
	case e.Request.Prompts != nil && (e.Chunks != nil || len(e.Request.Messages) > 0):
		return errors.New("it has prompts beside messages or chunks")
	case e.Error == nil && len(e.Items) != len(e.Request.Prompts):
		return errors.New("it has not one item for each prompt")
	}
	for i := range e.Items {
		it := &e.Items[i]
		if !it.Usage.sane() {
			return fmt.Errorf("item %d: a count of tokens is negative", i+1)
		}
		if it.Base64 {
			if _, err := base64.StdEncoding.DecodeString(it.Text); err != nil {
				return fmt.Errorf("item %d: not base64", i+1)
			}
		}
		if err := it.Error.check(); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return nil
}
