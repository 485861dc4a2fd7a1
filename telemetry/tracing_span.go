package telemetry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A tracer opens and ends the spans of one [Telemetry]. It is shared by the plugin types of all families, and its
// address is the key by which it finds its own operations in a context.
type tracer struct {
	application, backend trace.Tracer
	sessions             SessionMode
	capture              capture
	chunkEvery           int // of chunk_processed events; 0 is off
	propagator           propagation.TextMapPropagator
	baggageTo            map[string]bool
	hashKey              []byte
	reuse                bool // the SDK's own spans copy what they are given
	started              startedSessions
	names                spanNames
}

// family is what an operation is a span of.
type family uint8

const (
	familyStartSession family = iota
	familySession
	familyComponent
	familySampling
	familyValidation
	familyRequirement
	familyGeneration
	familyTool
	familyCommand
)

// An operation is an open span and the context beneath it: being both saves an allocation for each span.
type operation struct {
	context.Context

	tracer  *tracer
	parent  *operation // the nearest operation of the same tracer, nil for none
	family  family
	session string // id
	foreign bool   // the parent is not a span of the session, so the span says which session it belongs to
	span    trace.Span
	start   time.Time // of a span that cannot tell

	// What beneath the operation is to be told on its span when it ends. mu guards it: attempts run in parallel.
	mu       sync.Mutex
	failure  failure
	rejected error // of a command
	template string
	rendered int
	format   func(hookpoint.FormatOutcome)
	chunks   *chunkLog
}

// A failure is an error and how it was called where it arose, so that every span it passes calls it the same.
type failure struct {
	err      error
	typ      string
	category Category
}

// Value returns the operation itself for its tracer's key.
func (o *operation) Value(key any) any {
	if key == any(o.tracer) {
		return o
	}
	return o.Context.Value(key)
}

// within returns the operation of this tracer that ctx runs in, nil for none.
func (t *tracer) within(ctx context.Context) *operation {
	o, _ := ctx.Value(t).(*operation)
	return o
}

// below returns the nearest operation of family f that ctx runs in. Operations of barrier families end the search.
func (t *tracer) below(ctx context.Context, f family, barrier ...family) *operation {
	for o := t.within(ctx); o != nil; o = o.parent {
		if o.family == f {
			return o
		}
		if slices.Contains(barrier, o.family) {
			return nil
		}
	}
	return nil
}

// placement says where in the trace an operation goes.
type placement struct {
	ctx     context.Context // its current span becomes the parent
	began   time.Time       // when the operation did, for hook and so for everybody
	link    trace.SpanContext
	origin  trace.SpanContext // with NewTrace: the span to link to in place of being its child
	asked   trace.SpanContext // of a tool call: the chat that asked for it
	foreign bool
	parent  *operation
}

// here places an operation beneath whatever is current in ctx.
func (t *tracer) here(ctx context.Context) placement {
	p := placement{ctx: ctx, parent: t.within(ctx), origin: originOf(ctx)}
	p.began, _ = hook.Started(ctx)
	return p
}

// place applies the parent rule: beneath an operation of the same session the current span is the parent. Otherwise it
// is the span in the call's context, if there is one that was not current when the session was started, with a link to
// the session's span; and without such a span it is the session's.
func (t *tracer) place(ctx context.Context, ref hookpoint.SessionRef) placement {
	p := t.here(ctx)
	own, current := p.parent, trace.SpanContextFromContext(ctx)
	if own != nil && !current.IsValid() {
		p.ctx = trace.ContextWithSpan(ctx, own.span)
	}
	if ref.ID == "" || own != nil && own.session == ref.ID {
		return p
	}
	session := t.within(ref.Scope())
	if t.sessions == Nest && session != nil && session.session == ref.ID && !p.origin.IsValid() &&
		(!current.IsValid() || same(current, trace.SpanContextFromContext(ref.Start()))) {
		p.ctx, p.parent = trace.ContextWithSpan(ctx, session.span), session
		return p
	}
	p.foreign = true
	if session != nil && session.session == ref.ID {
		p.link = session.span.SpanContext()
	}
	return p
}

func same(a, b trace.SpanContext) bool { return a.TraceID() == b.TraceID() && a.SpanID() == b.SpanID() }

// open starts a span. Attributes given here are seen by samplers; all others are set when the operation ends.
func (t *tracer) open(p placement, in trace.Tracer, f family, session, name string, kind trace.SpanStartOption, attrs ...attribute.KeyValue) *operation {
	o := &operation{tracer: t, parent: p.parent, family: f, session: session, foreign: p.foreign}
	s := t.scratch()
	defer t.release(s)
	if o.start = p.began; o.start.IsZero() {
		o.start = time.Now() // a span without a hook point
	}
	s.start = append(s.start[:0], kind, trace.WithTimestamp(o.start))
	if len(attrs) > 0 {
		s.start = append(s.start, trace.WithAttributes(attrs...))
	}
	if p.link.IsValid() {
		s.start = append(s.start, trace.WithLinks(trace.Link{SpanContext: p.link}))
	}
	if p.asked.IsValid() {
		s.start = append(s.start, trace.WithLinks(trace.Link{SpanContext: p.asked}))
	}
	if p.origin.IsValid() {
		s.start = append(s.start, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: p.origin}))
	}
	o.Context, o.span = in.Start(p.ctx, name, s.start...) //nolint:spancheck // end ends it
	return o
}

