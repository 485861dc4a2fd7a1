package check

import (
	"encoding/hex"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// Traces is OTLP with spans: a TracesData of a file, or an ExportTraceServiceRequest as a receiver gets it.
type Traces interface {
	GetResourceSpans() []*tracepb.ResourceSpans
}

// Spans checks all spans of all data. Data of one run belongs in one call, so that parents are found wherever they were
// exported; a parent that is nowhere in it is no finding. The data is only read. Spans that have nothing to do with
// generative AI, MCP or this module are passed over.
func Spans(data ...Traces) Findings {
	c := &checker{spans: map[spanID]*span{}, bySpanID: map[string]*span{}, descriptions: map[string]*description{},
		unstable: map[string]bool{}}
	var all []*span
	for _, d := range data {
		if d == nil {
			continue
		}
		for _, r := range d.GetResourceSpans() {
			for _, in := range r.GetScopeSpans() {
				for _, s := range in.GetSpans() {
					all = append(all, c.index(s, in))
				}
			}
		}
	}
	for _, s := range all {
		s.desc = c.describe(s)
	}
	for _, s := range all {
		c.check(s)
	}
	return c.findings
}

// A checker is one run over some data.
type checker struct {
	findings     Findings
	spans        map[spanID]*span
	bySpanID     map[string]*span // one of those with that id, whatever the trace
	descriptions map[string]*description
	unstable     map[string]bool // attributes that were reported as not stable
}

type spanID struct{ trace, span string }

// A span is one of the data, with the scope it came under.
type span struct {
	*tracepb.Span

	attrs            attributes
	scope, schemaURL string
	desc             *description // nil when it has none
	twin             bool         // another span before it has its ids
}

func (c *checker) index(in *tracepb.Span, scope *tracepb.ScopeSpans) *span {
	s := &span{Span: in, attrs: attributesOf(in.GetAttributes()), scope: scope.GetScope().GetName(), schemaURL: scope.GetSchemaUrl()}
	key := spanID{string(in.GetTraceId()), string(in.GetSpanId())}
	if _, s.twin = c.spans[key]; !s.twin {
		c.spans[key] = s
	}
	c.bySpanID[key.span] = s
	return s
}

// parent returns the span's parent, nil when it has none or the data does not have it.
func (c *checker) parent(s *span) *span {
	if len(s.GetParentSpanId()) == 0 {
		return nil
	}
	return c.spans[spanID{string(s.GetTraceId()), string(s.GetParentSpanId())}]
}

func (c *checker) report(f Finding) { c.findings = append(c.findings, f) }

// finding makes a finding about the span.
func (s *span) finding(id ID, level Level, format string, args ...any) Finding {
	return Finding{ID: id, Level: level, Signal: Span, Name: s.GetName(), TraceID: hex.EncodeToString(s.GetTraceId()),
		SpanID: hex.EncodeToString(s.GetSpanId()), Message: fmt.Sprintf(format, args...)}
}

// on makes the finding one about an attribute.
func (f Finding) on(key attribute.Key) Finding {
	f.Attribute = string(key)
	return f
}

// in makes the finding one about an event of the span, or leaves it as it is for "".
func (f Finding) in(event string) Finding {
	f.Event = event
	return f
}

// reserved are the namespaces whose names are all in a registry.
var reserved = []string{"gen_ai.", "mcp.", "mellea.", "openai."}

func isReserved(name string) bool {
	for _, prefix := range reserved {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (c *checker) check(s *span) {
	if s.desc == nil {
		// Whatever it is a span of, names of the registries on it mean what they say.
		c.checkAttributes(s, "", s.attrs, nil)
		return
	}
	c.checkIdentity(s)
	c.checkShape(s)
	c.checkAttributes(s, "", s.attrs, s.desc.use)
	c.checkPresence(place{c: c, span: s, attrs: s.attrs}, s.desc.uses)
	c.checkValues(s)
	c.checkStatus(s)
	if s.desc.own {
		c.checkOutcome(s)
	}
	c.checkEvents(s)
}

// checkIdentity checks ids, times and the parent.
func (c *checker) checkIdentity(s *span) {
	if !isID(s.GetTraceId(), 16) || !isID(s.GetSpanId(), 8) {
		c.report(s.finding(InvalidSpanID, Violation, "its trace id has to be 16 bytes and its span id 8, not all zero"))
	} else if s.twin {
		c.report(s.finding(DuplicateSpan, Violation, "another span has its trace id and span id"))
	}
	if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
		c.report(s.finding(SpanEndsBeforeStart, Violation, "ends before it starts"))
	}
	parent := string(s.GetParentSpanId())
	switch {
	case parent == "":
	case parent == string(s.GetSpanId()):
		c.report(s.finding(InvalidSpanID, Violation, "is its own parent"))
	case c.parent(s) == nil && c.bySpanID[parent] != nil:
		c.report(s.finding(ParentInOtherTrace, Violation, "its parent is a span of another trace"))
	}
}

func isID(id []byte, size int) bool {
	if len(id) != size {
		return false
	}
	for _, b := range id {
		if b != 0 {
			return true
		}
	}
	return false
}

// checkAttributes checks the attributes of the span, or of an event on it, one by one. use says how the convention uses
// an attribute there, and is nil where no convention does.
func (c *checker) checkAttributes(s *span, event string, a attributes, use func(string) (semconv.Use, bool)) {
	seen := make(map[string]bool, len(a.list))
	for _, kv := range a.list {
		key := attribute.Key(kv.GetKey())
		report := func(id ID, level Level, format string, args ...any) {
			c.report(s.finding(id, level, format, args...).in(event).on(key))
		}
		if seen[string(key)] {
			if use != nil || isReserved(string(key)) {
				report(DuplicateAttribute, Violation, "is there more than once")
			}
			continue
		}
		seen[string(key)] = true
		if d, ok := semconv.Deprecated(semconv.SignalAttribute, string(key)); ok {
			report(Deprecated, Violation, "the conventions have given it up%s", instead(d))
			continue
		}
		def, known := semconv.LookupAttribute(string(key))
		if !known {
			if isReserved(string(key)) {
				report(MissingAttribute, Violation, "is in no registry")
			} else if use != nil && s.desc.own {
				report(UnexpectedAttribute, Improvement, "is not registered for this span")
			}
			continue
		}
		if use != nil {
			if _, ok := use(string(key)); !ok {
				c.unexpected(s, event, key)
			}
		} else if !isReserved(string(key)) {
			continue // a name of the core conventions on a span that is not ours to judge
		}
		if def.Stability != "" && def.Stability != "stable" && !c.unstable[def.Name] {
			c.unstable[def.Name] = true
			report(NotStable, Improvement, "is of stability %s", def.Stability)
		}
		c.checkValue(def, kv.GetValue(), report)
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

func (c *checker) unexpected(s *span, event string, key attribute.Key) {
	level := Information
	if s.desc.own {
		level = Improvement
	} else if !isReserved(string(key)) {
		return // conventions of other fields go together with those of this one
	}
	c.report(s.finding(UnexpectedAttribute, level, "is not among the attributes of %s", s.desc.id).in(event).on(key))
}
