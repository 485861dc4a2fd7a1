package replay_test

import (
	"io"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
)

// A recorder is not to be told from the backend it records.
func TestRecorderConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Suite{
		New: func(tb testing.TB, cfg backendtest.Config) backend.Backend {
			return semconvtest.Traced(tb, replay.Record(openai.New(openai.WithBaseURL(cfg.URL+"/v1"), openai.WithModel(cfg.Model), openai.WithAPIKey(cfg.Key),
				openai.WithRetries(cfg.Retries), openai.WithReplyLimit(cfg.ReplyLimit), openai.WithTransport(cfg.Transport), openai.WithLogger(cfg.Logger)), io.Discard))
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
		Lacks:        map[string]string{"models": "a recording is of one model"},
	})
}
