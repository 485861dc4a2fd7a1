package telemetry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// backendPlugin traces chat, with the chunks of a stream where that is switched on, and text_completion, and hands trace
// context to the transport.
type backendPlugin struct{ t *tracer }

func (p backendPlugin) Bindings() []hook.Binding {
	all := []hook.Binding{
		hookpoint.Generation.Bracket(p.chat, outermost(p.t, "backend")...),
		hookpoint.GenerationBatch.Bracket(p.batch, outermost(p.t, "backend")...),
	}
	if p.t.chunkEvery > 0 {
		all = append(all, hookpoint.GenerationEvent.On(p.chunk, outermost(p.t, "backend")...))
	}
	return all
}

func (p backendPlugin) chat(ctx context.Context, pre hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
	o, beneath := p.t.inference(ctx, semconv.GenAIOperationNameChat, pre.Session, &pre.Info, valid(pre.Model()))
	return beneath, o.generated
}

// inference opens the span of a call to a model, and returns the context for what is beneath it.
func (t *tracer) inference(ctx context.Context, op string, session hookpoint.SessionRef, info *backend.Info, model string) (*operation, context.Context) {
	kind := client
	if info.InProcess {
		kind = internal
	}
	s := t.scratch()
	a := s.attrs
	a = append(a, semconv.GenAIOperationNameKey.String(op), semconv.GenAIProviderNameKey.String(info.Provider))
	if model != "" {
		a = append(a, semconv.GenAIRequestModelKey.String(model))
	}
	s.attrs = server(a, info.ServerAddress, info.ServerPort)
	o := t.open(t.place(ctx, session), t.backend, familyGeneration, session.ID, t.names.of(op, model), kind, s.attrs...)
	t.release(s)
	if t.propagator == nil || info.InProcess {
		return o, o
	}
	return o, backend.WithCarrier(o, t.carrier(o, info.ServerAddress))
}

func server(a []attribute.KeyValue, address string, port int) []attribute.KeyValue {
	if address == "" {
		return a
	}
	a = append(a, semconv.ServerAddressKey.String(address))
	if port > 0 {
		a = append(a, semconv.ServerPortKey.Int(port))
	}
	return a
}

// carrier sends traceparent and tracestate to a model server, and baggage to those it was allowed for.
func (t *tracer) carrier(ctx context.Context, host string) func(set func(key, value string)) {
	return func(set func(key, value string)) {
		t.propagator.Inject(ctx, setter(set))
		if t.baggageTo[strings.ToLower(host)] {
			propagation.Baggage{}.Inject(ctx, setter(set))
		}
	}
}

// setter is a carrier that only writes.
type setter func(key, value string)

func (setter) Get(string) string       { return "" }
func (setter) Keys() []string          { return nil }
func (s setter) Set(key, value string) { s(key, value) }

func (o *operation) generated(out hookpoint.GenerationOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	if !o.span.IsRecording() {
		s.attrs = o.outcome(s.attrs, out.Ending, out.Err)
		return
	}
	// Usage and errors first: a limit on attributes must not cost them.
	pre, g := &out.Pre, &out.Post.Generation
	a := o.outcome(s.attrs, out.Ending, out.Err)
	a = usage(a, g)
	a = response(a, g, out.Ending)
	a = o.request(a, pre, g)
	s.attrs = a
	o.set(a)
	o.events(g, out.Ending)
	if out.Ending == hook.Rejected || !o.tracer.capture.documents() {
		return
	}
	o.tracer.capture.exchange(o.span, pre.Messages, pre.Tools, out.Post.Reply)
	o.tracer.capture.variables(o.span, pre.Variables, pre.Messages)
}

