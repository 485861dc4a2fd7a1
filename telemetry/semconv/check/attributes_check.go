package check

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// checkAttributes checks the attributes of a place one by one.
func (c *checker) checkAttributes(p place) {
	seen := make(map[string]bool, len(p.attrs.list))
	for _, kv := range p.attrs.list {
		name := kv.GetKey()
		key := attribute.Key(name)
		report := func(id ID, level Level, format string, args ...any) {
			p.report(p.from.finding(id, level, format, args...).in(p.event).on(key))
		}
		if p.use == nil && !isReserved(name) {
			continue // of other fields, on what is not ours to judge
		}
		if seen[name] {
			report(DuplicateAttribute, Violation, "is there more than once")
			continue
		}
		seen[name] = true
		if d, ok := semconv.Deprecated(semconv.SignalAttribute, name); ok {
			report(Deprecated, Violation, "the conventions have given it up%s", instead(d))
			continue
		}
		def, known := semconv.LookupAttribute(name)
		if !known {
			switch {
			case isReserved(name):
				report(MissingAttribute, Violation, "is in no registry")
			case p.own:
				report(UnexpectedAttribute, Improvement, "is not registered for this %s", p.kind())
			case isShared(name):
				report(MissingAttribute, Information, "is in no registry")
			}
			continue
		}
		if p.use != nil {
			if _, ok := p.use(name); !ok {
				p.unexpected(key, def)
			}
		}
		c.notStable(p.from, def.Name, def.Stability, func(f Finding) Finding { return f.in(p.event).on(key) })
		c.checkValue(p, def, kv.GetValue(), report)
	}
}

func instead(d semconv.Deprecation) string {
	var names []string
	for n := range d.Replacements() {
		names = append(names, n)
	}
	if len(names) == 0 {
		return " without a successor"
	}
	return ": use " + strings.Join(names, ", ")
}

// unexpected reports an attribute that is registered, and not for this place.
func (p place) unexpected(key attribute.Key, def semconv.Attribute) {
	level := Information
	if p.own {
		level = Improvement
	} else if !isReserved(string(key)) {
		return // conventions of other fields go together with those of this one
	}
	if p.signal == Metric && (def.Content || high[key]) {
		p.report(p.from.finding(HighCardinalityAttribute, Improvement, "has a value for each call, so each would be a series of its own").on(key))
		return
	}
	p.report(p.from.finding(UnexpectedAttribute, level, "is not among the attributes of %s", p.table).in(p.event).on(key))
}

// high are attributes that are no content and differ from call to call.
var high = map[attribute.Key]bool{
	semconv.GenAIConversationIDKey: true, semconv.GenAIResponseIDKey: true, semconv.GenAIToolCallIDKey: true,
	semconv.GenAIRequestPreviousResponseIDKey: true, semconv.GenAIMemoryRecordIDKey: true,
	semconv.JSONRPCRequestIDKey: true, semconv.MCPSessionIDKey: true,
	semconv.MelleaSessionIDKey: true, semconv.MelleaResponseRequestIDKey: true, semconv.MelleaToolArgumentsHashKey: true,
}
