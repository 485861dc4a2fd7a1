package check_test

import (
	"math"
	"slices"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// A signal is a metric with one point, a log event or a resource, for tests to make wrong.
type signal struct {
	attributes document // a span only for its attributes
	metric     *metricspb.Metric
	record     *logspb.LogRecord
	scope, url string
}

func (s signal) set(key string, v any) { s.attributes.set(key, v) }
func (s signal) remove(keys ...string) { s.attributes.remove(keys...) }
func (s signal) histogram() *point     { return s.metric.GetHistogram().DataPoints[0] }
func (s signal) sum() *metricspb.Sum   { return s.metric.GetSum() }
func (s signal) isLog() bool           { return s.record != nil }
func (s signal) data() check.Data      { return dataOf(s) }
func (s signal) signal() check.Signal {
	switch {
	case s.isLog():
		return check.Log
	case s.metric != nil:
		return check.Metric
	}
	return check.Resource
}

type point = metricspb.HistogramDataPoint

func dataOf(s signal) check.Data {
	scope := &commonpb.InstrumentationScope{Name: s.scope}
	switch s.signal() {
	case check.Log:
		s.record.Attributes = s.attributes.Attributes
		return check.Data{Logs: []check.Logs{&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{
			Scope: scope, SchemaUrl: s.url, LogRecords: []*logspb.LogRecord{s.record}}}}}}}}
	case check.Metric:
		for _, p := range s.metric.GetHistogram().GetDataPoints() {
			p.Attributes = s.attributes.Attributes
		}
		for _, p := range s.metric.GetSum().GetDataPoints() {
			p.Attributes = s.attributes.Attributes
		}
		one := &metricspb.ResourceMetrics{ScopeMetrics: []*metricspb.ScopeMetrics{{Scope: scope, SchemaUrl: s.url, Metrics: []*metricspb.Metric{s.metric}}}}
		// Exported twice, as metrics are again and again: that is no second finding.
		return check.Data{Metrics: []check.Metrics{&metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{one, one}}}}
	}
	r := &resourcepb.Resource{Attributes: s.attributes.Attributes}
	return check.Data{Traces: []check.Traces{&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{Resource: r}, {Resource: r}}}}}
}

// rightSignal returns the metric or log event of that name with everything its table has, or a resource.
func rightSignal(t testing.TB, name string) signal {
	t.Helper()
	s := signal{attributes: document{Span: &tracepb.Span{}}, scope: "some.library"}
	if name == "resource" {
		s.set("service.name", "shop")
		return s
	}
	if e, ok := semconv.LookupEvent(name); ok {
		s.record = &logspb.LogRecord{EventName: name, SeverityNumber: logspb.SeverityNumber(e.Severity)}
		s.attributes.fill(semconv.Span{}, e.Attributes())
		if _, ok := e.Attribute("gen_ai.operation.name"); ok {
			s.set("gen_ai.operation.name", "chat")
		}
		return s
	}
	m, ok := semconv.LookupMetric(name)
	if !ok {
		t.Fatalf("%s is in no registry", name)
	}
	s.metric = &metricspb.Metric{Name: name, Unit: m.Unit}
	if own := name[:7] == "mellea."; own {
		s.scope, s.url = semconv.ScopeMetrics, semconv.SchemaURL
	}
	s.attributes.fill(semconv.Span{}, func(yield func(semconv.Use) bool) {
		for u := range m.Attributes() {
			if u.Provider == "" && !yield(u) {
				return
			}
		}
	})
	if _, ok := m.Attribute("gen_ai.operation.name"); ok {
		s.set("gen_ai.operation.name", operationOf(m))
	}
	if m.Instrument == semconv.Histogram {
		sum, bounds := 2.0, m.Buckets()
		counts := make([]uint64, len(bounds)+1)
		counts[0] = 1
		s.metric.Data = &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{DataPoints: []*point{{Count: 1, Sum: &sum, ExplicitBounds: bounds, BucketCounts: counts}}}}
		return s
	}
	p := &metricspb.NumberDataPoint{Value: &metricspb.NumberDataPoint_AsInt{AsInt: 2}}
	s.metric.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{IsMonotonic: m.Instrument == semconv.Counter, DataPoints: []*metricspb.NumberDataPoint{p}}}
	return s
}

func operationOf(m semconv.Metric) string {
	switch m.Name {
	case semconv.MetricGenAIClientOperationDuration:
		return "embeddings"
	case semconv.MetricMCPClientOperationDuration, semconv.MetricMCPServerOperationDuration:
		return "execute_tool"
	}
	return "chat"
}

