package otlptest_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// Both transports deliver log records whole.
func TestReceiveLogs(t *testing.T) {
	t.Parallel()
	for name, exporter := range map[string]func(context.Context, *otlptest.Server) (sdklog.Exporter, error){
		"grpc": func(ctx context.Context, s *otlptest.Server) (sdklog.Exporter, error) {
			return otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(s.GRPC))
		},
		"http, compressed": func(ctx context.Context, s *otlptest.Server) (sdklog.Exporter, error) {
			return otlploghttp.New(ctx, otlploghttp.WithEndpointURL(s.HTTP+"/v1/logs"),
				otlploghttp.WithCompression(otlploghttp.GzipCompression))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			e, err := exporter(t.Context(), server)
			if err != nil {
				t.Fatal(err)
			}
			p := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(e)))
			to := p.Logger("scope", log.WithInstrumentationVersion("v1"), log.WithSchemaURL("https://example.com/1"))
			span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
			when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
			var event, line log.Record
			event.SetEventName("event")
			event.SetTimestamp(when)
			event.SetObservedTimestamp(when)
			event.SetSeverity(log.SeverityWarn)
			event.SetSeverityText("WARN")
			event.AddAttributes(attribute.Int("n", 1), attribute.Map("map", attribute.Slice("in", attribute.StringValue("z"))))
			to.Emit(trace.ContextWithSpanContext(t.Context(), span), event)
			line.SetBody(attribute.StringValue("a line"))
			to.Emit(t.Context(), line)
			if err := p.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}

			all := server.Records(t, 2)
			got := otlptest.Events(all, "event")
			if len(got) != 1 {
				t.Fatalf("%d events, want 1", len(got))
			}
			want := otlptest.Record{Event: "event", Time: when, Observed: when, Severity: 13, SeverityText: "WARN",
				Attributes: map[string]any{"n": int64(1), "map": map[string]any{"in": []any{"z"}}},
				TraceID:    span.TraceID().String(), SpanID: span.SpanID().String(),
				Resource: got[0].Resource, Scope: "scope", Version: "v1", SchemaURL: "https://example.com/1"}
			if diff := cmp.Diff(want, got[0]); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if all[1].Body != "a line" || all[1].TraceID != "" {
				t.Errorf("line: %+v", all[1])
			}
		})
	}
}
