package check

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A place is where attributes stand: a span, an event on it, a data point of a metric, a log record, a resource.
type place struct {
	c      *checker
	from   source
	signal Signal
	report func(Finding)
	span   *span  // nil where it belongs to none of the data
	event  string // of the span; "" for anything else
	attrs  attributes

	table  string // what the convention that applies is about, "" where none does
	own    bool   // that convention is this module's
	use    func(name string) (semconv.Use, bool)
	tables []string // whose conditions apply, the most specific first
}

// kind is what messages call the place.
func (p place) kind() string {
	if p.event != "" {
		return "event"
	}
	return string(p.signal)
}

// A verdict is what is known of the condition of an attribute that is not there.
type verdict uint8

const (
	unknown verdict = iota // only the program knows
	holds                  // the attribute should be there
	fails                  // or its absence says as much
)

func when(yes bool) verdict {
	if yes {
		return holds
	}
	return fails
}

// evidence makes holds of what only a sign proves: without it nothing is known.
func evidence(sign bool) verdict {
	if sign {
		return holds
	}
	return unknown
}

// checkPresence reports attributes that are not there and should be.
func (c *checker) checkPresence(p place, uses []semconv.Use) {
	renamed := p.attrs.renamed()
	for _, u := range uses {
		if p.attrs.has(attribute.Key(u.Name)) || renamed[u.Name] || u.Type == semconv.TypeStringTemplate ||
			u.Provider != "" && !p.attrs.is(semconv.GenAIProviderNameKey, u.Provider) {
			continue
		}
		report := func(id ID, level Level, format string, args ...any) {
			p.report(p.from.finding(id, level, format, args...).in(p.event).on(attribute.Key(u.Name)))
		}
		switch u.Level {
		case semconv.Required:
			report(RequiredAttributeNotPresent, Violation, "is required")
		case semconv.ConditionallyRequired:
			switch p.condition(u) {
			case holds:
				report(ConditionallyRequiredAttributeNotPresent, Violation, "is required: %s", u.Condition)
			case unknown:
				report(ConditionallyRequiredAttributeNotPresent, Information, "is required under a condition: %s", u.Condition)
			}
		case semconv.Recommended:
			switch p.condition(u) {
			case holds:
				report(RecommendedAttributeNotPresent, Improvement, "is recommended")
			case unknown:
				report(RecommendedAttributeNotPresent, Information, "is recommended, but may have been unknown")
			}
		}
	}
}

// renamed are the names that attributes here have in their deprecated form, which has its own finding.
func (a attributes) renamed() map[string]bool {
	var names map[string]bool
	for _, kv := range a.list {
		d, ok := semconv.Deprecated(semconv.SignalAttribute, kv.GetKey())
		if !ok {
			continue
		}
		for n := range d.Replacements() {
			if names == nil {
				names = map[string]bool{}
			}
			names[n] = true
		}
	}
	return names
}

// condition decides the condition of an attribute that is not there.
func (p place) condition(u semconv.Use) verdict {
	key := attribute.Key(u.Name)
	for _, table := range p.tables {
		if decide, ok := conditions[subject{table, key}]; ok {
			return decide(p)
		}
	}
	if u.Content {
		return unknown // whether it is to be captured
	}
	if u.Level == semconv.Recommended && u.Condition == "" {
		return holds
	}
	return unknown
}

// unfinished reports whether the operation did not get to its end, so that nothing is known of its result.
func (p place) unfinished() bool {
	if p.span != nil {
		return p.span.failed() || p.span.attrs.has(semconv.MelleaOutcomeKey)
	}
	return p.attrs.has(semconv.ErrorTypeKey)
}

// inAttempt decides whether something belongs to an attempt of a sampling loop: its parent is the loop.
func (p place) inAttempt() verdict {
	if p.span == nil {
		return unknown
	}
	parent := p.c.parent(p.span)
	switch {
	case parent == nil || parent.desc == nil:
		return unknown
	case parent.desc.id == "mellea.sampling":
		return holds
	case parent.attrs.has(semconv.MelleaSamplingIterationKey):
		return holds
	}
	return unknown
}

// beside decides whether a call stands beneath the caller's span and not beneath its session: it links to the session.
func (p place) beside() verdict {
	if p.span == nil {
		return unknown
	}
	for _, l := range p.span.GetLinks() {
		linked := p.c.spans[spanID{string(l.GetTraceId()), string(l.GetSpanId())}]
		if linked != nil && linked.desc != nil && linked.desc.id == "mellea.session" {
			return holds
		}
	}
	return unknown
}

func (p place) hasEvent(names ...string) bool {
	if p.span == nil {
		return false
	}
	for _, e := range p.span.GetEvents() {
		if slices.Contains(names, e.GetName()) {
			return true
		}
	}
	return false
}
