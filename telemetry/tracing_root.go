package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// NewTrace returns a context beneath which the next spans begin traces of their own, each with a link to the span that
// is current in ctx. It is for work of which there is much, such as the lines of a batch or the messages of a queue: a
// trace for each can be read, one for all cannot. Spans below the first are its children as ever.
//
// Without a current span it returns ctx: what comes next is a root anyway.
func NewTrace(ctx context.Context) context.Context {
	current := trace.SpanContextFromContext(ctx)
	if !current.IsValid() {
		return ctx
	}
	return context.WithValue(ctx, originKey{}, current)
}

type originKey struct{}

// originOf returns the span that one opened in ctx is to link to in place of being its child; it is not valid for none.
// The mark of [NewTrace] counts only as long as the span it was set beneath is the current one.
func originOf(ctx context.Context) trace.SpanContext {
	origin, ok := ctx.Value(originKey{}).(trace.SpanContext)
	if !ok || !same(origin, trace.SpanContextFromContext(ctx)) {
		return trace.SpanContext{}
	}
	return origin
}
