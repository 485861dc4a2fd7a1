// Command tools lets a model call Go functions: it asks for the weather in two cities, is told, and answers. The recording
// is of a model that was made to say what it says, on a real Ollama: SmolLM2 is too small to call tools.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

// query is what the model fills in. Its JSON Schema is made from the fields and their tags.
type query struct {
	City string `json:"city" jsonschema:"the city's name"`
	Days int    `json:"days,omitempty" jsonschema:"days ahead; 0 is today"`
}

type forecast struct {
	Sky     string `json:"sky"`
	Celsius int    `json:"celsius"`
}

var weather = tool.New("get_weather", "The weather in a city, today or some days ahead.",
	func(_ context.Context, q query) (forecast, error) {
		known := map[string]forecast{"Oslo": {"rain", 9}, "Rome": {"sun", 27}}
		f, ok := known[q.City]
		if !ok {
			return forecast{}, fmt.Errorf("there is no forecast for %s", q.City) // the model is told, and may try another
		}
		return f, nil
	})

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel), mellea.WithTools(weather))
	if err != nil {
		return err
	}
	defer s.Close()

	res, err := s.Instruct(ctx, "What should I take along to Oslo and to Rome tomorrow?",
		mellea.Check(requirement.UsesTool("get_weather")), mellea.MaxToolTurns(3))
	if err != nil {
		return err
	}
	for _, r := range res.ToolRuns {
		fmt.Fprintf(w, "%s %s\n  %s\n", r.Call.Name, r.Call.Arguments, r.Output.Text)
	}
	fmt.Fprintln(w, res.Text())
	return nil
}
