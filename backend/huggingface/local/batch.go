package local

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// GenerateBatch completes each prompt as it is, without the chat template: as many at a time as there are contexts. A
// prompt that is empty or too long fails alone.
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (reply backend.BatchReply, err error) {
	if b.problem != nil {
		return reply, named("batch", b.problem)
	}
	set, err := b.prepare("batch", req.Options.WithStream(false), req.Format)
	if err != nil {
		return reply, err
	}
	if err := b.enter("batch"); err != nil {
		return reply, err
	}
	defer b.running.Done()
	g := backend.Generation{Provider: provider, Model: b.shown(set.sent.Model()), Sent: set.sent, InProcess: true, Started: time.Now()}
	defer func() {
		g.Ended = time.Now()
		reply.Generation = g
	}()
	m, err := b.load(ctx, "batch", set.sent.Model())
	if err != nil {
		return reply, err
	}
	g.Model, g.ResponseModel, g.Sent = m.shown, m.weights.name(), set.sent.WithModel(m.shown)
	if g.ResponseModel == "" {
		g.ResponseModel = m.shown
	}

	items := make([]backend.BatchItem, req.Prompts.Len())
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(b.contexts, len(items)) {
		workers.Go(func() {
			for i := range next {
				items[i] = b.complete(ctx, m, set, req.Prompts.At(i))
			}
		})
	}
	for i := range items {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, it := range items {
		if it.Err == nil {
			g.Usage = g.Usage.Add(it.Usage)
			g.FinishReasons = g.FinishReasons.Append(it.FinishReason)
		}
	}
	if ctx.Err() != nil {
		return reply, context.Cause(ctx)
	}
	reply.Items = content.ListOf(items...)
	return reply, nil
}

// complete makes one item. After ctx has ended it returns at once.
func (b *Backend) complete(ctx context.Context, m *model, set settings, prompt string) backend.BatchItem {
	var text bytes.Buffer
	tokens, err := m.plan.raw(prompt)
	if err != nil {
		return backend.BatchItem{Err: err}
	}
	r := run{b: b, m: m, op: "batch", set: set, prompt: tokens, emit: func(_ time.Time, piece []byte) { text.Write(piece) }}
	err = r.do(ctx)
	return backend.BatchItem{Text: text.String(), FinishReason: r.finish, Err: err,
		Usage: content.Usage{InputTokens: r.in, OutputTokens: r.out}}
}