// request adds what was asked for: the parameters as sent, or as asked for when nothing was sent.
func (o *operation) request(a []attribute.KeyValue, pre *hookpoint.GenerationStart, g *backend.Generation) []attribute.KeyValue {
	a = o.asked(a, semconv.GenAIOperationNameChat, &pre.Info, pre.Model(), g)
	a = conversed(a, pre.Conversation, pre.Prompt)
	sent := sentOptions(g, pre.Options)
	if g.Streaming || sent.Stream() {
		a = append(a, semconv.GenAIRequestStreamKey.Bool(true))
	}
	a = formatted(parameters(a, sent), pre.Format)
	if pre.Info.Provider == semconv.GenAIProviderNameOpenAI {
		a = openAI(append(a, semconv.OpenAIAPITypeKey.String(semconv.OpenAIAPITypeChatCompletions)), g)
	}
	if pre.Kind != "" {
		a = append(a, semconv.MelleaComponentTypeKey.String(pre.Kind))
	}
	a = retries(append(a, semconv.MelleaRequestContextSizeKey.Int(pre.ContextSize)), g)
	if pre.Iteration > 0 {
		a = append(a, semconv.MelleaSamplingIterationKey.Int(pre.Iteration))
	}
	return a
}

// conversed adds what the program calls the conversation and the prompt.
func conversed(a []attribute.KeyValue, conversation string, prompt hookpoint.Prompt) []attribute.KeyValue {
	if conversation != "" {
		a = append(a, semconv.GenAIConversationIDKey.String(conversation))
	}
	if prompt.Name != "" {
		a = append(a, semconv.GenAIPromptNameKey.String(prompt.Name))
		if prompt.Version != "" {
			a = append(a, semconv.GenAIPromptVersionKey.String(prompt.Version))
		}
	}
	return a
}

// asked corrects what was said of the call when its span was opened by what the backend says it did.
func (o *operation) asked(a []attribute.KeyValue, op string, info *backend.Info, model string, g *backend.Generation) []attribute.KeyValue {
	if g.Model != "" {
		model = g.Model
	}
	if model = valid(model); model != "" {
		a = append(a, semconv.GenAIRequestModelKey.String(model))
		o.span.SetName(o.tracer.names.of(op, model))
	}
	if g.ServerAddress != "" && (g.ServerAddress != info.ServerAddress || g.ServerPort != info.ServerPort) {
		a = server(a, g.ServerAddress, g.ServerPort)
	}
	if g.Provider != "" && g.Provider != info.Provider {
		a = append(a, semconv.GenAIProviderNameKey.String(g.Provider))
	}
	return a
}

// sentOptions are those that were sent, or those that were asked for when nothing was.
func sentOptions(g *backend.Generation, asked backend.Options) backend.Options {
	if g.Sent.IsZero() {
		return asked
	}
	return g.Sent
}

func formatted(a []attribute.KeyValue, format schema.Schema) []attribute.KeyValue {
	if format.IsZero() {
		return a
	}
	return append(a, semconv.GenAIOutputTypeKey.String(semconv.GenAIOutputTypeJSON),
		semconv.MelleaRequestFormatTypeKey.String(format.Name()))
}

func retries(a []attribute.KeyValue, g *backend.Generation) []attribute.KeyValue {
	if n := g.Retries.Len(); n > 0 {
		a = append(a, semconv.MelleaRequestRetriesKey.Int(n))
	}
	return a
}

