package check_test

import (
	"fmt"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// A span as an instrumentation of some years ago exported it.
func ExampleSpans() {
	text := func(key, value string) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
	}
	data := &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{
		TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"),
		Name: "openai.chat", Kind: tracepb.Span_SPAN_KIND_CLIENT,
		Attributes: []*commonpb.KeyValue{
			text("gen_ai.operation.name", "chat"),
			text("gen_ai.system", "openai"),
			text("gen_ai.request.model", "gpt-4o-mini"),
			text("gen_ai.usage.input_tokens", "17"),
		},
	}}}}}}}
	for _, f := range check.Spans(data).AtLeast(check.Violation) {
		fmt.Println(f.ID, f.Attribute, f.Message)
	}
	// Output:
	// genai_span_name_format  should be named "chat gpt-4o-mini"
	// deprecated gen_ai.system the conventions have given it up: use gen_ai.provider.name
	// type_mismatch gen_ai.usage.input_tokens is of type string, want int
}
