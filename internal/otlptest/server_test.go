package otlptest_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/internal/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Both transports deliver what an SDK exported, whole.
func TestReceive(t *testing.T) {
	t.Parallel()
	tests := map[string]func(context.Context, *otlptest.Server) (sdktrace.SpanExporter, error){
		"grpc": func(ctx context.Context, s *otlptest.Server) (sdktrace.SpanExporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(s.GRPC))
		},
		"http": func(ctx context.Context, s *otlptest.Server) (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.HTTP+"/v1/traces"))
		},
		"http, compressed": func(ctx context.Context, s *otlptest.Server) (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.HTTP+"/v1/traces"),
				otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		},
	}
	for name, exporter := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			e, err := exporter(t.Context(), server)
			if err != nil {
				t.Fatal(err)
			}
			p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(e))
			in := p.Tracer("scope", trace.WithInstrumentationVersion("v1"), trace.WithSchemaURL("https://example.com/1"))
			ctx, outer := in.Start(t.Context(), "outer", trace.WithSpanKind(trace.SpanKindClient))
			_, inner := in.Start(ctx, "inner", trace.WithAttributes(
				attribute.Int("n", 1), attribute.Float64("f", 0.5), attribute.Bool("b", true), attribute.String("s", "needle"),
				attribute.StringSlice("list", []string{"x", "y"}),
				attribute.Map("map", attribute.Slice("in", attribute.StringValue("z")))),
				trace.WithLinks(trace.Link{SpanContext: outer.SpanContext()}))
			inner.AddEvent("event", trace.WithAttributes(attribute.Int("at", 2)))
			inner.SetStatus(codes.Error, "why")
			inner.End()
			outer.End()
			if err := p.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}

			got := server.Spans(t, 2)
			if diff := cmp.Diff("outer client\n  inner internal\n", otlptest.Tree(got, func(s otlptest.Span) string { return s.Kind })); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			in2 := got[1]
			want := otlptest.Span{
				Name: "inner", TraceID: outer.SpanContext().TraceID().String(), SpanID: inner.SpanContext().SpanID().String(),
				Parent: outer.SpanContext().SpanID().String(), Kind: "internal", Status: "error", Description: "why",
				Start: in2.Start, End: in2.End,
				Attributes: map[string]any{"n": int64(1), "f": 0.5, "b": true, "s": "needle", "list": []any{"x", "y"},
					"map": map[string]any{"in": []any{"z"}}},
				Events: []otlptest.Event{{Name: "event", Time: in2.Events[0].Time, Attributes: map[string]any{"at": int64(2)}}},
				Links: []otlptest.Link{{TraceID: outer.SpanContext().TraceID().String(),
					SpanID: outer.SpanContext().SpanID().String(), Attributes: map[string]any{}}},
				Resource: in2.Resource, Scope: "scope", Version: "v1", SchemaURL: "https://example.com/1",
			}
			if diff := cmp.Diff(want, in2); diff != "" {
				t.Errorf("span (-want +got):\n%s", diff)
			}
			if _, ok := in2.Resource["telemetry.sdk.name"]; !ok {
				t.Errorf("resource %v has no telemetry.sdk.name", in2.Resource)
			}
			if !bytes.Contains(server.Raw(), []byte("needle")) {
				t.Error("Raw does not hold what was exported")
			}
		})
	}
}
