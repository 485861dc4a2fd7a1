package otlptest

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// A Span is one that has arrived, together with the resource and the scope it came under. Ids are hex digits. Attributes
// are Go values: string, bool, int64, float64, []byte, []any, map[string]any, and nil for an empty one.
type Span struct {
	Name                     string
	TraceID, SpanID          string
	Parent                   string // "" for a root
	TraceState               string
	Kind                     string // "internal", "client", …
	Status                   string // "unset", "ok", "error"
	Description              string // of the status
	Start, End               time.Time
	Attributes               map[string]any
	Events                   []Event
	Links                    []Link
	Resource                 map[string]any
	Scope, Version           string
	SchemaURL                string // of the scope
	DroppedAttrs, DroppedEvs uint32
}

// An Event is one on a span.
type Event struct {
	Name       string
	Time       time.Time
	Attributes map[string]any
}

// A Link is one from a span to another.
type Link struct {
	TraceID, SpanID string
	Attributes      map[string]any
}

// Event returns the first event of that name.
func (s Span) Event(name string) (Event, bool) {
	i := slices.IndexFunc(s.Events, func(e Event) bool { return e.Name == name })
	if i < 0 {
		return Event{}, false
	}
	return s.Events[i], true
}

func flatten(m *coltrace.ExportTraceServiceRequest) []Span {
	var all []Span
	for _, r := range m.ResourceSpans {
		resource := attributes(r.GetResource().GetAttributes())
		for _, in := range r.ScopeSpans {
			for _, s := range in.Spans {
				all = append(all, span(s, in, resource))
			}
		}
	}
	return all
}

func span(s *otlp.Span, in *otlp.ScopeSpans, resource map[string]any) Span {
	out := Span{
		Name: s.Name, TraceID: hex.EncodeToString(s.TraceId), SpanID: hex.EncodeToString(s.SpanId),
		Parent: hex.EncodeToString(s.ParentSpanId), TraceState: s.TraceState,
		Kind:        strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")),
		Status:      strings.ToLower(strings.TrimPrefix(s.GetStatus().GetCode().String(), "STATUS_CODE_")),
		Description: s.GetStatus().GetMessage(),
		Start:       at(s.StartTimeUnixNano), End: at(s.EndTimeUnixNano),
		Attributes: attributes(s.Attributes), Resource: resource,
		Scope: in.GetScope().GetName(), Version: in.GetScope().GetVersion(), SchemaURL: in.SchemaUrl,
		DroppedAttrs: s.DroppedAttributesCount, DroppedEvs: s.DroppedEventsCount,
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, Event{Name: e.Name, Time: at(e.TimeUnixNano), Attributes: attributes(e.Attributes)})
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, Link{TraceID: hex.EncodeToString(l.TraceId), SpanID: hex.EncodeToString(l.SpanId),
			Attributes: attributes(l.Attributes)})
	}
	return out
}

func at(nano uint64) time.Time { return time.Unix(0, int64(nano)).UTC() }

func attributes(all []*common.KeyValue) map[string]any {
	m := make(map[string]any, len(all))
	for _, kv := range all {
		m[kv.Key] = value(kv.Value)
	}
	return m
}

func value(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_BytesValue:
		return v.BytesValue
	case *common.AnyValue_ArrayValue:
		all := make([]any, len(v.ArrayValue.GetValues()))
		for i, e := range v.ArrayValue.GetValues() {
			all[i] = value(e)
		}
		return all
	case *common.AnyValue_KvlistValue:
		return attributes(v.KvlistValue.GetValues())
	}
	return nil
}

// sortSpans puts spans in the order they started, outer ones first where that is the same instant.
func sortSpans(spans []Span) {
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End))
	})
}
