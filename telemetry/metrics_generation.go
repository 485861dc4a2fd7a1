package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// backendMetrics records the calls to models: their durations, chunks, tokens and cost.
type backendMetrics struct{ m *meter }

func (p backendMetrics) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Generation.Bracket(p.chat, second(p.m, "backend")...),
		hookpoint.GenerationBatch.Bracket(p.batch, second(p.m, "backend")...),
		hookpoint.GenerationEvent.On(p.chunk, second(p.m, "backend")...),
	}
}

func (p backendMetrics) chat(ctx context.Context, pre hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
	x := p.m.open(ctx)
	x.call = p.m.labels.of(p.m.labels.call(semconv.GenAIOperationNameChat, &pre.Info, pre.Model(), nil))
	return x, x.generated
}

// chunk records the time of each chunk after the first, while the reply arrives: who answered is not known then.
func (p backendMetrics) chunk(ctx context.Context, c hookpoint.ChunkArrived) {
	if c.Index == 0 {
		return
	}
	if x := p.m.within(ctx); x != nil && x.call != nil {
		p.m.in.perChunk.record(ctx, c.SincePrevious.Seconds(), x.call)
	}
}

func (x *measurement) generated(out hookpoint.GenerationOutcome) {
	x.called(semconv.GenAIOperationNameChat, &out.Pre.Info, out.Pre.Model(), &out.Post.Generation, ended{
		ending: out.Ending, err: out.Err, duration: seconds(out.Start, out.End), batch: mayWait(&out.Post.Generation),
	})
}

// mayWait reports whether a call costs what those in a batch do: OpenAI's service tier flex.
func mayWait(g *backend.Generation) bool {
	tier := g.ServiceTier
	if asked, ok := g.Sent.Extra("service_tier"); ok && tier == "" {
		tier, _ = asked.(string)
	}
	return g.Provider == semconv.GenAIProviderNameOpenAI && (tier == "flex" || tier == "batch")
}

func (p backendMetrics) batch(ctx context.Context, _ hookpoint.BatchStart) (context.Context, func(hookpoint.BatchOutcome)) {
	x := p.m.open(ctx)
	return x, x.completed
}

func (x *measurement) completed(out hookpoint.BatchOutcome) {
	x.called(semconv.GenAIOperationNameTextCompletion, &out.Pre.Info, out.Pre.Model(), &out.Post.Generation, ended{
		ending: out.Ending, err: out.Err, duration: seconds(out.Start, out.End), batch: mayWait(&out.Post.Generation),
	})
}

// ended is how a call to a model ended.
type ended struct {
	ending   hook.Ending
	err      error
	duration float64
	batch    bool // it costs what calls in a provider's batch do; several prompts in one request do not
}

// called records a call that has ended, however it did. The tokens of a call that failed were used all the same.
func (x *measurement) called(op string, info *backend.Info, model string, g *backend.Generation, end ended) {
	m := x.meter
	c := m.labels.call(op, info, model, g)
	if end.ending == hook.Failed {
		c.err = boundedErrorType(end.err)
	}
	m.in.duration.record(x, end.duration, m.labels.of(c))
	c.err = ""
	s := m.labels.of(c)
	if d, ok := g.TimeToFirstChunk(); ok && g.Streaming {
		plain := c
		plain.tier, plain.fingerprint = "", "" // the conventions have them on the others only
		m.in.firstChunk.record(x, d.Seconds(), m.labels.of(plain))
	}
	if g.Usage.Reported() {
		x.tokens(c, s, g.Usage)
	}
	x.cost(c, g, end.batch)
	x.close(end.ending, end.err, &c)
}

func (x *measurement) tokens(c callLabels, s *series, u content.Usage) {
	m, in := x.meter, &x.meter.in
	in.inputTokens.record(x, u.InputTokens, s)
	in.outputTokens.record(x, u.OutputTokens, s)
	if in.legacyTokens != nil {
		in.legacyTokens.record(x, u.InputTokens, m.labels.token(c, "", "input"))
		in.legacyTokens.record(x, u.OutputTokens, m.labels.token(c, "", "output"))
	}
	if in.usedInput == nil {
		return
	}
	rest := u // what no modality is known of
	for _, part := range [...]struct {
		modality string
		use      content.Modality
	}{
		{semconv.GenAITokenModalityText, u.Text}, {semconv.GenAITokenModalityImage, u.Image}, {semconv.GenAITokenModalityAudio, u.Audio},
	} {
		if part.use == (content.Modality{}) {
			continue
		}
		s := m.labels.token(c, part.modality, "")
		x.count(in.usedInput, part.use.InputTokens, s)
		x.count(in.usedOutput, part.use.OutputTokens, s)
		x.count(in.cacheRead, part.use.CacheReadTokens, s)
		rest.InputTokens -= part.use.InputTokens
		rest.OutputTokens -= part.use.OutputTokens
		rest.CacheReadTokens -= part.use.CacheReadTokens
	}
	unknown := m.labels.token(c, semconv.GenAITokenModalityUnknown, "")
	x.count(in.usedInput, rest.InputTokens, unknown)
	x.count(in.usedOutput, rest.OutputTokens, unknown)
	x.count(in.cacheRead, rest.CacheReadTokens, unknown)
	x.count(in.cacheWrite, u.CacheWriteTokens, unknown)
	x.count(in.thought, u.ReasoningTokens, unknown)
}

func (x *measurement) count(in metric.Int64Counter, n int, s *series) {
	if n > 0 {
		in.Add(x, int64(n), s.add...)
	}
}

// cost counts what the server says a call cost, or else what it costs by the prices at hand.
func (x *measurement) cost(c callLabels, g *backend.Generation, batch bool) {
	m := x.meter
	switch {
	case g.Cost.Reported:
		if g.Cost.USD > 0 {
			m.in.cost.Add(x, g.Cost.USD, m.labels.cost(c).add...)
		}
		return
	case m.prices == nil || !g.Usage.Reported():
		return
	}
	model := g.ResponseModel
	usd, ok := m.prices.Cost(c.provider, model, g.Usage, batch)
	if !ok {
		model = g.Model
		usd, ok = m.prices.Cost(c.provider, model, g.Usage, batch)
	}
	switch {
	case !ok && m.warn != nil:
		m.warn(x, c.provider, model)
	case usd > 0:
		m.in.cost.Add(x, usd, m.labels.cost(c).add...)
	}
}
