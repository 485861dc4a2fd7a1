package openai_test

import (
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Suite{
		Name: "openai",
		New: func(tb testing.TB, cfg backendtest.Config) backend.Backend {
			return semconvtest.Traced(tb, openai.New(openai.WithBaseURL(cfg.URL+"/v1"), openai.WithModel(cfg.Model), openai.WithAPIKey(cfg.Key),
				openai.WithRetries(cfg.Retries), openai.WithReplyLimit(cfg.ReplyLimit), openai.WithTransport(cfg.Transport), openai.WithLogger(cfg.Logger)))
		},
		Dialect:  backendtest.ChatCompletions{Known: []string{"user", "response_format"}},
		Provider: "openai",
		Options: map[backend.Neutral]string{
			backend.NeutralModel:            "model",
			backend.NeutralTemperature:      "temperature",
			backend.NeutralTopP:             "top_p",
			backend.NeutralTopK:             "top_k",
			backend.NeutralFrequencyPenalty: "frequency_penalty",
			backend.NeutralPresencePenalty:  "presence_penalty",
			backend.NeutralMaxTokens:        "max_tokens",
			backend.NeutralSeed:             "seed",
			backend.NeutralStop:             "stop",
			backend.NeutralThinking:         "reasoning_effort",
		},
		NativeMaxTokens: "max_completion_tokens",
		Extra:           "user", ExtraPath: "user",
		SchemaPath: "response_format.json_schema.schema", BatchSchemaPath: "response_format.json_schema.schema",
		Usage: content.Usage{InputTokens: 31, OutputTokens: 12, CacheReadTokens: 8, CacheWriteTokens: 2, ReasoningTokens: 4,
			Audio: content.Modality{InputTokens: 1}},
		Reasoning: true, Tools: true,
		ModelUnknown: "model_not_found",
	})
}
