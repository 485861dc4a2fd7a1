package mellea_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// notEmitted are rows of the reference that no program of the tests emits, each with its reason.
var notEmitted = map[string]string{
	"span invoke_agent {gen_ai.agent.name}":        agents,
	"attribute gen_ai.agent.name":                  agents,
	"attribute mellea.agent.turns":                 agents,
	"metric gen_ai.invoke_agent.duration":          agents,
	"metric gen_ai.invoke_agent.inference_calls":   agents,
	"metric gen_ai.invoke_agent.tool_calls":        agents,
	"span {mcp.method.name} {gen_ai.tool.name}":    mcp,
	"attribute jsonrpc.request.id":                 mcp,
	"attribute mcp.method.name":                    mcp,
	"attribute mcp.protocol.version":               mcp,
	"attribute mcp.resource.uri":                   mcp,
	"attribute mcp.session.id":                     mcp,
	"attribute network.protocol.name":              mcp,
	"attribute network.protocol.version":           mcp,
	"attribute network.transport":                  mcp,
	"attribute rpc.response.status_code":           mcp,
	"metric mcp.client.operation.duration":         mcp,
	"metric mcp.client.session.duration":           mcp,
	"metric mcp.server.operation.duration":         mcp,
	"metric mcp.server.session.duration":           mcp,
	"span stream":                                  streams,
	"span event quick_check":                       streams,
	"span event chunk":                             streams,
	"span event streaming_done":                    streams,
	"span event full_validation":                   streams,
	"span event error":                             streams,
	"span event completed":                         streams,
	"attribute mellea.error.type":                  streams,
	"attribute mellea.error.detail":                streams,
	"attribute mellea.streaming.has_requirements":  streams,
	"attribute mellea.streaming.requirement_count": streams,
	"attribute mellea.streaming.chunking_strategy": streams,
	"attribute mellea.streaming.full_text_length":  streams,
	"attribute mellea.streaming.success":           streams,
	"attribute mellea.streaming.chunk_index":       streams,
	"attribute mellea.streaming.chunk_text_length": streams,
}

const (
	agents  = "there is no agent yet"
	mcp     = "there is no MCP yet"
	streams = "chunks are not checked as they stream yet"
)

