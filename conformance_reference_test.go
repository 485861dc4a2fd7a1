package mellea_test

import (
	"maps"
	"os"
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
	"attribute mellea.usage.cost.usd":              proxies,
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
	proxies = "only a LiteLLM proxy says what a call cost: the tests of its backend have it"
	streams = "chunks are not checked as they stream yet"
)

// What programs emit is in the reference, and what the reference says that is emitted is, by some program of the tests.
func TestReferenceIsWhatIsEmitted(t *testing.T) {
	t.Parallel()
	emitted := map[string]bool{}
	store, err := telemetry.NewContentDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range conformingPrograms {
		note(emitted, exportedBy(t, []telemetry.Option{telemetry.WithContent(true), telemetry.WithContentMaxBytes(300), telemetry.WithChunkEvents(1)}, program))
		note(emitted, exportedBy(t, []telemetry.Option{telemetry.WithContent(true), telemetry.WithContentStore(store)}, program))
	}
	listed := reference(t)
	for _, name := range slices.Sorted(maps.Keys(emitted)) {
		if !listed[name] && name != "span handle" { // the span of a caller
			t.Errorf("%s is emitted and not in docs/telemetry/reference.md", name)
		}
		if notEmitted[name] != "" {
			t.Errorf("%s is excepted for nothing: %s", name, notEmitted[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if !emitted[name] && notEmitted[name] == "" {
			t.Errorf("%s is in docs/telemetry/reference.md, and no program emits it", name)
		}
	}
	for name := range notEmitted {
		if !listed[name] {
			t.Errorf("%s is excepted and not in docs/telemetry/reference.md", name)
		}
	}
}

// note adds the names in data, as the reference has them.
func note(names map[string]bool, data check.Data) {
	attributes := func(all []*common.KeyValue) {
		for _, kv := range all {
			name := kv.GetKey()
			if a, ok := semconv.LookupAttribute(name); ok {
				name = a.Name // of a template
			}
			names["attribute "+name] = true
		}
	}
	eachSpan(data, func(s *otlp.Span) {
		names["span "+patternOf(s)] = true
		attributes(s.GetAttributes())
		for _, e := range s.GetEvents() {
			names["span event "+e.GetName()] = true
			attributes(e.GetAttributes())
		}
	})
	for _, d := range data.Metrics {
		for _, r := range d.GetResourceMetrics() {
			for _, in := range r.GetScopeMetrics() {
				for _, m := range in.GetMetrics() {
					names["metric "+m.GetName()] = true
					for _, p := range pointAttributes(m) {
						attributes(p)
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
						names["log event "+l.GetEventName()] = true
						attributes(l.GetAttributes())
					}
				}
			}
		}
	}
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

// reference returns what docs/telemetry/reference.md says that is emitted: its headings, and the rows of the tables of
// attributes.
func reference(t *testing.T) map[string]bool {
	t.Helper()
	src, err := os.ReadFile("docs/telemetry/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	section := ""
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSpace(line)
		kind := map[string]string{"Spans": "span ", "Events on spans": "span event ", "Log events": "log event ", "Metrics": "metric "}[section]
		switch {
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		case strings.HasPrefix(line, "### Values of"):
			section = "" // the rows of its tables are values
		case strings.HasPrefix(line, "### `") && kind != "":
			names[kind+strings.Trim(strings.TrimPrefix(line, "### "), "`")] = true
		case strings.HasPrefix(line, "| `") && section == "Attributes":
			names["attribute "+strings.Trim(strings.SplitN(line, "|", 3)[1], " `")] = true
		}
	}
	if len(names) < 150 {
		t.Fatalf("the reference has %d names, want those of spans, events, metrics and attributes", len(names))
	}
	return names
}
