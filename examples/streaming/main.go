// Command streaming shows the two ways to read a reply as it arrives: a running output, which several may follow and
// a later call may use, and a sink for the attempts of a call that validates.
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
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel), mellea.WithOptions(backend.Options{}.WithTemperature(0).WithMaxTokens(60)))
	if err != nil {
		return err
	}
	defer s.Close()

	// A running output: the call returns at once, chunks are read as they arrive.
	fact, err := s.StartInstruct(ctx, "Say something true about the Moon in one sentence.")
	if err != nil {
		return err
	}
	for chunk, err := range fact.Chunks(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprint(w, chunk.Text)
	}
	fmt.Fprintln(w)

	// The output is a variable of the next call, whose attempts go to a sink.
	title, err := s.Instruct(ctx, "Write a title for this text: {{fact}}", mellea.Vars{"fact": fact},
		mellea.Require("at most 12 words", requirement.MaxWords(12)),
		mellea.Stream(func(attempt int, c backend.Chunk) {
			if c.Index == 0 {
				fmt.Fprintf(w, "\nattempt %d: ", attempt)
			}
			fmt.Fprint(w, c.Text)
		}))
	if err != nil {
		return err
	}
	first, _ := title.Generation.TimeToFirstChunk()
	fmt.Fprintf(w, "\n\n%d attempt(s), the last in %d chunks; a first chunk was seen: %t\n",
		len(title.Attempts), title.Generation.Chunks, first > 0)
	return nil
}
