// Command own-telemetry-provider traces with the application's own OpenTelemetry provider: its exporter, its sampling,
// its resource. The spans of the calls stand below the application's own.
package main

import (
	"context"
	_ "embed"
	"io"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, _ *telemetry.Telemetry) error {
	provider, err := newProvider(ctx, w)
	if err != nil {
		return err
	}
	defer provider.Shutdown(context.WithoutCancel(ctx)) // the provider is the application's: so is its end

	tel, err := telemetry.Setup(ctx,
		telemetry.WithTracerProvider(provider),
		telemetry.SessionSpans(telemetry.Link)) // the session outlives the requests: link to it, do not nest in it
	if err != nil {
		return err
	}
	defer tel.Shutdown(context.WithoutCancel(ctx)) // it flushes the provider, which goes on
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel))
	if err != nil {
		return err
	}
	defer s.Close()
	return handle(ctx, provider, s)
}

// newProvider makes what an application has already. It exports by OTLP where the environment names a collector, and
// prints where it does not.
func newProvider(ctx context.Context, w io.Writer) (*sdktrace.TracerProvider, error) {
	var exporter sdktrace.SpanExporter = telemetry.NewTreePrinter(w)
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		var err error
		if exporter, err = otlptracehttp.New(ctx); err != nil {
			return nil, err
		}
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))),
		sdktrace.WithBatcher(exporter)), nil
}

// handle serves one request of the application, under a span of its own.
func handle(ctx context.Context, provider *sdktrace.TracerProvider, s *mellea.Session) error {
	ctx, span := provider.Tracer("shop").Start(ctx, "GET /thanks")
	defer span.End()
	_, err := s.Instruct(ctx, "Thank a customer for an order in one sentence.",
		mellea.Require("at most 30 words", requirement.MaxWords(30)),
		mellea.Temperature(0), mellea.MaxTokens(60))
	return err
}