func parameters(a []attribute.KeyValue, o backend.Options) []attribute.KeyValue {
	if v, ok := o.Temperature(); ok {
		a = append(a, semconv.GenAIRequestTemperatureKey.Float64(v))
	}
	if v, ok := o.TopP(); ok {
		a = append(a, semconv.GenAIRequestTopPKey.Float64(v))
	}
	if v, ok := o.TopK(); ok {
		a = append(a, semconv.GenAIRequestTopKKey.Int(v))
	}
	if v, ok := o.MaxTokens(); ok {
		a = append(a, semconv.GenAIRequestMaxTokensKey.Int(v))
	}
	if v, ok := o.Seed(); ok {
		a = append(a, semconv.GenAIRequestSeedKey.Int64(v))
	}
	if v, ok := o.FrequencyPenalty(); ok {
		a = append(a, semconv.GenAIRequestFrequencyPenaltyKey.Float64(v))
	}
	if v, ok := o.PresencePenalty(); ok {
		a = append(a, semconv.GenAIRequestPresencePenaltyKey.Float64(v))
	}
	if v := o.Stop(); len(v) > 0 {
		for i := range v {
			v[i] = valid(v[i])
		}
		a = append(a, semconv.GenAIRequestStopSequencesKey.StringSlice(v))
	}
	if v := o.Thinking(); v != "" {
		a = append(a, semconv.GenAIRequestReasoningLevelKey.String(v))
	}
	if v, ok := o.Extra("n"); ok {
		if n, ok := v.(int); ok && n != 1 {
			a = append(a, semconv.GenAIRequestChoiceCountKey.Int(n))
		}
	}
	return a
}

// openAI adds what the conventions ask of OpenAI's own service, whichever of its APIs was called.
func openAI(a []attribute.KeyValue, g *backend.Generation) []attribute.KeyValue {
	if tier, ok := g.Sent.Extra("service_tier"); ok {
		if tier, ok := tier.(string); ok && tier != "auto" {
			a = append(a, semconv.OpenAIRequestServiceTierKey.String(valid(tier)))
		}
	}
	if g.ServiceTier != "" {
		a = append(a, semconv.OpenAIResponseServiceTierKey.String(valid(g.ServiceTier)))
	}
	if g.SystemFingerprint != "" {
		a = append(a, semconv.OpenAIResponseSystemFingerprintKey.String(valid(g.SystemFingerprint)))
	}
	return a
}

func response(a []attribute.KeyValue, g *backend.Generation, ending hook.Ending) []attribute.KeyValue {
	if g.RequestID != "" {
		a = append(a, semconv.MelleaResponseRequestIDKey.String(g.RequestID))
	}
	return responded(a, g, ending)
}

// responded is the part of response that the conventions have.
func responded(a []attribute.KeyValue, g *backend.Generation, ending hook.Ending) []attribute.KeyValue {
	if g.ResponseID != "" {
		a = append(a, semconv.GenAIResponseIDKey.String(g.ResponseID))
	}
	if g.ResponseModel != "" {
		a = append(a, semconv.GenAIResponseModelKey.String(g.ResponseModel))
	}
	switch n := g.FinishReasons.Len(); {
	case n == 1:
		a = append(a, finished(g.FinishReasons.At(0)))
	case n > 1:
		reasons := g.FinishReasons.Slice()
		for i := range reasons {
			reasons[i] = valid(reasons[i])
		}
		a = append(a, semconv.GenAIResponseFinishReasonsKey.StringSlice(reasons))
	case ending != hook.Completed && g.Chunks > 0:
		// A choice whose reason never arrived has this one.
		a = append(a, finished("error"))
	}
	if d, ok := g.TimeToFirstChunk(); ok && g.Streaming {
		a = append(a, semconv.GenAIResponseTimeToFirstChunkKey.Float64(d.Seconds()))
	}
	return a
}

// Finish reasons that most generations have, made once.
var finishedStop, finishedLength = finishReason("stop"), finishReason("length")

func finished(reason string) attribute.KeyValue {
	switch reason {
	case "stop":
		return finishedStop
	case "length":
		return finishedLength
	}
	return finishReason(reason)
}

func finishReason(reason string) attribute.KeyValue {
	return semconv.GenAIResponseFinishReasonsKey.StringSlice([]string{valid(reason)})
}

// usage adds what the call used, and what the server says it cost.
func usage(a []attribute.KeyValue, g *backend.Generation) []attribute.KeyValue {
	if g.Cost.Reported {
		a = append(a, semconv.MelleaUsageCostUSDKey.Float64(g.Cost.USD))
	}
	u := g.Usage
	if !u.Reported() {
		return a
	}
	return tokens(append(a, semconv.MelleaUsageTotalTokensKey.Int(u.Total())), u)
}