// Kinds of spans, made once.
var (
	internal = trace.WithSpanKind(trace.SpanKindInternal)
	client   = trace.WithSpanKind(trace.SpanKindClient)
)

// end ends the span. It starts and ends when the outcome does, by the monotonic clock, so it equals a duration metric of
// the same operation.
func (o *operation) end(start, end time.Time) {
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	s.end = append(s.end[:0], trace.WithTimestamp(o.start.Add(end.Sub(start))))
	o.span.End(s.end...)
}

// outcome adds what an ending that is not ok leaves on a span, and sets its status. It must run for spans that do not
// record, too: their parents may.
func (o *operation) outcome(attrs []attribute.KeyValue, ending hook.Ending, err error) []attribute.KeyValue {
	switch ending {
	case hook.Completed:
		return attrs
	case hook.Failed:
		f := o.failed(err)
		o.span.SetStatus(codes.Error, o.tracer.capture.describe(err))
		return append(attrs, semconv.MelleaOutcomeKey.String(semconv.MelleaOutcomeError),
			semconv.ErrorTypeKey.String(f.typ), semconv.MelleaErrorCategoryKey.String(string(f.category)))
	case hook.Rejected:
		o.denied(err)
		return rejection(append(attrs, semconv.MelleaOutcomeKey.String(semconv.MelleaOutcomeRejected),
			semconv.MelleaErrorCategoryKey.String(string(Rejected))), err)
	}
	return append(attrs, semconv.MelleaOutcomeKey.String(ending.String()),
		semconv.MelleaErrorCategoryKey.String(string(Cancelled)))
}

// rejection adds who denied the call. The reason is content and the code of a careless plugin might be.
func rejection(attrs []attribute.KeyValue, err error) []attribute.KeyValue {
	r, ok := errors.AsType[*hook.Rejection](err)
	if !ok {
		return attrs
	}
	attrs = append(attrs, semconv.MelleaRejectionPointKey.String(r.Point))
	if r.Plugin != "" {
		attrs = append(attrs, semconv.MelleaRejectionPluginKey.String(r.Plugin))
	}
	switch {
	case isToken(r.Code):
		attrs = append(attrs, semconv.MelleaRejectionCodeKey.String(r.Code))
	case r.Code != "":
		attrs = append(attrs, semconv.MelleaRejectionCodeKey.String(semconv.ErrorTypeOther))
	}
	return attrs
}

// denied tells the command that the operation is a part of, if any: it learns of no error, only of its exit code.
func (o *operation) denied(err error) {
	for p := o.parent; p != nil; p = p.parent {
		if p.family == familyCommand {
			p.mu.Lock()
			p.rejected = err
			p.mu.Unlock()
		}
	}
}

// failed names the operation's error as it was named beneath, where it comes from there, and tells those above.
func (o *operation) failed(err error) failure {
	o.mu.Lock()
	f := o.failure
	o.mu.Unlock()
	if f.err == nil || !errors.Is(err, f.err) {
		f.typ, f.category = ErrorType(err), ClassifyError(err)
	}
	f.err = err
	for p := o.parent; p != nil; p = p.parent {
		p.mu.Lock()
		p.failure = f
		p.mu.Unlock()
	}
	return f
}

// membership adds the session's id where the parent does not tell it.
func (o *operation) membership(attrs []attribute.KeyValue) []attribute.KeyValue {
	if o.foreign {
		return append(attrs, semconv.MelleaSessionIDKey.String(o.session))
	}
	return attrs
}

// A scratch holds slices that are needed only while a span is started or ended.
type scratch struct {
	attrs []attribute.KeyValue
	start []trace.SpanStartOption
	end   []trace.SpanEndOption
}

var scratches = sync.Pool{New: func() any {
	return &scratch{
		attrs: make([]attribute.KeyValue, 0, 48),
		start: make([]trace.SpanStartOption, 0, 4),
		end:   make([]trace.SpanEndOption, 0, 1),
	}
}}

func (t *tracer) scratch() *scratch {
	if !t.reuse {
		return &scratch{}
	}
	return newScratch()
}

func (t *tracer) release(s *scratch) {
	if t.reuse {
		s.release()
	}
}

func newScratch() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) release() {
	clear(s.attrs)
	clear(s.start)
	clear(s.end)
	s.attrs, s.start, s.end = s.attrs[:0], s.start[:0], s.end[:0]
	scratches.Put(s)
}
