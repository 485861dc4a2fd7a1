package telemetry

import (
	"context"
	"iter"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea/content"
)

// CaptureForTest returns the documents that are recorded for an exchange under a cap.
func CaptureForTest(messages content.Messages, tools content.List[content.ToolSpec], reply content.Message, limit int, redact Redactor) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_, span := sdktrace.NewTracerProvider().Tracer("").Start(context.Background(), "")
		capture{on: true, max: limit, strings: true, redact: redact}.exchange(span, messages, tools, reply)
		for _, kv := range span.(sdktrace.ReadOnlySpan).Attributes() {
			if kv.Key != "mellea.content.truncated" && !yield(string(kv.Key), kv.Value.AsString()) {
				return
			}
		}
	}
}

// PackageOfFunctionForTest returns the import path in the name of a function.
func PackageOfFunctionForTest(name string) string { return packageOfFunction(name) }
