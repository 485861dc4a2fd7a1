// Command own-hook installs a plugin of its own that prints what a program does. steps.go is the plugin.
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
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel, &Steps{w: w}))
	if err != nil {
		return err
	}
	defer s.Close()

	res, err := s.Instruct(ctx, "Describe an otter in one sentence.",
		mellea.Require("at most 20 words", requirement.MaxWords(20)),
		mellea.Temperature(0.4), mellea.Seed(2))
	if err != nil {
		return err
	}
	fmt.Fprintln(w, res.Text())
	return nil
}
