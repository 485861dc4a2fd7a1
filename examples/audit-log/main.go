// Command audit-log writes a line of JSON for each generation and each rejection, without any content. audit.go is the
// plugin.
package main

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

// noRecipes is a policy that gives the audit something to report.
var noRecipes = hookpoint.Generation.Guard(
	func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		for m := range g.Messages.Values() {
			if strings.Contains(m.Text(), "recipe") {
				return g, hook.Reject("off_topic", "this assistant does not cook")
			}
		}
		return g, nil
	}, hook.Name("no-recipes"))

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	audit := NewAudit(w)
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel, audit, noRecipes))
	if err != nil {
		return err
	}
	for _, ask := range []string{"Name a river.", "Give me a recipe."} {
		_, err := s.Instruct(ctx, ask, mellea.Temperature(0), mellea.MaxTokens(20))
		var rejected *hook.Rejection
		if err != nil && !errors.As(err, &rejected) {
			return errors.Join(err, s.Close())
		}
	}
	// Close waits until the audit has written everything.
	return errors.Join(s.Close(), audit.Err())
}
