package semconv

import (
	"iter"
	"slices"
	"sync"
)

// index is built on first use: a program that only uses the names pays nothing.
type index struct {
	all        []Attribute // both registries, Content set
	attributes map[string]*Attribute
	spans      map[string]*Span
	events     map[string]*Event
	metrics    map[string]*Metric
}

var lookup = sync.OnceValue(func() *index {
	ix := &index{
		all:        slices.Concat(genaiAttributes, melleaAttributes),
		attributes: make(map[string]*Attribute, len(genaiAttributes)+len(melleaAttributes)),
		spans:      make(map[string]*Span, len(genaiSpans)+len(melleaSpans)),
		events:     make(map[string]*Event, len(genaiEvents)+len(melleaEvents)),
		metrics:    make(map[string]*Metric, len(genaiMetrics)+len(melleaMetrics)),
	}
	for i := range ix.all {
		a := &ix.all[i]
		a.Content = a.Content || slices.Contains(upstreamContent, a.Name)
		ix.attributes[a.Name] = a
	}
	for _, list := range [][]Span{genaiSpans, melleaSpans} {
		for i := range list {
			ix.spans[list[i].ID] = &list[i]
		}
	}
	for _, list := range [][]Event{genaiEvents, melleaEvents} {
		for i := range list {
			ix.events[list[i].Name] = &list[i]
		}
	}
	for _, more := range melleaLogEvents {
		e := *ix.events[more.Name]
		e.uses = slices.Concat(more.uses, e.uses)
		ix.events[e.Name] = &e
	}
	for _, list := range [][]Metric{genaiMetrics, melleaMetrics} {
		for i := range list {
			ix.metrics[list[i].Name] = &list[i]
		}
	}
	return ix
})

func get[T any](m map[string]*T, name string) (T, bool) {
	if p, ok := m[name]; ok {
		return *p, true
	}
	var zero T
	return zero, false
}

func both[T any](first, second []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, list := range [][]T{first, second} {
			for _, v := range list {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// LookupAttribute returns the definition of an attribute of either registry, or
// of a core convention they refer to. A member of a template, such as
// gen_ai.prompt.variable.city, has the definition of the template.
func LookupAttribute(name string) (Attribute, bool) {
	ix := lookup()
	if a, ok := ix.attributes[name]; ok {
		return *a, true
	}
	for i := range len(name) {
		if name[i] != '.' || i == len(name)-1 {
			continue
		}
		if a, ok := ix.attributes[name[:i]]; ok && a.Type == TypeStringTemplate {
			return *a, true
		}
	}
	return Attribute{}, false
}

// IsContent reports whether the attribute may hold content and so is emitted
// only while content capture is on.
func IsContent(name string) bool {
	a, ok := LookupAttribute(name)
	return ok && a.Content
}

// Attributes yields every attribute: those of the GenAI registry and the core
// conventions it refers to, then this module's own.
func Attributes() iter.Seq[Attribute] { return slices.Values(lookup().all) }

// LookupSpan returns the description with that ID.
func LookupSpan(id string) (Span, bool) { return get(lookup().spans, id) }

// SpanFor returns the GenAI description of spans with that gen_ai.operation.name
// and kind. Operations with a single description have it whatever the kind, so
// that a wrong kind can be told from an unknown operation.
func SpanFor(operation string, kind Kind) (Span, bool) {
	var first Span
	found := false
	for _, s := range genaiSpans {
		if s.Extends != "" || !slices.Contains(s.operations, operation) {
			continue
		}
		if slices.Contains(s.kinds, kind) {
			return s, true
		}
		if !found {
			first, found = s, true
		}
	}
	return first, found
}

// Refinement returns the description that refines the span with that ID for one
// value of gen_ai.provider.name.
func Refinement(id, provider string) (Span, bool) {
	for _, s := range genaiSpans {
		if s.Extends == id && s.Provider == provider && provider != "" {
			return s, true
		}
	}
	return Span{}, false
}

// Spans yields every description: those of the GenAI registry, refinements
// included, then this module's own.
func Spans() iter.Seq[Span] { return both(genaiSpans, melleaSpans) }

// LookupEvent returns the event of that name.
func LookupEvent(name string) (Event, bool) { return get(lookup().events, name) }

// Events yields every event: the log events of the GenAI registry, with what
// this module adds to them, then this module's own.
func Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for e := range both(genaiEvents, melleaEvents) {
			if whole, _ := LookupEvent(e.Name); !yield(whole) {
				return
			}
		}
	}
}

// LookupMetric returns the metric of that name.
func LookupMetric(name string) (Metric, bool) { return get(lookup().metrics, name) }

// Metrics yields every metric: those of the GenAI registry, then this module's
// own.
func Metrics() iter.Seq[Metric] { return both(genaiMetrics, melleaMetrics) }

// Entities yields the entities of the GenAI registry.
func Entities() iter.Seq[Entity] { return slices.Values(genaiEntities) }

// LogFields yields the fields the log handler adds to records.
func LogFields() iter.Seq[LogField] { return slices.Values(melleaLogFields) }
