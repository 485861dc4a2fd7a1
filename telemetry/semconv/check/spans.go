package check

import (
	"encoding/hex"
	"fmt"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

type spanID struct{ trace, span string }

// A span is one of the data, with the scope it came under.
type span struct {
	*tracepb.Span

	attrs attributes
	in    scope
	desc  *description // nil when it has none
	twin  bool         // another span before it has its ids
}

func (c *checker) indexAll(data []Traces) []*span {
	var all []*span
	for _, d := range data {
		if d == nil {
			continue
		}
		for _, r := range d.GetResourceSpans() {
			for _, in := range r.GetScopeSpans() {
				from := scope{name: in.GetScope().GetName(), schemaURL: in.GetSchemaUrl()}
				for _, s := range in.GetSpans() {
					all = append(all, c.index(s, from))
				}
			}
		}
	}
	return all
}

func (c *checker) index(in *tracepb.Span, from scope) *span {
	s := &span{Span: in, attrs: attributesOf(in.GetAttributes()), in: from}
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

// finding makes a finding about the span.
func (s *span) finding(id ID, level Level, format string, args ...any) Finding {
	return Finding{ID: id, Level: level, Signal: Span, Name: s.GetName(), Scope: s.in.name, TraceID: shownID(s.GetTraceId()),
		SpanID: shownID(s.GetSpanId()), Message: fmt.Sprintf(format, args...)}
}

// place returns where the attributes of the span stand.
func (s *span) place(c *checker) place {
	p := place{c: c, from: s, signal: Span, span: s, attrs: s.attrs, report: c.report}
	if d := s.desc; d != nil {
		p.table, p.own, p.use, p.tables = d.id, d.own, d.use, []string{d.refinement, d.id, d.base, ""}
	}
	return p
}

func (c *checker) check(s *span) {
	p := s.place(c)
	if s.desc == nil {
		c.checkAttributes(p) // whatever it is a span of, names of the registries on it mean what they say
		return
	}
	c.checkIdentity(s)
	c.checkShape(s)
	c.checkAttributes(p)
	c.checkPresence(p, s.desc.uses)
	c.checkValues(s)
	c.checkStatus(s)
	if s.desc.own {
		c.checkOutcome(s)
	}
	c.checkMCP(p)
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

// shownID is an id in hex digits, as a finding has it: of one that is too long to be one, the beginning.
func shownID(id []byte) string { return hex.EncodeToString(id[:min(len(id), 16)]) }
