package ollama_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Suite{
		Name: "ollama",
		New: func(tb testing.TB, cfg backendtest.Config) backend.Backend {
			return semconvtest.Traced(tb, withFault(ollama.New(
				ollama.WithBaseURL(strings.Replace(cfg.URL, "://", "://user:"+cfg.Key+"@", 1)),
				ollama.WithModel(cfg.Model),
				ollama.WithRetries(cfg.Retries),
				ollama.WithReplyLimit(cfg.ReplyLimit),
				ollama.WithTransport(cfg.Transport),
				ollama.WithLogger(cfg.Logger),
				ollama.WithImageFetch(ollama.ImageFetch{Private: cfg.FetchLocal}),
			)), melleatest.Allow(check.RecommendedAttributeNotPresent, "gen_ai.response.id", "Ollama gives replies no id"))
		},
		Dialect:  nativeAPI{},
		Provider: "ollama",
		Options: map[backend.Neutral]string{
			backend.NeutralModel: "model", backend.NeutralThinking: "think",
			backend.NeutralTemperature: "options.temperature", backend.NeutralTopP: "options.top_p", backend.NeutralTopK: "options.top_k",
			backend.NeutralFrequencyPenalty: "options.frequency_penalty", backend.NeutralPresencePenalty: "options.presence_penalty",
			backend.NeutralMaxTokens: "options.num_predict", backend.NeutralContextWindow: "options.num_ctx",
			backend.NeutralSeed: "options.seed", backend.NeutralStop: "options.stop",
		},
		NativeMaxTokens: "num_predict",
		Extra:           "mirostat",
		ExtraPath:       "options.mirostat",
		SchemaPath:      "format",
		BatchSchemaPath: "format",
		Usage:           content.Usage{InputTokens: 12, OutputTokens: 5},
		NoResponseID:    true,
		Reasoning:       true,
		Tools:           true,
		ModelUnknown:    "model_not_found",
		NoToolChoice:    true,
		Lacks: map[string]string{
			"cached_usage":    "Ollama does not tell how many tokens its cache gave",
			"reasoning_usage": "Ollama counts what a model thought among the tokens of its reply",
		},
	})
}

// nativeAPI is the server's side of Ollama's API, strict.
type nativeAPI struct{}

