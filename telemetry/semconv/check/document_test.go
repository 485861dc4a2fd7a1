package check_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A document is one span with the scope it comes under, for tests to make wrong.
type document struct {
	*tracepb.Span
	scope, schemaURL string
}

func traces(all ...document) *tracepb.TracesData {
	r := &tracepb.ResourceSpans{}
	for _, d := range all {
		r.ScopeSpans = append(r.ScopeSpans, &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: d.scope},
			SchemaUrl: d.schemaURL, Spans: []*tracepb.Span{d.Span}})
	}
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{r}}
}

func (d document) set(key string, value any) {
	v := anyValue(value)
	for _, kv := range d.Attributes {
		if kv.Key == key {
			kv.Value = v
			return
		}
	}
	d.Attributes = append(d.Attributes, &commonpb.KeyValue{Key: key, Value: v})
}

func (d document) remove(keys ...string) {
	d.Attributes = slices.DeleteFunc(d.Attributes, func(kv *commonpb.KeyValue) bool { return slices.Contains(keys, kv.Key) })
}

func (d document) get(key string) string {
	for _, kv := range d.Attributes {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

// event adds an event, or returns the one there is.
func (d document) event(name string) document {
	for _, e := range d.Events {
		if e.Name == name {
			return document{Span: &tracepb.Span{Attributes: e.Attributes}}
		}
	}
	d.Events = append(d.Events, &tracepb.Span_Event{Name: name, TimeUnixNano: d.StartTimeUnixNano})
	return document{Span: &tracepb.Span{}}
}

func (d document) eventWithout(name, key string) {
	for _, e := range d.Events {
		if e.Name == name {
			e.Attributes = slices.DeleteFunc(e.Attributes, func(kv *commonpb.KeyValue) bool { return kv.Key == key })
		}
	}
}

func (d document) fail() {
	d.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "openai: 500"}
	d.set("error.type", "500")
	if strings.HasPrefix(d.scope, "mellea.") {
		d.set("mellea.outcome", "error")
		d.set("mellea.error.category", "server_error")
	}
}

func anyValue(v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case string:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
	case bool:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v}}
	case int:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
	case float64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
	case []any:
		all := &commonpb.ArrayValue{}
		for _, e := range v {
			all.Values = append(all.Values, anyValue(e))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: all}}
	case map[string]any:
		all := &commonpb.KeyValueList{}
		for k, e := range v {
			all.Values = append(all.Values, &commonpb.KeyValue{Key: k, Value: anyValue(e)})
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: all}}
	default:
		return &commonpb.AnyValue{}
	}
}

func fromJSON(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

// contents are right values of the attributes that have a content schema.
var contents = map[string]string{
	"gen_ai.input.messages": `[{"role":"user","parts":[{"type":"text","content":"hi"},{"type":"blob","modality":"image","mime_type":"image/png","content":"AA=="},
		{"type":"uri","modality":"image","uri":"https://example.com/a.png"},{"type":"file","modality":"document","file_id":"f1"},{"type":"holograph","depth":3}]},
		{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":{"celsius":21}}]}]`,
	"gen_ai.output.messages": `[{"role":"assistant","parts":[{"type":"reasoning","content":"hm"},{"type":"tool_call","id":null,"name":"weather","arguments":{"city":"Bern"}},
		{"type":"server_tool_call","name":"search","server_tool_call":{"type":"web_search"}},
		{"type":"server_tool_call_response","server_tool_call_response":{"type":"web_search"}},{"type":"compaction"}]}]`,
	"gen_ai.system_instructions": `[{"type":"text","content":"be kind"}]`,
	"gen_ai.tool.definitions":    `[{"type":"function","name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}},{"type":"browser","name":"b"}]`,
	"gen_ai.tool.call.arguments": `{"city":"Bern"}`,
	"gen_ai.tool.call.result":    `{"celsius":21}`,
	"gen_ai.retrieval.documents": `[{"id":"d1","score":0.5,"title":"x"},{"id":null}]`,
	"gen_ai.memory.records":      `[{"content":"likes tea","metadata":{"by":"me"}}]`,
}

// onlyWhenBad are attributes of spans that did not end well.
var onlyWhenBad = []string{"error.type", "rpc.response.status_code", "mellea.outcome", "mellea.error.category", "mellea.rejection.point", "mellea.rejection.plugin", "mellea.rejection.code"}

// right returns a span that has everything the table has, with values that fit.
func right(t testing.TB, id string) document {
	t.Helper()
	table, ok := semconv.LookupSpan(id)
	if !ok {
		t.Fatalf("no span %s in the registries", id)
	}
	d := document{scope: "some.library", Span: &tracepb.Span{TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"),
		StartTimeUnixNano: 1_700_000_000_000_000_000, EndTimeUnixNano: 1_700_000_001_000_000_000}}
	if table.Scope != "" {
		d.scope, d.schemaURL = table.Scope, semconv.SchemaURL
	}
	d.Kind = map[semconv.Kind]tracepb.Span_SpanKind{semconv.KindInternal: tracepb.Span_SPAN_KIND_INTERNAL,
		semconv.KindClient: tracepb.Span_SPAN_KIND_CLIENT, semconv.KindServer: tracepb.Span_SPAN_KIND_SERVER}[table.Kind]
	d.fill(table, table.Attributes())
	d.Name = nameOf(table, d)
	for e := range table.Events() {
		event := document{Span: &tracepb.Span{}}
		event.fill(table, e.Attributes())
		d.Events = append(d.Events, &tracepb.Span_Event{Name: e.Name, TimeUnixNano: d.StartTimeUnixNano, Attributes: event.Attributes})
	}
	return d
}

func (d document) fill(table semconv.Span, uses func(func(semconv.Use) bool)) {
	for u := range uses {
		switch {
		case slices.Contains(onlyWhenBad, u.Name) && u.Level != semconv.Required:
		case u.Type == semconv.TypeStringTemplate:
			d.set(u.Name+".city", "Bern")
		default:
			d.set(u.Name, sample(table, u))
		}
	}
}

func sample(table semconv.Span, u semconv.Use) any {
	switch u.Name {
	case "gen_ai.operation.name":
		if word, _, _ := strings.Cut(table.Name, " "); !strings.HasPrefix(word, "{") {
			return word
		}
		for op := range table.Operations() {
			return op
		}
		return "execute_tool" // MCP
	case "gen_ai.provider.name":
		if table.Provider != "" {
			return table.Provider
		}
		return "mistral_ai"
	case "mcp.method.name":
		return "tools/call"
	case "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens":
		return 10
	case "error.type":
		return "500"
	case "openai.request.service_tier":
		return "default"
	}
	if text, ok := contents[u.Name]; ok {
		return fromJSON(text)
	}
	if u.Example != "" {
		v := fromJSON(u.Example)
		if n, ok := v.(float64); ok && u.Type == semconv.TypeInt {
			return int(n)
		}
		return v
	}
	for v := range u.Values() {
		return v
	}
	switch u.Type {
	case semconv.TypeInt:
		return 3
	case semconv.TypeDouble:
		return 0.5
	case semconv.TypeBool:
		return true
	case semconv.TypeStringSlice:
		return []any{"stop"}
	default:
		return "x"
	}
}

// nameOf reads the name of a span off its table, in a way of its own.
func nameOf(table semconv.Span, d document) string {
	name := table.Name
	for _, kv := range d.Attributes {
		name = strings.ReplaceAll(name, "{"+kv.Key+"}", kv.Value.GetStringValue())
	}
	return strings.ReplaceAll(name, "{target}", d.get("gen_ai.tool.name"))
}
