package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// logHandler is what [Telemetry.LogHandler] returns: it adds what the context tells to each record, and hands it to
// every sink. A group that a program opens stays open for the sinks' part only as long as one record is built, as what
// the context tells stands outside of all groups.
type logHandler struct {
	levels  *levels
	journal *journal
	sinks   []logSink
	groups  []scopedAttrs // what was added since the first group was opened; nil while none is
	said    fields        // what the program says itself, outside of groups
}

// A logSink is where records go, with the attributes that stand outside of groups already added.
type logSink struct {
	slog.Handler

	near   bool   // takes what exporters of logs report about themselves: it delivers nothing
	traced bool   // its records have a trace id and a span id of their own
	tell   func() // reports what went wrong, which no lock must be held for; may be nil
}

// scopedAttrs are attributes, or the opening of a group when it has a name.
type scopedAttrs struct {
	group string
	attrs []slog.Attr
}

// fields is a set of the fields that the handler adds.
type fields uint8

const (
	fieldTraceID fields = 1 << iota
	fieldSpanID
	fieldSessionID
	fieldRequestID
	fieldModel
	fieldIteration
)

func fieldOf(key string) fields {
	switch key {
	case semconv.LogKeyTraceID:
		return fieldTraceID
	case semconv.LogKeySpanID:
		return fieldSpanID
	case semconv.LogKeySessionID:
		return fieldSessionID
	case semconv.LogKeyRequestID:
		return fieldRequestID
	case semconv.LogKeyModel:
		return fieldModel
	case semconv.LogKeySamplingIteration:
		return fieldIteration
	}
	return 0
}

// fieldsIn returns those that an attribute gives outside of groups.
func fieldsIn(a slog.Attr) fields {
	if a.Key != "" {
		return fieldOf(a.Key)
	}
	var all fields
	if v := a.Value.Resolve(); v.Kind() == slog.KindGroup { // such a group's attributes stand where it does
		for _, in := range v.Group() {
			all |= fieldsIn(in)
		}
	}
	return all
}

// Enabled reports whether a record of that level may be wanted: of some package at least.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.levels.lowest() && slices.ContainsFunc(h.sinks, func(s logSink) bool { return s.Enabled(ctx, level) })
}

// Handle adds what the context tells, and hands the record to the sinks.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.levels.want(r) {
		return nil
	}
	said := h.said
	if h.groups != nil {
		r = h.grouped(r)
	} else {
		r.Attrs(func(a slog.Attr) bool {
			said |= fieldsIn(a)
			return true
		})
	}
	var list [6]slog.Attr
	trace, rest := h.context(ctx, said, list[:0])
	local := staysLocal(ctx)
	var errs []error
	for _, s := range h.sinks {
		if local && !s.near || !s.Enabled(ctx, r.Level) {
			continue
		}
		of := r.Clone()
		if !s.traced {
			of.AddAttrs(trace...)
		}
		of.AddAttrs(rest...)
		if err := s.Handle(ctx, of); err != nil {
			errs = append(errs, err)
		}
		if s.tell != nil {
			s.tell()
		}
	}
	return errors.Join(errs...)
}

// context returns the ids of the current span, and what is known of the step that ctx belongs to.
func (h *logHandler) context(ctx context.Context, said fields, list []slog.Attr) (ids, rest []slog.Attr) {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		if said&fieldTraceID == 0 {
			list = append(list, slog.String(semconv.LogKeyTraceID, span.TraceID().String()))
		}
		if said&fieldSpanID == 0 {
			list = append(list, slog.String(semconv.LogKeySpanID, span.SpanID().String()))
		}
	}
	ids = slices.Clip(list)
	rest = list[len(list):]
	e := h.journal.within(ctx)
	if e == nil {
		return ids, rest
	}
	if said&fieldSessionID == 0 && e.session != "" {
		rest = append(rest, slog.String(semconv.LogKeySessionID, e.session))
	}
	if call := e.call(); call != nil {
		if said&fieldRequestID == 0 {
			rest = append(rest, slog.String(semconv.LogKeyRequestID, call.requestID()))
		}
		if model := call.modelName(); said&fieldModel == 0 && model != "" {
			rest = append(rest, slog.String(semconv.LogKeyModel, model))
		}
	}
	if said&fieldIteration == 0 && e.iteration > 0 {
		rest = append(rest, slog.Int(semconv.LogKeySamplingIteration, e.iteration))
	}
	return ids, rest
}

// grouped returns the record with its attributes in the groups that are open.
func (h *logHandler) grouped(r slog.Record) slog.Record {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	for _, g := range slices.Backward(h.groups) {
		switch {
		case g.group == "":
			attrs = slices.Concat(g.attrs, attrs)
		case len(attrs) > 0: // a group without attributes is left out
			attrs = []slog.Attr{{Key: g.group, Value: slog.GroupValue(attrs...)}}
		}
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	out.AddAttrs(attrs...)
	return out
}

// WithAttrs returns a handler whose records have attrs as well.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	of := *h
	if h.groups != nil {
		of.groups = append(slices.Clip(h.groups), scopedAttrs{attrs: slices.Clone(attrs)})
		return &of
	}
	of.sinks = slices.Clone(h.sinks)
	for i := range of.sinks {
		of.sinks[i].Handler = of.sinks[i].WithAttrs(attrs)
	}
	for _, a := range attrs {
		of.said |= fieldsIn(a)
	}
	return &of
}

// WithGroup returns a handler that puts all further attributes of the program into a group.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	of := *h
	of.groups = append(slices.Clip(h.groups), scopedAttrs{group: name})
	return &of
}

type localKey struct{}

// locally marks a context of what an exporter of logs reports about itself: the handler gives it to the console and the
// file and to no other sink, so that what cannot be delivered makes no more to deliver.
func locally(ctx context.Context) context.Context { return context.WithValue(ctx, localKey{}, true) }

func staysLocal(ctx context.Context) bool { return ctx.Value(localKey{}) != nil }