// Metrics and log events that have all their tables ask for have no findings but that the conventions are not stable.
func TestRightSignals(t *testing.T) {
	t.Parallel()
	names := []string{"resource"}
	for m := range semconv.Metrics() {
		names = append(names, m.Name)
	}
	for e := range semconv.Events() {
		if e.Log {
			names = append(names, e.Name)
		}
	}
	if len(names) < 38 {
		t.Fatalf("%d metrics and events, want those of both registries", len(names))
	}
	for _, name := range names {
		if got := check.All(rightSignal(t, name).data()).Without(check.NotStable); got != nil {
			t.Errorf("%s: everything is there, found:\n%s", name, got)
		}
	}
}

const (
	duration  = "gen_ai.client.inference.duration"
	tokens    = "gen_ai.client.inference.usage.input_tokens"
	mcpMetric = "mcp.client.operation.duration"
	details   = "gen_ai.client.inference.operation.details"
	exception = "gen_ai.client.operation.exception"
	verdict   = "gen_ai.evaluation.result"
)

// wrongSignals are metrics, log events and resources that are right but for one mistake, each with what is to be found
// and nothing else.
var wrongSignals = []struct {
	name, signal string
	edit         func(*signal)
	id           check.ID
	level        check.Level
	attribute    string
}{
	// Metrics.
	{"a metric of no registry", duration, func(s *signal) { s.metric.Name = "gen_ai.client.inference.mood" }, check.MissingMetric, check.Violation, ""},
	{"a metric up to 1.41", tokens, func(s *signal) { s.metric.Name = "gen_ai.client.token.usage" }, check.Deprecated, check.Violation, ""},
	{"a duration in milliseconds", duration, func(s *signal) { s.metric.Unit = "ms" }, check.UnitMismatch, check.Violation, ""},
	{"tokens without a unit", tokens, func(s *signal) { s.metric.Unit = "" }, check.UnitMismatch, check.Violation, ""},
	{"tokens that go up and down", tokens, func(s *signal) { s.sum().IsMonotonic = false }, check.UnexpectedInstrument, check.Violation, ""},
	{"a duration as a gauge", duration, func(s *signal) { s.metric.Data = &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{}} }, check.UnexpectedInstrument, check.Violation, ""},
	{"a duration as a summary", mcpMetric, func(s *signal) { s.metric.Data = &metricspb.Metric_Summary{Summary: &metricspb.Summary{}} }, check.UnexpectedInstrument, check.Violation, ""},
	{"a duration as a counter", duration, func(s *signal) { s.metric.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{IsMonotonic: true}} }, check.UnexpectedInstrument, check.Violation, ""},
	{"buckets of the SDK", duration, func(s *signal) {
		s.histogram().ExplicitBounds = []float64{0, 5, 10}
		s.histogram().BucketCounts = []uint64{1, 0, 0, 0}
	}, check.UnexpectedBuckets, check.Improvement, ""},
	{"half a token", "gen_ai.client.inference.operation.input_tokens", func(s *signal) { *s.histogram().Sum = 1.5 }, check.TypeMismatch, check.Violation, ""},
	{"a negative duration", duration, func(s *signal) { *s.histogram().Sum = -1 }, check.InvalidDataPoint, check.Violation, ""},
	{"a duration that is no number", duration, func(s *signal) { *s.histogram().Sum = math.NaN() }, check.InvalidDataPoint, check.Violation, ""},
	{"buckets that do not add up", duration, func(s *signal) { s.histogram().Count = 7 }, check.InvalidDataPoint, check.Violation, ""},
	{"bounds that go down", duration, func(s *signal) { slices.Reverse(s.histogram().ExplicitBounds) }, check.InvalidDataPoint, check.Violation, ""},
	{"a metric without its operation", duration, func(s *signal) { s.remove("gen_ai.operation.name") }, check.RequiredAttributeNotPresent, check.Violation, "gen_ai.operation.name"},
	{"tokens without a modality", tokens, func(s *signal) { s.remove("gen_ai.token.modality") }, check.RequiredAttributeNotPresent, check.Violation, "gen_ai.token.modality"},
	{"a port that is missing on a metric", duration, func(s *signal) { s.remove("server.port") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "server.port"},
	{"no model on a metric", duration, func(s *signal) { s.remove("gen_ai.request.model") }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "gen_ai.request.model"},
	{"no answering model on a metric", duration, func(s *signal) { s.remove("gen_ai.response.model") }, check.RecommendedAttributeNotPresent, check.Improvement, "gen_ai.response.model"},
	{"no server on a metric", duration, func(s *signal) { s.remove("server.address", "server.port") }, check.RecommendedAttributeNotPresent, check.Information, "server.address"},
	{"no fingerprint on a metric of OpenAI", duration, func(s *signal) {
		s.set("gen_ai.provider.name", "openai")
		s.set("openai.response.service_tier", "default")
	}, check.RecommendedAttributeNotPresent, check.Improvement, "openai.response.system_fingerprint"},
	{"an operation that is none on a metric", duration, func(s *signal) { s.set("gen_ai.operation.name", "converse") }, check.GenAIOperationNameUnknown, check.Violation, "gen_ai.operation.name"},
	{"inference under the name it had", "gen_ai.client.operation.duration", func(s *signal) { s.set("gen_ai.operation.name", "chat") }, check.UnexpectedMetric, check.Improvement, "gen_ai.operation.name"},
	{"embeddings as inference", duration, func(s *signal) { s.set("gen_ai.operation.name", "embeddings") }, check.UnexpectedMetric, check.Improvement, "gen_ai.operation.name"},
	{"a conversation for a label", duration, func(s *signal) { s.set("gen_ai.conversation.id", "c1") }, check.HighCardinalityAttribute, check.Improvement, "gen_ai.conversation.id"},
	{"a prompt for a label", duration, func(s *signal) { s.set("gen_ai.input.messages", fromJSON(contents["gen_ai.input.messages"])) }, check.HighCardinalityAttribute, check.Improvement, "gen_ai.input.messages"},
	{"an attribute of spans for a label", duration, func(s *signal) { s.set("gen_ai.request.temperature", 0.5) }, check.UnexpectedAttribute, check.Information, "gen_ai.request.temperature"},
	{"a label that own metrics do not have", "mellea.tool.calls", func(s *signal) { s.set("user.mood", "good") }, check.UnexpectedAttribute, check.Improvement, "user.mood"},
	{"an unknown label", duration, func(s *signal) { s.set("gen_ai.mood", "good") }, check.MissingAttribute, check.Violation, "gen_ai.mood"},
	{"a number for a label that is text", duration, func(s *signal) { s.set("gen_ai.request.model", 4) }, check.TypeMismatch, check.Violation, "gen_ai.request.model"},
	{"an own metric in another scope", "mellea.tool.calls", func(s *signal) { s.scope = "mellea.application" }, check.ScopeUnexpected, check.Violation, ""},
	{"an own metric without a schema", "mellea.tool.calls", func(s *signal) { s.url = "" }, check.SchemaURLUnexpected, check.Violation, ""},
	{"a metric of MCP without the method", mcpMetric, func(s *signal) { s.remove("mcp.method.name") }, check.RequiredAttributeNotPresent, check.Violation, "mcp.method.name"},
	{"a metric of a tool call without the tool", mcpMetric, func(s *signal) { s.remove("gen_ai.tool.name") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "gen_ai.tool.name"},
	{"a metric of a server that fails by the caller's mistake", "mcp.server.operation.duration", func(s *signal) {
		s.set("error.type", "-32601")
		s.set("rpc.response.status_code", "-32601")
	}, check.MCPErrorClassification, check.Violation, "rpc.response.status_code"},
	{"a reserved name on a metric of another field", duration, func(s *signal) {
		s.metric.Name = "http.client.request.duration"
		s.set("gen_ai.mood", "good")
	}, check.MissingAttribute, check.Violation, "gen_ai.mood"},

	// Log events.
	{"a log event of no registry", details, func(s *signal) { s.record.EventName = "gen_ai.applause" }, check.MissingEvent, check.Violation, ""},
	{"a log event up to 1.37", details, func(s *signal) { s.record.EventName = "gen_ai.choice" }, check.Deprecated, check.Violation, ""},
	{"an event named by an attribute", details, func(s *signal) {
		s.set("event.name", s.record.EventName)
		s.record.EventName = ""
	}, check.Deprecated, check.Violation, "event.name"},
	{"details at INFO", details, func(s *signal) { s.record.SeverityNumber = 9 }, check.UnexpectedSeverity, check.Improvement, ""},
	{"an exception without a severity", exception, func(s *signal) { s.record.SeverityNumber = 0 }, check.UnexpectedSeverity, check.Improvement, ""},
	{"a body", details, func(s *signal) { s.record.Body = anyValue("hello") }, check.UnexpectedBody, check.Information, ""},
	{"messages as a string in the log", details, func(s *signal) { s.set("gen_ai.input.messages", contents["gen_ai.input.messages"]) }, check.ContentNotStructured, check.Violation, "gen_ai.input.messages"},
	{"messages without parts in the log", details, func(s *signal) { s.set("gen_ai.output.messages", fromJSON(`[{"role":"assistant"}]`)) }, check.GenAIContentSchema, check.Violation, "gen_ai.output.messages"},
	{"details without the provider", details, func(s *signal) { s.remove("gen_ai.provider.name") }, check.RequiredAttributeNotPresent, check.Violation, "gen_ai.provider.name"},
	{"details with a name of old", details, func(s *signal) { s.set("gen_ai.usage.cache_creation.input_tokens", 1) }, check.Deprecated, check.Violation, "gen_ai.usage.cache_creation.input_tokens"},
	{"details with tokens as text", details, func(s *signal) { s.set("gen_ai.usage.input_tokens", "10") }, check.TypeMismatch, check.Violation, "gen_ai.usage.input_tokens"},
	{"a verdict without what was judged", verdict, func(s *signal) { s.remove("gen_ai.evaluation.name") }, check.RequiredAttributeNotPresent, check.Violation, "gen_ai.evaluation.name"},
	{"a verdict without a score", verdict, func(s *signal) { s.remove("gen_ai.evaluation.score.value") }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "gen_ai.evaluation.score.value"},
	{"a verdict with a score of text", verdict, func(s *signal) { s.set("gen_ai.evaluation.score.value", "good") }, check.TypeMismatch, check.Violation, "gen_ai.evaluation.score.value"},
	{"an exception without a type", exception, func(s *signal) { s.remove("exception.type") }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "exception.type"},
	{"an exception without a stack", exception, func(s *signal) { s.remove("exception.stacktrace") }, check.RecommendedAttributeNotPresent, check.Improvement, "exception.stacktrace"},
	{"an own event on a span in the log", details, func(s *signal) {
		s.record.EventName, s.scope = "iteration", semconv.ScopeApplication
		s.attributes.Attributes = nil
	}, check.UnexpectedEvent, check.Improvement, ""},
	{"an own scope without a schema", details, func(s *signal) { s.scope = semconv.ScopeBackend }, check.SchemaURLUnexpected, check.Violation, ""},

	// Resources.
	{"an agent without its id", "resource", func(s *signal) { s.set("gen_ai.main_agent.name", "support") }, check.EntityRequiredAttributeNotPresent, check.Violation, "gen_ai.main_agent.id"},
	{"an agent of no registry", "resource", func(s *signal) { s.set("gen_ai.main_agent.mood", "good") }, check.MissingAttribute, check.Violation, "gen_ai.main_agent.mood"},
	{"an agent's id that is a number", "resource", func(s *signal) { s.set("gen_ai.main_agent.id", 7) }, check.TypeMismatch, check.Violation, "gen_ai.main_agent.id"},
	{"a provider for all of the process", "resource", func(s *signal) { s.set("gen_ai.system", "openai") }, check.Deprecated, check.Violation, "gen_ai.system"},
}

func TestWrongSignals(t *testing.T) {
	t.Parallel()
	for _, w := range wrongSignals {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := rightSignal(t, w.signal)
			w.edit(&s)
			expectIn(t, s.signal(), w.id, w.level, "", w.attribute, check.All(s.data()))
		})
	}
}

