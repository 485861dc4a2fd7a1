// Command token-budget stops a session that has spent its tokens. budget.go is the plugin: a guard that rejects.
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
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	budget := NewBudget(120)
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel, budget))
	if err != nil {
		return err
	}
	defer s.Close()

	for _, city := range []string{"Paris", "Rome", "Madrid"} {
		res, err := s.Instruct(ctx, "Where is {{city}}? Answer in one sentence.",
			mellea.Vars{"city": city}, mellea.Temperature(0), mellea.MaxTokens(60))
		var rejected *hook.Rejection
		switch {
		case errors.As(err, &rejected):
			// The error's own text names point, plugin and code; the reason is for people.
			fmt.Fprintf(w, "%s: rejected, %s: %s\n", city, rejected.Code, rejected.Reason)
		case err != nil:
			return err
		default:
			fmt.Fprintf(w, "%s: %s\n  (%d tokens, %d spent)\n", city, res.Text(), res.Usage.Total(), budget.Spent(s.ID()))
		}
	}
	return nil
}
