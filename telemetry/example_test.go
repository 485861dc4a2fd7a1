package telemetry_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/telemetry"
)

// spanNames prints the name of each span it is given.
type spanNames struct{}

func (spanNames) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		fmt.Println(s.Name())
	}
	return nil
}

func (spanNames) Shutdown(context.Context) error { return nil }

// A program sets telemetry up once and installs it where it starts its sessions. Here an exporter stands in for the
// collector that MELLEA_TRACES_OTLP and OTEL_EXPORTER_OTLP_ENDPOINT would name.
func ExampleSetup() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithSpanExporter(spanNames{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	s, err := mellea.Start(ctx, says("Dear Alice"), mellea.WithHooks(tel))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := s.Instruct(ctx, "Write a mail"); err != nil {
		fmt.Println(err)
	}
	_ = s.Close()
	// Output:
	// start_session
	// chat m1
	// action
	// session
}

// A service with long-lived sessions links its requests to them, so that a trace ends with its request.
func ExampleSessionSpans() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithSpanExporter(links{}), telemetry.SessionSpans(telemetry.Link))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()
	s, err := mellea.Start(ctx, says("hello"), mellea.WithHooks(tel))
	if err != nil {
		fmt.Println(err)
		return
	}
	request, span := tel.TracerProvider().Tracer("service").Start(ctx, "GET /mail")
	if _, err := s.Instruct(request, "Greet"); err != nil {
		fmt.Println(err)
	}
	span.End()
	_ = s.Close()
	// Output:
	// action: 1 link
}

// links prints the spans of calls that have links.
type links struct{}

func (links) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		if n := len(s.Links()); n > 0 && s.Name() == "action" {
			fmt.Printf("%s: %d link\n", s.Name(), n)
		}
	}
	return nil
}

func (links) Shutdown(context.Context) error { return nil }

// The redactor sees every piece of content before it is recorded.
func ExampleWithRedactor() {
	ctx := context.Background()
	hide := func(_, text string) string { return strings.ReplaceAll(text, "Alice", "****") }
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithSpanExporter(responses{}),
		telemetry.WithContent(true), telemetry.WithRedactor(hide))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()
	r := mellea.On(says("Dear Alice"), mellea.WithHooks(tel))
	if _, err := mellea.Instruct(ctx, r, "Write a mail"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Dear ****
}

// responses prints the recorded replies.
type responses struct{}

func (responses) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		for _, kv := range s.Attributes() {
			if kv.Key == "mellea.action.response" {
				fmt.Println(kv.Value.AsString())
			}
		}
	}
	return nil
}

func (responses) Shutdown(context.Context) error { return nil }

// Inspect tells what Setup would do, for a command that helps people find out why they see no traces.
func ExampleInspect() {
	env := map[string]string{
		"MELLEA_TRACE_BACKEND":        "true",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:secret@localhost:4317",
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	got := telemetry.Inspect(lookup, nil)
	fmt.Println(got.Protocol, "to", got.Endpoint)
	for _, w := range got.Warnings {
		fmt.Println(w)
	}
	for _, s := range got.Settings {
		if s.Origin != telemetry.FromDefault {
			fmt.Printf("%s=%s (%s)\n", s.Name, s.Value, s.Origin)
		}
	}
	// Output:
	// grpc to http://localhost:4317
	// MELLEA_TRACE_BACKEND is deprecated and will be removed in the next release: use MELLEA_TRACES_ENABLED
	// MELLEA_TRACES_ENABLED=true (deprecated variable)
	// MELLEA_TRACES_OTLP=true (deprecated variable)
	// MELLEA_TRACE_BACKEND=true (environment)
	// OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 (environment)
}

func ExampleTelemetry_StartCommand() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithSpanExporter(spanNames{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, end := tel.StartCommand(ctx, "run", "", []string{"--backend", "ollama", "a prompt"})
	leave := func(code int) {
		end(code)
		_ = tel.Shutdown(context.WithoutCancel(ctx))
	}
	leave(0)
	// Output: mellea run
}

// A program's own metrics go where those of the library go.
func ExampleTelemetry_Counter() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithMetricsConsole(os.Stdout))
	if err != nil {
		fmt.Println(err)
		return
	}
	answered, err := tel.Counter("support.mails.answered", "{mail}", "Mails that were answered.")
	if err != nil {
		fmt.Println(err)
		return
	}
	answered.Add(ctx, 2, metric.WithAttributes(attribute.String("language", "en")))
	_ = tel.Shutdown(ctx) // prints what was recorded
	// Output:
	// metrics
	//   support.mails.answered{language="en"} 2
}
