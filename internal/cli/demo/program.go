package demo

import (
	"context"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// Explain asks a model for one sentence and holds its reply to three requirements.
func Explain(ctx context.Context, s *mellea.Session, show func(attempt int, c backend.Chunk)) (*mellea.Result[string], error) {
	return s.Instruct(ctx, "Explain in one sentence why {{.fact}}.",
		mellea.Vars{"fact": "the sky is blue"},
		mellea.Require("be easy to understand"),                               // shown to the model, judged by the model
		mellea.Check(requirement.MaxWords(25), requirement.Contains("light")), // judged by code, not shown
		mellea.Strategy(sampling.Repair(3)),                                   // at most three generations
		mellea.Temperature(0.2), mellea.Seed(3), mellea.MaxTokens(60),
		mellea.Stream(show))
}
