package telemetry

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// backendLogs tells lines which call to a model they are written in, and sends the details and the exceptions of the calls.
type backendLogs struct{ j *journal }

func (p backendLogs) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Generation.Bracket(p.chat, third(p.j, "backend")...),
		hookpoint.Generation.Observe(p.sent, third(p.j, "backend")...),
		hookpoint.GenerationBatch.Bracket(p.batch, third(p.j, "backend")...),
		hookpoint.GenerationBatch.Observe(p.batchSent, third(p.j, "backend")...),
	}
}

func (p backendLogs) chat(ctx context.Context, pre hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
	e := p.j.open(ctx, familyGeneration, pre.Session.ID, pre.Iteration)
	e.model = pre.Model()
	if !p.j.events() {
		return e, nil
	}
	return e, e.generated
}

// sent corrects the model by what guards left.
func (p backendLogs) sent(ctx context.Context, pre hookpoint.GenerationStart) {
	if e := p.j.within(ctx); e != nil && e.family == familyGeneration {
		e.setModel(pre.Model())
	}
}

func (p backendLogs) batch(ctx context.Context, pre hookpoint.BatchStart) (context.Context, func(hookpoint.BatchOutcome)) {
	e := p.j.open(ctx, familyGeneration, pre.Session.ID, 0)
	e.model = pre.Model()
	if !p.j.events() {
		return e, nil
	}
	return e, e.completed
}

func (p backendLogs) batchSent(ctx context.Context, pre hookpoint.BatchStart) {
	if e := p.j.within(ctx); e != nil && e.family == familyGeneration {
		e.setModel(pre.Model())
	}
}

func (e *entry) generated(out hookpoint.GenerationOutcome) {
	pre, g := &out.Pre, &out.Post.Generation
	if pre.Iteration > 0 && out.Ending == hook.Completed {
		e.answeredBy(answered{pre.Iteration, trace.SpanContextFromContext(e), g.ResponseID})
	}
	if failed(out.Ending) {
		e.exception(out.Err, out.End)
	}
	if !e.detailed() {
		return
	}
	s := newScratch()
	defer s.release()
	a := concluded(s.attrs, out.Ending, out.Err)
	a = responded(tokens(a, g.Usage), g, out.Ending)
	a = question(a, semconv.GenAIOperationNameChat, &pre.Info, pre.Model(), g)
	a = conversed(a, pre.Conversation, pre.Prompt)
	sent := sentOptions(g, pre.Options)
	if g.Streaming || sent.Stream() {
		a = append(a, semconv.GenAIRequestStreamKey.Bool(true))
	}
	a = parameters(a, sent)
	if !pre.Format.IsZero() {
		a = append(a, semconv.GenAIOutputTypeKey.String(semconv.GenAIOutputTypeJSON))
	}
	if c := e.journal.capture; c.on && out.Ending != hook.Rejected {
		to := collector{attrs: a}
		c.exchange(&to, pre.Messages, pre.Tools, out.Post.Reply)
		c.variables(&to, pre.Variables, pre.Messages)
		a = to.attrs
	}
	s.attrs = a
	e.details(s.attrs, out.End)
}

func (e *entry) completed(out hookpoint.BatchOutcome) {
	pre, g := &out.Pre, &out.Post.Generation
	if failed(out.Ending) {
		e.exception(out.Err, out.End)
	}
	if !e.detailed() {
		return
	}
	s := newScratch()
	defer s.release()
	a := concluded(s.attrs, out.Ending, out.Err)
	a = responded(tokens(a, g.Usage), perPrompt(g, &out.Post), out.Ending)
	a = question(a, semconv.GenAIOperationNameTextCompletion, &pre.Info, pre.Model(), g)
	a = conversed(a, pre.Conversation, hookpoint.Prompt{})
	a = parameters(a, sentOptions(g, pre.Options))
	if !pre.Format.IsZero() {
		a = append(a, semconv.GenAIOutputTypeKey.String(semconv.GenAIOutputTypeJSON))
	}
	if c := e.journal.capture; c.on && out.Ending != hook.Rejected {
		to := collector{attrs: a}
		c.completions(&to, pre.Prompts, out.Post.Items)
		a = to.attrs
	}
	s.attrs = a
	e.details(s.attrs, out.End)
}

// detailed reports whether somebody takes the details of a call.
func (e *entry) detailed() bool {
	return wanted(e, e.journal.calls, semconv.EventGenAIClientInferenceOperationDetails, otellog.SeverityDebug)
}

func (e *entry) details(attrs []attribute.KeyValue, at time.Time) {
	for i, a := range attrs {
		if a.Value.Type() == attribute.STRING {
			attrs[i].Value = attribute.StringValue(valid(a.Value.AsString()))
		}
	}
	emit(e, e.journal.calls, semconv.EventGenAIClientInferenceOperationDetails, otellog.SeverityDebug, at, slices.Clip(attrs))
}

// exception tells of a call that failed, unless that has been told already.
func (e *entry) exception(err error, at time.Time) {
	const name = semconv.EventGenAIClientOperationException
	j := e.journal
	if !e.first(err) || !wanted(e, j.calls, name, otellog.SeverityWarn) {
		return
	}
	attrs := []attribute.KeyValue{semconv.ExceptionTypeKey.String(goType(err))}
	if text := j.capture.describe(err); text != "" {
		attrs = append(attrs, semconv.ExceptionMessageKey.String(text))
	}
	emit(e, j.calls, name, otellog.SeverityWarn, at, attrs)
}

// concluded adds how a call ended, where that was not well.
func concluded(a []attribute.KeyValue, ending hook.Ending, err error) []attribute.KeyValue {
	category := Cancelled
	switch ending {
	case hook.Completed:
		return a
	case hook.Failed:
		category = ClassifyError(err)
		a = append(a, semconv.ErrorTypeKey.String(ErrorType(err)))
	case hook.Rejected:
		category = Rejected
		a = rejection(a, err)
	}
	return append(a, semconv.MelleaOutcomeKey.String(ending.String()), semconv.MelleaErrorCategoryKey.String(string(category)))
}

// question adds what was asked and of whom.
func question(a []attribute.KeyValue, op string, info *backend.Info, model string, g *backend.Generation) []attribute.KeyValue {
	a = append(a, semconv.GenAIOperationNameKey.String(op), semconv.GenAIProviderNameKey.String(info.Provider))
	if g.Model != "" {
		model = g.Model
	}
	if model != "" {
		a = append(a, semconv.GenAIRequestModelKey.String(model))
	}
	if g.ServerAddress != "" {
		return server(a, g.ServerAddress, g.ServerPort)
	}
	return server(a, info.ServerAddress, info.ServerPort)
}

// A collector is a span that only keeps the attributes it is given: what captures content writes to spans.
type collector struct {
	noop.Span

	attrs []attribute.KeyValue
}

// IsRecording says that content is wanted.
func (*collector) IsRecording() bool { return true }

// SetAttributes keeps them.
func (c *collector) SetAttributes(kv ...attribute.KeyValue) { c.attrs = append(c.attrs, kv...) }
