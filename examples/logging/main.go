// Command logging writes the application's own log lines from inside a tool and a guard, with the ids of the step they are
// written in: the session, the call to the model, the span. The application logs with log/slog as it always did; all it
// does is to take its handler from telemetry.
//
// The recording is that of the example tools.
package main

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, _ *telemetry.Telemetry) error {
	// MELLEA_LOGS_FILE, MELLEA_LOGS_OTLP and others send the lines elsewhere as well, MELLEA_TRACES_OTLP the spans.
	tel, err := telemetry.Setup(ctx, telemetry.WithLogsConsole(w), telemetry.WithSpanExporter(nowhere{}))
	if err != nil {
		return err
	}
	defer tel.Shutdown(context.WithoutCancel(ctx))
	log := slog.New(tel.LogHandler())

	s, err := mellea.Start(ctx, b, mellea.WithTools(weather(log)), mellea.WithToolParallel(1),
		mellea.WithHooks(tel, counting(log)))
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Instruct(ctx, "What should I take along to Oslo and to Rome tomorrow?"); err != nil {
		return err
	}
	log.Info("done") // without the context of a step there is nothing to add
	return nil
}

// nowhere exports spans nowhere: lines have the ids of spans, too, where nobody wants to see those.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                             { return nil }

// query is what the model fills in.
type query struct {
	City string `json:"city" jsonschema:"the city's name"`
	Days int    `json:"days,omitempty" jsonschema:"days ahead; 0 is today"`
}

type forecast struct {
	Sky     string `json:"sky"`
	Celsius int    `json:"celsius"`
}

// weather is a tool that logs what it looks up. The lines have the request_id of the call that asked for it.
func weather(log *slog.Logger) tool.Tool {
	return tool.New("get_weather", "The weather in a city, today or some days ahead.",
		func(ctx context.Context, q query) (forecast, error) {
			known := map[string]forecast{"Oslo": {"rain", 9}, "Rome": {"sun", 27}}
			f, ok := known[q.City]
			if !ok {
				log.WarnContext(ctx, "no forecast", "days", q.Days)
				return forecast{}, errors.New("there is no forecast for " + q.City)
			}
			log.InfoContext(ctx, "forecast", slog.Group("found", "sky", f.Sky, "celsius", f.Celsius))
			return f, nil
		})
}

// counting is a guard that lets everything pass, and logs how much a model is shown.
func counting(log *slog.Logger) hook.Source {
	return hookpoint.Generation.Guard(func(ctx context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		log.InfoContext(ctx, "asking", "messages", g.Messages.Len())
		return g, nil
	})
}
