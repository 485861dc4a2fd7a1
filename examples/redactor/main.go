// Command redactor keeps e-mail addresses and keys from a model, and from what it replies. redact.go is the plugin: a
// guard that rewrites the messages and a review that rewrites the reply.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	// Observers run after all guards: what this one sees is what is sent.
	sent := hookpoint.Generation.Observe(func(_ context.Context, g hookpoint.GenerationStart) {
		last, _ := g.Messages.Last()
		fmt.Fprintln(w, "sent: ", last.Text())
	})
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel, Redactor{}, sent))
	if err != nil {
		return err
	}
	defer s.Close()

	out, err := s.StartInstruct(ctx, "My key is sk-abcdefghijklmnop1234. Write an example user record as JSON with name and email.",
		mellea.Options(backend.Options{}.WithTemperature(0.5).WithSeed(1).WithMaxTokens(100)))
	if err != nil {
		return err
	}
	reply, err := out.Text(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "reply:", reply)
	fmt.Fprintln(w, "held back until it was reviewed:", out.Held())
	return nil
}