// tokens is the part of usage that the conventions have.
func tokens(a []attribute.KeyValue, u content.Usage) []attribute.KeyValue {
	if !u.Reported() {
		return a
	}
	a = append(a,
		semconv.GenAIUsageInputTokensKey.Int(u.InputTokens),
		semconv.GenAIUsageOutputTokensKey.Int(u.OutputTokens))
	some := func(key attribute.Key, n int) {
		if n > 0 {
			a = append(a, key.Int(n))
		}
	}
	some(semconv.GenAIUsageCacheReadInputTokensKey, u.CacheReadTokens)
	some(semconv.GenAIUsageCacheWriteInputTokensKey, u.CacheWriteTokens)
	some(semconv.GenAIUsageReasoningOutputTokensKey, u.ReasoningTokens)
	some(semconv.GenAIUsageTextInputTokensKey, u.Text.InputTokens)
	some(semconv.GenAIUsageTextOutputTokensKey, u.Text.OutputTokens)
	some(semconv.GenAIUsageTextCacheReadInputTokensKey, u.Text.CacheReadTokens)
	some(semconv.GenAIUsageImageInputTokensKey, u.Image.InputTokens)
	some(semconv.GenAIUsageImageOutputTokensKey, u.Image.OutputTokens)
	some(semconv.GenAIUsageImageCacheReadInputTokensKey, u.Image.CacheReadTokens)
	some(semconv.GenAIUsageAudioInputTokensKey, u.Audio.InputTokens)
	some(semconv.GenAIUsageAudioOutputTokensKey, u.Audio.OutputTokens)
	some(semconv.GenAIUsageAudioCacheReadInputTokensKey, u.Audio.CacheReadTokens)
	return a
}

// events adds retries, chunks and milestones at their times. A limit on events evicts the oldest added, so the
// milestones come last.
func (o *operation) events(g *backend.Generation, ending hook.Ending) {
	for i, r := range g.Retries.All() {
		o.event(semconv.EventRetry, r.At, retry(i+1, r)...)
	}
	if !g.Streaming {
		return
	}
	var suppressed int
	o.mu.Lock()
	log := o.chunks
	o.mu.Unlock()
	if log != nil {
		suppressed = log.seen - len(log.kept)
		for _, c := range log.kept {
			o.event(semconv.EventChunkProcessed, c.At, chunk(c)...)
		}
	}
	if d, ok := g.TimeToFirstChunk(); ok {
		o.event(semconv.EventFirstChunk, g.FirstChunk, semconv.GenAIResponseTimeToFirstChunkKey.Float64(d.Seconds()))
	}
	if d, ok := g.TimeToFirstToken(); ok {
		o.event(semconv.EventFirstToken, g.FirstToken, semconv.MelleaGenerationTimeToFirstTokenKey.Float64(d.Seconds()))
	}
	if ending == hook.Completed {
		attrs := []attribute.KeyValue{semconv.MelleaGenerationChunksKey.Int(g.Chunks)}
		if suppressed > 0 {
			attrs = append(attrs, semconv.MelleaGenerationEventsSuppressedKey.Int(suppressed))
		}
		o.event(semconv.EventStreamComplete, g.Ended, attrs...)
	}
}

func (o *operation) event(name string, at time.Time, attrs ...attribute.KeyValue) {
	o.span.AddEvent(name, trace.WithTimestamp(at), trace.WithAttributes(attrs...))
}

func retry(number int, r backend.Retry) []attribute.KeyValue {
	reason := semconv.ErrorTypeOther
	switch {
	case r.Status != 0:
		reason = strconv.Itoa(r.Status)
	case isToken(r.Reason):
		reason = r.Reason
	}
	return []attribute.KeyValue{
		semconv.MelleaRetryAttemptKey.Int(number),
		semconv.ErrorTypeKey.String(reason),
		semconv.MelleaRetryDelayKey.Float64(r.Delay.Seconds()),
	}
}
