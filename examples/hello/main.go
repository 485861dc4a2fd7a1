// Command hello asks a model for one sentence.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
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

	hello, err := s.Instruct(ctx, "Greet {{name}} in one short sentence.", mellea.Vars{"name": "Ada"},
		mellea.Temperature(0), mellea.MaxTokens(40))
	if err != nil {
		return err
	}
	fmt.Fprintln(w, hello.Text())
	return nil
}
