package check

import (
	"fmt"
	"slices"
	"strings"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A record is a log record of the data, with the scope it came under.
type record struct {
	*logspb.LogRecord

	in    scope
	name  string // of the event, "" for a record that is none
	attrs attributes
}

func (r *record) finding(id ID, level Level, format string, args ...any) Finding {
	return Finding{ID: id, Level: level, Signal: Log, Name: r.name, Scope: r.in.name, TraceID: shownID(r.GetTraceId()),
		SpanID: shownID(r.GetSpanId()), Message: fmt.Sprintf(format, args...)}
}

func (c *checker) checkLogs(d Logs) {
	for _, r := range d.GetResourceLogs() {
		for _, in := range r.GetScopeLogs() {
			from := scope{name: in.GetScope().GetName(), schemaURL: in.GetSchemaUrl()}
			for _, l := range in.GetLogRecords() {
				c.checkRecord(l, from)
			}
		}
	}
}

// eventName is the attribute that was the name of an event before log records had a field for it.
const eventName = "event.name"

func (c *checker) checkRecord(l *logspb.LogRecord, from scope) {
	r := &record{LogRecord: l, in: from, name: l.GetEventName(), attrs: attributesOf(l.GetAttributes())}
	old, inAttribute := r.attrs.text(eventName)
	if r.name == "" {
		r.name = old
	}
	p := place{c: c, from: r, signal: Log, attrs: r.attrs, report: c.report, span: c.spans[spanID{string(l.GetTraceId()), string(l.GetSpanId())}]}
	if d, ok := semconv.Deprecated(semconv.SignalEvent, r.name); ok {
		c.report(r.finding(Deprecated, Violation, "the conventions have given it up%s", instead(d)))
		return // its attributes and its body are those of its time
	}
	known, ok := semconv.LookupEvent(r.name)
	switch {
	case !ok && isReserved(r.name):
		c.report(r.finding(MissingEvent, Violation, "is in no registry"))
	case ok && !known.Log && isOwnScope(from.name):
		c.report(r.finding(UnexpectedEvent, Improvement, "is an event on a span, not one in the log"))
	}
	if !ok || !known.Log {
		c.checkAttributes(p)
		return
	}
	if inAttribute && isReserved(r.name) {
		c.report(r.finding(Deprecated, Violation, "the name of an event has a field of the log record: use event_name").on(eventName))
	}
	c.checkEvent(r, known, p)
}

// checkEvent checks a log record that is an event of the registries.
func (c *checker) checkEvent(r *record, known semconv.Event, p place) {
	c.notStable(r, r.name, development, itself)
	p.table, p.use, p.tables = known.Name, known.Attribute, []string{known.Name, ""}
	if known.Name == semconv.EventGenAIClientInferenceOperationDetails {
		p.tables = []string{known.Name, "gen_ai.client.inference", ""}
		c.checkAgainstSpan(r, p)
	}
	if strings.HasPrefix(r.in.name, "mellea.") {
		c.checkScope(r, r.in, r.in.name, c.report)
		p.use = ownToo(known)
	}
	if got := int(r.GetSeverityNumber()); known.Severity != 0 && got != known.Severity {
		c.report(r.finding(UnexpectedSeverity, Improvement, "has severity number %d, want %d", got, known.Severity))
	}
	if r.GetBody().GetValue() != nil {
		c.report(r.finding(UnexpectedBody, Information, "has a body: what an event says is in its attributes"))
	}
	c.checkAttributes(p)
	c.checkPresence(p, slices.Collect(known.Attributes()))
}

// ownToo allows this module's own attributes on its events beside those of the convention.
func ownToo(known semconv.Event) func(string) (semconv.Use, bool) {
	return func(name string) (semconv.Use, bool) {
		if u, ok := known.Attribute(name); ok {
			return u, true
		}
		a, ok := semconv.LookupAttribute(name)
		return semconv.Use{Attribute: a}, ok && strings.HasPrefix(name, "mellea.")
	}
}

// checkAgainstSpan holds what an event says of its operation against what the span of that operation says.
func (c *checker) checkAgainstSpan(r *record, p place) {
	if p.span == nil || p.span.desc == nil || p.span.desc.base != "gen_ai.client.inference" && p.span.desc.id != "gen_ai.client.inference" {
		return
	}
	for _, u := range []struct{ key, what string }{
		{string(semconv.GenAIOperationNameKey), "operation"}, {string(semconv.GenAIRequestModelKey), "model"},
		{string(semconv.GenAIResponseIDKey), "response"}, {string(semconv.ErrorTypeKey), "error"},
	} {
		here, ok := r.attrs.named[u.key]
		there, ok2 := p.span.attrs.named[u.key]
		if ok && ok2 && here.GetStringValue() != there.GetStringValue() {
			f := r.finding(EventSpanMismatch, Violation, "is not the %s of the span that the event belongs to", u.what)
			f.Attribute = u.key
			c.report(f)
		}
	}
}
