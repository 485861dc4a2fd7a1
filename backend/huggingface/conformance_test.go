package huggingface_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/huggingface"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/semconvtest"
)

func suite(name string, server huggingface.Server) backendtest.Suite {
	return backendtest.Suite{
		Name: name,
		New: func(tb testing.TB, cfg backendtest.Config) backend.Backend {
			return semconvtest.Traced(tb, huggingface.New(huggingface.WithBaseURL(cfg.URL), huggingface.WithServer(server), huggingface.WithModel(cfg.Model),
				huggingface.WithToken(cfg.Key), huggingface.WithRetries(cfg.Retries), huggingface.WithReplyLimit(cfg.ReplyLimit),
				huggingface.WithTransport(cfg.Transport), huggingface.WithLogger(cfg.Logger)))
		},
		Provider: "huggingface",
		Options: map[backend.Neutral]string{
			backend.NeutralModel:            "model",
			backend.NeutralTemperature:      "temperature",
			backend.NeutralTopP:             "top_p",
			backend.NeutralFrequencyPenalty: "frequency_penalty",
			backend.NeutralMaxTokens:        "max_tokens",
			backend.NeutralSeed:             "seed",
			backend.NeutralStop:             "stop",
		},
		NativeMaxTokens: "max_completion_tokens",
		Usage:           content.Usage{InputTokens: 31, OutputTokens: 12},
		Reasoning:       true, Tools: true,
		ModelUnknown: "model_not_found",
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	s := suite("huggingface", huggingface.Compatible)
	s.Dialect = backendtest.ChatCompletions{Known: []string{"user", "response_format"}}
	s.Usage = content.Usage{InputTokens: 31, OutputTokens: 12, CacheReadTokens: 8, ReasoningTokens: 4} // as the router's providers say it
	s.Options[backend.NeutralTopK] = "top_k"
	s.Options[backend.NeutralPresencePenalty] = "presence_penalty"
	s.Options[backend.NeutralThinking] = "reasoning_effort"
	s.Extra, s.ExtraPath = "user", "user"
	s.SchemaPath, s.BatchSchemaPath = "response_format.json_schema.schema", "response_format.json_schema.schema"
	backendtest.Run(t, s)
}

func TestConformanceTransformers(t *testing.T) {
	t.Parallel()
	s := suite("huggingface-transformers", huggingface.Transformers)
	s.Dialect = transformers{}
	s.Extra, s.ExtraPath = "logit_bias", "logit_bias"
	s.NoToolChoice = true
	s.Lacks = map[string]string{
		"cached_usage":    "transformers serve does not tell how many tokens its cache gave",
		"reasoning_usage": "transformers serve counts what a model thought among the tokens of its reply",
	}
	backendtest.Run(t, s)
}

// transformers is the dialect of `transformers serve`: it refuses what it does not have, and its streams end without
// [DONE], with the tokens counted in the last piece.
type transformers struct{ backendtest.ChatCompletions }

func (transformers) Decode(path string, body []byte) (backendtest.Received, error) {
	if path != "/v1/chat/completions" {
		return backendtest.Received{}, fmt.Errorf("path %q", path)
	}
	for _, name := range []string{"stream_options", "response_format", "max_completion_tokens", "presence_penalty", "reasoning_effort", "tool_choice", "parallel_tool_calls", "top_k", "chat_template_kwargs"} {
		if bytes.Contains(body, []byte(`,"`+name+`":`)) {
			return backendtest.Received{}, fmt.Errorf("unsupported field %s", name)
		}
	}
	in, err := openai.DecodeRequest(body)
	if err != nil {
		return backendtest.Received{}, err
	}
	if len(in.Unknown) > 0 {
		return backendtest.Received{}, fmt.Errorf("unexpected keys %q", in.Unknown)
	}
	r := in.Request
	return backendtest.Received{Model: r.Options.Model(), Messages: r.Messages, Tools: r.Tools, Stream: r.Options.Stream()}, nil
}

func (d transformers) Frames(r backendtest.Reply) [][]byte {
	frames := d.ChatCompletions.Frames(r)
	frames = frames[:len(frames)-1]
	if !r.Usage.Reported() {
		return frames
	}
	last := openai.Event{ID: r.ID, Model: r.Model, Created: 1700000000, HasMessage: true, FinishReason: r.Finish, HasUsage: true, Usage: r.Usage}
	if len(r.ToolCalls) > 0 {
		last.FinishReason = openai.FinishToolCalls
	}
	return append(slices.Clone(frames[:len(frames)-2]), openai.AppendEvent(nil, openai.AppendChunk(nil, &last)))
}