func (nativeAPI) Decode(path string, body []byte) (backendtest.Received, error) {
	if path == "/api/generate" {
		return decodeGenerate(body)
	}
	if path != "/api/chat" {
		return backendtest.Received{}, fmt.Errorf("path %q, want /api/chat", path)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var req chatRequest
	if err := dec.Decode(&req); err != nil {
		return backendtest.Received{}, err
	}
	if req.Model == "" || len(req.Messages) == 0 {
		return backendtest.Received{}, fmt.Errorf("no model or no messages")
	}
	if err := checkOptions(req.Options); err != nil {
		return backendtest.Received{}, err
	}
	got := backendtest.Received{Model: req.Model, Stream: req.Stream == nil || *req.Stream}
	for _, m := range req.Messages {
		got.Messages = got.Messages.Append(m.content())
	}
	for _, tool := range req.Tools {
		parameters, err := schema.Parse(tool.Function.Name, tool.Function.Parameters)
		if err != nil {
			return got, err
		}
		got.Tools = got.Tools.Append(content.ToolSpec{Name: tool.Function.Name, Description: tool.Function.Description, Parameters: parameters})
	}
	return got, nil
}

func checkOptions(options map[string]any) error {
	for name := range options {
		if !knownOptions[name] && name != "mirostat" {
			return fmt.Errorf("unknown option %q", name)
		}
	}
	return nil
}

// decodeGenerate reads a request for a raw completion.
func decodeGenerate(body []byte) (backendtest.Received, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var req generateRequest
	if err := dec.Decode(&req); err != nil {
		return backendtest.Received{}, err
	}
	if req.Model == "" || req.Prompt == nil || !req.Raw || req.Stream == nil || *req.Stream {
		return backendtest.Received{}, fmt.Errorf("not a raw completion in one piece")
	}
	return backendtest.Received{Model: req.Model, Prompts: []string{*req.Prompt}}, checkOptions(req.Options)
}

func (nativeAPI) Completions(all []backendtest.Completion) []byte {
	c := all[0] // one a request
	return encoded(map[string]any{"model": c.Model, "created_at": "2026-01-02T03:04:05.678Z", "response": c.Text, "done": true,
		"done_reason": c.Finish, "context": []int{1, 2}, "prompt_eval_count": c.Usage.InputTokens, "eval_count": c.Usage.OutputTokens})
}

func (nativeAPI) Models(path string, list []string) ([]byte, bool) {
	var models []map[string]any
	for _, name := range list {
		models = append(models, map[string]any{"name": name, "model": name, "modified_at": "2026-01-02T03:04:05Z", "size": 7})
	}
	return encoded(map[string]any{"models": models}), path == "/api/tags"
}

func (nativeAPI) Describe(path string) ([]byte, bool) {
	return encoded(map[string]any{"capabilities": []string{"completion", "tools", "thinking", "vision"}}), path == "/api/show"
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// content returns a message as the server understands it.
func (m message) content() content.Message {
	if m.Role == "tool" {
		return content.NewMessage(content.RoleTool, content.ToolResult{CallID: m.ToolCallID, Name: m.ToolName, Content: m.Content})
	}
	var parts []content.Part
	if m.Thinking != "" {
		parts = append(parts, content.Reasoning{Text: m.Thinking})
	}
	if m.Content != "" {
		parts = append(parts, content.Text(m.Content))
	}
	for _, data := range m.Images {
		parts = append(parts, must(content.NewImage(data)))
	}
	for _, c := range m.ToolCalls {
		parts = append(parts, content.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: string(c.Function.Arguments)})
	}
	return content.NewMessage(content.Role(m.Role), parts...)
}

func (nativeAPI) ContentType(stream bool) string {
	if stream {
		return "application/x-ndjson"
	}
	return "application/json; charset=utf-8"
}

// line is one object of a reply.
func line(r backendtest.Reply, message map[string]any, done bool) []byte {
	message["role"] = "assistant"
	if _, ok := message["content"]; !ok {
		message["content"] = ""
	}
	doc := map[string]any{"model": r.Model, "created_at": "2026-01-02T03:04:05.678Z", "message": message, "done": done}
	if done {
		doc["done_reason"] = r.Finish
		doc["total_duration"] = 1234
		doc["prompt_eval_count"], doc["eval_count"] = r.Usage.InputTokens, r.Usage.OutputTokens
	}
	return append(encoded(doc), '\n')
}

func calls(r backendtest.Reply) []map[string]any {
	var list []map[string]any
	for _, c := range r.ToolCalls { // the server numbers all of them 0
		list = append(list, map[string]any{"id": c.ID,
			"function": map[string]any{"index": 0, "name": c.Name, "arguments": json.RawMessage(c.Arguments)}})
	}
	return list
}

func (nativeAPI) Reply(r backendtest.Reply) []byte {
	message := map[string]any{"content": r.FullText()}
	if len(r.Reasoning) > 0 {
		message["thinking"] = r.FullReasoning()
	}
	if len(r.ToolCalls) > 0 {
		message["tool_calls"] = calls(r)
	}
	return line(r, message, true)
}

func (nativeAPI) Frames(r backendtest.Reply) [][]byte {
	var frames [][]byte
	for _, piece := range r.Reasoning {
		frames = append(frames, line(r, map[string]any{"thinking": piece}, false))
	}
	for _, piece := range r.Text {
		frames = append(frames, line(r, map[string]any{"content": piece}, false))
	}
	for _, call := range calls(r) {
		frames = append(frames, line(r, map[string]any{"tool_calls": []any{call}}, false))
	}
	return append(frames, line(r, map[string]any{}, true))
}

// Failure has a code only as gateways in front of the server add one: its own errors are a sentence.
func (nativeAPI) Failure(_ int, code, message string) []byte {
	doc := map[string]string{"error": message}
	if code != "" {
		doc["code"] = code
	}
	return encoded(doc)
}

func (nativeAPI) Missing(bool) []byte {
	return []byte(`{"model":"m","created_at":"2026-01-02T03:04:05.678Z","done":true}` + "\n")
}