// What programs emit is in the reference, and what the reference says that is emitted is, by some program of the tests: by
// the names, and by the columns type, level, content, unit, instrument and labels, as far as they can be held against what
// arrives.
func TestReferenceIsWhatIsEmitted(t *testing.T) {
	t.Parallel()
	store, err := telemetry.NewContentDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var all []emission
	for _, program := range conformingPrograms {
		all = append(all, emissions(exportedBy(t, []telemetry.Option{telemetry.WithContent(true), telemetry.WithContentMaxBytes(300), telemetry.WithChunkEvents(1)}, program), true)...)
		all = append(all, emissions(exportedBy(t, []telemetry.Option{telemetry.WithContent(true), telemetry.WithContentStore(store)}, program), true)...)
		all = append(all, emissions(exportedBy(t, nil, program), false)...)
	}
	emitted := map[string]bool{}
	for _, e := range all {
		emitted[e.place] = true
		for name := range e.attrs {
			emitted["attribute "+name] = true
		}
	}
	page := readReference(t)
	listed := page.names()
	for _, name := range slices.Sorted(maps.Keys(emitted)) {
		if !listed[name] {
			t.Errorf("%s is emitted and not in %s", name, referencePage)
		}
		if notEmitted[name] != "" {
			t.Errorf("%s is excepted for nothing: %s", name, notEmitted[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if !emitted[name] && notEmitted[name] == "" {
			t.Errorf("%s is in %s, and no program emits it", name, referencePage)
		}
	}
	for name := range notEmitted {
		if !listed[name] {
			t.Errorf("%s is excepted and not in %s", name, referencePage)
		}
	}
	wrong := map[string]int{} // a line of the page is wrong once
	for _, e := range all {
		page.hold(e, func(format string, args ...any) { wrong[fmt.Sprintf(format, args...)]++ })
	}
	page.holdWhole(all, func(format string, args ...any) { wrong[fmt.Sprintf(format, args...)]++ })
	for _, message := range slices.Sorted(maps.Keys(wrong)) {
		t.Errorf("%s (%d times)", message, wrong[message])
	}
}

// An emission is what one place of the reference is about, as a program emitted it: a span, an event on one, a log event,
// a point of a metric.
type emission struct {
	place   string // kind and name, as [reference.names] has them
	attrs   map[string]*common.AnyValue
	content bool       // it was to be captured
	span    *otlp.Span // nil for logs and metrics
	parent  *otlp.Span // of the span, nil where it has none
	scopes  [2]string  // of the span and of its parent
	metric  *metricspb.Metric
}

func (e emission) has(name string) bool { return e.attrs[name] != nil }

func (e emission) text(name string) string { return e.attrs[name].GetStringValue() }

func (e emission) isTrue(name string) bool { return e.attrs[name].GetBoolValue() }

func (e emission) hasEvent(name string) bool {
	return slices.ContainsFunc(e.span.GetEvents(), func(v *otlp.Span_Event) bool { return v.GetName() == name })
}

// emissions returns what is in data, and leaves out what the program itself added.
func emissions(data check.Data, content bool) []emission {
	var all []emission
	attributes := func(list []*common.KeyValue) map[string]*common.AnyValue {
		m := map[string]*common.AnyValue{}
		for _, kv := range list {
			name := kv.GetKey()
			if a, ok := semconv.LookupAttribute(name); ok {
				name = a.Name // of a template
			}
			m[name] = kv.GetValue()
		}
		return m
	}
	spans, scopes := map[string]*otlp.Span{}, map[string]string{}
	for _, m := range data.Traces {
		for _, r := range m.GetResourceSpans() {
			for _, in := range r.GetScopeSpans() {
				for _, s := range in.GetSpans() {
					id := string(s.GetTraceId()) + string(s.GetSpanId())
					spans[id], scopes[id] = s, in.GetScope().GetName()
				}
			}
		}
	}
	for id, s := range spans {
		if !strings.HasPrefix(scopes[id], "mellea.") {
			continue
		}
		above := string(s.GetTraceId()) + string(s.GetParentSpanId())
		e := emission{content: content, span: s, parent: spans[above], scopes: [2]string{scopes[id], scopes[above]}}
		e.place, e.attrs = "span "+patternOf(s), attributes(s.GetAttributes())
		all = append(all, e)
		for _, event := range s.GetEvents() {
			e.place, e.attrs = "span event "+event.GetName(), attributes(event.GetAttributes())
			all = append(all, e)
		}
	}
	for _, d := range data.Metrics {
		for _, r := range d.GetResourceMetrics() {
			for _, in := range r.GetScopeMetrics() {
				for _, m := range in.GetMetrics() {
					for _, p := range pointAttributes(m) {
						all = append(all, emission{place: "metric " + m.GetName(), attrs: attributes(p), metric: m})
					}
				}
			}
		}
	}
	for _, d := range data.Logs {
		for _, r := range d.GetResourceLogs() {
			for _, in := range r.GetScopeLogs() {
				for _, l := range in.GetLogRecords() {
					if l.GetEventName() != "" {
						all = append(all, emission{place: "log event " + l.GetEventName(), attrs: attributes(l.GetAttributes()), content: content})
					}
				}
			}
		}
	}
	return all
}

func pointAttributes(m *metricspb.Metric) [][]*common.KeyValue {
	var all [][]*common.KeyValue
	for _, p := range m.GetSum().GetDataPoints() {
		all = append(all, p.GetAttributes())
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		all = append(all, p.GetAttributes())
	}
	return all
}

// patternOf returns the name of a span as its table has it.
func patternOf(s *otlp.Span) string {
	for d := range semconv.Spans() {
		if d.Scope != "" && firstWord(d.Name) == firstWord(s.GetName()) {
			return d.Name
		}
	}
	return s.GetName()
}
