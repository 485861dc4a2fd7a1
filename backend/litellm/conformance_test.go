package litellm_test

import (
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Suite{
		Name: "litellm",
		New: func(tb testing.TB, cfg backendtest.Config) backend.Backend {
			return semconvtest.Traced(tb, litellm.New(litellm.WithBaseURL(cfg.URL), litellm.WithModel(cfg.Model), litellm.WithAPIKey(cfg.Key),
				litellm.WithRetries(cfg.Retries), litellm.WithReplyLimit(cfg.ReplyLimit), litellm.WithTransport(cfg.Transport), litellm.WithLogger(cfg.Logger)))
		},
		Dialect:  backendtest.ChatCompletions{Known: []string{"metadata", "response_format"}},
		Provider: "litellm",
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
		Extra:           "metadata", ExtraPath: "metadata",
		SchemaPath: "response_format.json_schema.schema", BatchSchemaPath: "response_format.json_schema.schema",
		Usage: content.Usage{InputTokens: 31, OutputTokens: 12, CacheReadTokens: 8, CacheWriteTokens: 2, ReasoningTokens: 4,
			Audio: content.Modality{InputTokens: 1}},
		Reasoning: true, Tools: true,
		ModelUnknown: "model_not_found",
	})
}