// An exception needs a type or a message.
func TestExceptionWithNothing(t *testing.T) {
	t.Parallel()
	s := rightSignal(t, exception)
	s.remove("exception.type", "exception.message")
	got := check.All(s.data()).AtLeast(check.Violation)
	if len(got) != 2 || got[0].ID != check.ConditionallyRequiredAttributeNotPresent || got[1].ID != got[0].ID {
		t.Errorf("found:\n%s\nwant both as violations", got)
	}
}

// An event says of its operation what the operation's span says.
func TestEventAgainstItsSpan(t *testing.T) {
	t.Parallel()
	span := right(t, chat)
	s := rightSignal(t, details)
	for _, key := range []string{"gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.id"} {
		span.set(key, "chat")
		s.set(key, "chat")
	}
	span.Name = "chat chat"
	s.record.TraceId, s.record.SpanId = span.TraceId, span.SpanId
	data := s.data()
	data.Traces = []check.Traces{traces(span)}
	if got := check.All(data).Without(check.NotStable); got != nil {
		t.Errorf("both say the same, found:\n%s", got)
	}
	s.set("gen_ai.response.id", "another")
	data.Logs = s.data().Logs
	got := check.All(data)
	expectIn(t, check.Log, check.EventSpanMismatch, check.Violation, "", "gen_ai.response.id", got)
}

// Metrics, records and resources of other fields are none of this checker's business.
func TestOtherSignals(t *testing.T) {
	t.Parallel()
	m := rightSignal(t, duration)
	m.metric.Name = "http.client.request.duration"
	m.attributes.Attributes = nil
	m.set("error.type", 500)
	l := rightSignal(t, details)
	l.record.EventName, l.record.Body = "", anyValue("GET /")
	l.attributes.Attributes = nil
	l.set("net.peer.name", 1)
	data := m.data()
	data.Logs = l.data().Logs
	data.Traces = []check.Traces{nil}
	if got := check.All(data); got != nil {
		t.Errorf("found:\n%s", got)
	}
	if got := check.All(check.Data{Metrics: []check.Metrics{nil}, Logs: []check.Logs{nil}}); got != nil {
		t.Errorf("in nothing, found:\n%s", got)
	}
}
