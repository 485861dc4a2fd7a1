// Command instruct-validate-repair asks for a sentence that meets two requirements, and shows what became of each
// attempt. It is the program of the README.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel))
	if err != nil {
		return err
	}
	defer s.Close()

	sentence, err := s.Instruct(ctx, "Describe {{.thing}} in one sentence.",
		mellea.Vars{"thing": "an otter"},
		mellea.Require("at most 20 words", requirement.MaxWords(20)), // the model is told
		mellea.Check(requirement.Contains("otter")),                  // the model is not told
		mellea.Strategy(sampling.Repair(3)),                          // the default: three generations at the most
		mellea.Temperature(0.4), mellea.Seed(2))
	var unmet *mellea.UnmetError
	if err != nil && !errors.As(err, &unmet) {
		return err
	}
	for _, a := range sentence.Attempts {
		fmt.Fprintf(w, "%d. %s\n", a.Number, a.Text())
		for _, reason := range a.Reasons() {
			fmt.Fprintf(w, "   not accepted: %s\n", reason)
		}
	}
	if unmet != nil {
		// The result is there all the same: that of the best attempt.
		fmt.Fprintf(w, "best of %d: %s\n", unmet.Attempts, sentence.Text())
		return err
	}
	fmt.Fprintf(w, "accepted after %d tokens\n", sentence.Usage.Total())
	return nil
}
