package check

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// Traces is OTLP with spans: a TracesData of a file, or an ExportTraceServiceRequest as a receiver gets it.
type Traces interface {
	GetResourceSpans() []*tracepb.ResourceSpans
}

// Metrics is OTLP with metrics: a MetricsData of a file, or an ExportMetricsServiceRequest.
type Metrics interface {
	GetResourceMetrics() []*metricspb.ResourceMetrics
}

// Logs is OTLP with log records: a LogsData of a file, or an ExportLogsServiceRequest.
type Logs interface {
	GetResourceLogs() []*logspb.ResourceLogs
}

// Data is what one run exported. It is only read.
type Data struct {
	Traces  []Traces
	Metrics []Metrics
	Logs    []Logs
	// Least is the least level of findings that is wanted; the zero value wants all. It saves memory where there is a lot.
	Least Level
}

// All checks everything that one run exported. Data of one run belongs in one call, so that parents, and the spans of log
// events, are found wherever they were exported; one that is nowhere in it is no finding. What has nothing to do with
// generative AI, MCP or this module is passed over.
//
// Findings about spans come first, in the order of the data, then those about metrics, log records and resources. Those
// about a metric or a resource are made once, however many points and exports have them.
func All(d Data) Findings {
	c := &checker{spans: map[spanID]*span{}, bySpanID: map[string]*span{}, descriptions: map[string]*description{},
		unstable: map[string]bool{}, said: map[Finding]bool{}, contents: map[judged]string{}, least: d.Least}
	all := c.indexAll(d.Traces)
	for _, s := range all {
		s.desc = c.describe(s)
	}
	for _, s := range all {
		c.check(s)
	}
	c.checkTransport(all)
	for _, m := range d.Metrics {
		if m != nil {
			c.checkMetrics(m)
		}
	}
	for _, l := range d.Logs {
		if l != nil {
			c.checkLogs(l)
		}
	}
	c.checkResources(d)
	return c.findings
}

// Spans checks all spans of all data, as [All] does.
func Spans(data ...Traces) Findings { return All(Data{Traces: data}) }

// Points checks all metrics of all data and their data points, as [All] does.
func Points(data ...Metrics) Findings { return All(Data{Metrics: data}) }

// Records checks all log records of all data, as [All] does.
func Records(data ...Logs) Findings { return All(Data{Logs: data}) }

// A checker is one run over some data.
type checker struct {
	findings     Findings
	spans        map[spanID]*span
	bySpanID     map[string]*span // one of those with that id, whatever the trace
	descriptions map[string]*description
	unstable     map[string]bool  // names that were reported as not stable
	said         map[Finding]bool // what is reported once
	contents     map[judged]string
	least        Level
}

func (c *checker) report(f Finding) {
	if f.Level >= c.least {
		c.findings = append(c.findings, f)
	}
}

// once reports a finding unless it has been.
func (c *checker) once(f Finding) {
	if !c.said[f] {
		c.said[f] = true
		c.report(f)
	}
}

// notStable reports a name that may still change, the first time it is met.
func (c *checker) notStable(about source, name, stability string, complete func(Finding) Finding) {
	if stability == "" || stability == "stable" || c.unstable[name] {
		return
	}
	c.unstable[name] = true
	c.report(complete(about.finding(NotStable, Improvement, "is of stability %s", stability)))
}

func itself(f Finding) Finding { return f }

// development is the stability of all spans, metrics and events of the GenAI registry, which states it once.
const development = "development"

// A source is what findings are about: a span, a metric, a log record, a resource.
type source interface {
	finding(id ID, level Level, format string, args ...any) Finding
}

// A scope is the instrumentation that something came under.
type scope struct{ name, schemaURL string }

// A named source has a signal, a name and a scope, and belongs to no span.
type named struct {
	scope

	signal Signal
	name   string
}

func (n named) finding(id ID, level Level, format string, args ...any) Finding {
	return Finding{ID: id, Level: level, Signal: n.signal, Name: n.name, Scope: n.scope.name, Message: fmt.Sprintf(format, args...)}
}

// checkScope checks the scope and the schema URL of what is this module's.
func (c *checker) checkScope(s source, in scope, want string, report func(Finding)) {
	if in.name != want {
		report(s.finding(ScopeUnexpected, Violation, "has scope %q, want %s", in.name, want))
	}
	if in.schemaURL != semconv.SchemaURL {
		report(s.finding(SchemaURLUnexpected, Violation, "its scope has schema URL %q, want %s", in.schemaURL, semconv.SchemaURL))
	}
}

// checkResources checks the attributes of resources that are in the registries. What else a resource says of itself is
// nobody's business here.
func (c *checker) checkResources(d Data) {
	check := func(r *resourcepb.Resource) {
		attrs := attributesOf(r.GetAttributes())
		name, _ := attrs.text("service.name")
		from := named{signal: Resource, name: name}
		c.checkAttributes(place{c: c, from: from, signal: Resource, attrs: attrs, report: c.once})
		for e := range semconv.Entities() {
			c.checkEntity(from, e, attrs)
		}
	}
	for _, t := range d.Traces {
		if t != nil {
			for _, r := range t.GetResourceSpans() {
				check(r.GetResource())
			}
		}
	}
	for _, m := range d.Metrics {
		if m != nil {
			for _, r := range m.GetResourceMetrics() {
				check(r.GetResource())
			}
		}
	}
	for _, l := range d.Logs {
		if l != nil {
			for _, r := range l.GetResourceLogs() {
				check(r.GetResource())
			}
		}
	}
}

// checkEntity checks that what a resource describes has what identifies it.
func (c *checker) checkEntity(from source, e semconv.Entity, attrs attributes) {
	described := false
	for u := range e.Attributes() {
		described = described || attrs.has(attribute.Key(u.Name))
	}
	for u := range e.Attributes() {
		if described && u.Level == semconv.Required && !attrs.has(attribute.Key(u.Name)) {
			c.once(from.finding(EntityRequiredAttributeNotPresent, Violation, "identifies %s, which the resource describes", e.Name).on(attribute.Key(u.Name)))
		}
	}
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
var reserved = []string{"gen_ai.", "mcp.", "mellea."}

func isReserved(name string) bool {
	for _, prefix := range reserved {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isShared reports whether a name is in the namespace of a provider, in which the registry has names and the provider's
// own instrumentation may have others.
func isShared(name string) bool { return strings.HasPrefix(name, "openai.") }
