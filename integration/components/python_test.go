package components

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// completion is a reply of a chat-completions API.
type completion struct {
	Model   string
	Choices []struct {
		Message struct {
			Content          string
			ReasoningContent string `json:"reasoning_content"`
			ToolCalls        []struct {
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		CompletionTokens int `json:"completion_tokens"`
	}
	Error struct{ Message string }

	status int
	header http.Header
}

// complete posts a request for a chat.
func complete(t *testing.T, url, key, body string) completion {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	c := completion{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%s: %s: %v", resp.Status, text, err)
	}
	return c
}

func (c completion) text() string {
	if len(c.Choices) == 0 {
		return ""
	}
	return c.Choices[0].Message.Content
}

func TestLiteLLM(t *testing.T) {
	Require(t, OllamaServer, SmolLM2, LiteLLMProxy)
	o := StartOllama(t)
	l := StartLiteLLM(t, o)
	checkPort(t, l.URL)

	ask := func(model, key string) completion {
		t.Helper()
		return complete(t, l.URL, key, fmt.Sprintf(`{"model":%q,"max_tokens":8,"temperature":0,"messages":[{"role":"user","content":"What is gravity?"}]}`, model))
	}
	small := ask(LiteLLMSmall, l.Key)
	if small.status != http.StatusOK || small.text() == "" || small.header.Get("X-Litellm-Call-Id") == "" {
		t.Errorf("%s: status %d, reply %q, headers %v", LiteLLMSmall, small.status, small.text(), small.header)
	}
	if cost := small.header.Get("X-Litellm-Response-Cost"); cost == "" || cost == "0" || cost == "0.0" {
		t.Errorf("%s costs %q, want more than nothing", LiteLLMSmall, cost)
	}
	if got := ask(LiteLLMFragile, l.Key); got.status != http.StatusOK || got.text() != small.text() {
		t.Errorf("%s: status %d (%s), reply %q, want that of %s: %q", LiteLLMFragile, got.status, got.Error.Message, got.text(), LiteLLMSmall, small.text())
	}
	if got := ask(LiteLLMBroken, l.Key); got.status < 500 || got.Error.Message == "" {
		t.Errorf("%s: status %d, error %q", LiteLLMBroken, got.status, got.Error.Message)
	}
	if got := ask(LiteLLMSmall, "sk-wrong"); got.status != http.StatusUnauthorized && got.status != http.StatusBadRequest {
		t.Errorf("a wrong key: status %d, want it refused", got.status)
	}
	if got := ask("ollama_chat/"+o.Model, l.Key); got.status != http.StatusOK || got.text() == "" {
		t.Errorf("a provider's prefix: status %d (%s), reply %q", got.status, got.Error.Message, got.text())
	}

	// Through the proxy, too, a scripted model calls tools.
	scripted := Scripted(t, o, tinymodel.Script{Replies: []tinymodel.Reply{{Calls: []tinymodel.Call{{Name: "clock", Arguments: `{"zone": "CET"}`}}}}})
	got := complete(t, l.URL, l.Key, `{"model":"openai/`+scripted+`","messages":[{"role":"user","content":"What time is it?"}],
		"tools":[{"type":"function","function":{"name":"clock","description":"tells the time","parameters":{"type":"object","properties":{"zone":{"type":"string"}}}}}]}`)
	if len(got.Choices) != 1 || len(got.Choices[0].Message.ToolCalls) != 1 || got.Choices[0].Message.ToolCalls[0].Function.Name != "clock" {
		t.Errorf("status %d (%s), choices %+v, want a call of the clock", got.status, got.Error.Message, got.Choices)
	}
}

func TestTransformers(t *testing.T) {
	s := TransformersServe(t)
	checkPort(t, s.URL)
	body := fmt.Sprintf(`{"model":%q,"max_tokens":6,"temperature":0,"messages":[{"role":"user","content":"What is gravity?"}]}`, s.Model)
	whole := complete(t, s.URL, "", body)
	if whole.status != http.StatusOK || whole.text() == "" || whole.Usage.CompletionTokens != 6 {
		t.Fatalf("status %d, reply %q of %d tokens", whole.status, whole.text(), whole.Usage.CompletionTokens)
	}
	var streamed strings.Builder
	for line := range strings.Lines(do(t, http.MethodPost, s.URL+"/v1/chat/completions", strings.Replace(body, "{", `{"stream":true,`, 1))) {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && strings.HasPrefix(data, "{") {
			if err := json.Unmarshal([]byte(data), &chunk); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			for _, c := range chunk.Choices {
				streamed.WriteString(c.Delta.Content)
			}
		}
	}
	if streamed.String() != whole.text() {
		t.Errorf("streamed %q, want %q", streamed.String(), whole.text())
	}
	t.Logf("reply: %q", whole.text())
}

// Folders that tests write are models for Transformers, too: one that says what its script says, thoughts and native
// tool calls included.
func TestTransformersScripted(t *testing.T) {
	const text = "It is 18 degrees.\nIt is noon, and the air is still."
	s := TransformersScripted(t, tinymodel.Script{Replies: []tinymodel.Reply{
		{Thinking: "I do not know the time.", Calls: []tinymodel.Call{{Name: "clock", Arguments: `{"zone": "CET"}`}}},
		{Text: text},
	}})
	ask := func(messages string) completion {
		t.Helper()
		return complete(t, s.URL, "", fmt.Sprintf(`{"model":%q,"max_tokens":40,"temperature":0,"messages":[%s],"tools":[{"type":"function",
			"function":{"name":"clock","description":"tells the time","parameters":{"type":"object","properties":{"zone":{"type":"string"}}}}}]}`, s.Model, messages))
	}
	first := ask(`{"role":"user","content":"What time is it?"}`)
	if len(first.Choices) != 1 || len(first.Choices[0].Message.ToolCalls) != 1 || first.Choices[0].FinishReason != "tool_calls" {
		t.Fatalf("status %d, choices %+v, want a call of the clock", first.status, first.Choices)
	}
	m := first.Choices[0].Message
	if m.Content != "" || m.ReasoningContent != "I do not know the time." || m.ToolCalls[0].Function.Name != "clock" || m.ToolCalls[0].Function.Arguments != `{"zone": "CET"}` {
		t.Errorf("the first reply is %+v", m)
	}
	second := ask(`{"role":"user","content":"What time is it?"},{"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function",
		"function":{"name":"clock","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"12:00"}`)
	if second.text() != text || second.Choices[0].FinishReason != "stop" {
		t.Errorf("status %d, choices %+v, want %q", second.status, second.Choices, text)
	}
}

// So is one of random weights.
func TestTransformersRandom(t *testing.T) {
	Require(t, Transformers)
	dir := t.TempDir()
	if err := tinymodel.WriteRandomFolder(dir, 1); err != nil {
		t.Fatal(err)
	}
	s := serveFolder(t, dir)
	got := complete(t, s.URL, "", fmt.Sprintf(`{"model":%q,"max_tokens":10,"temperature":0,"messages":[{"role":"user","content":"the"}]}`, dir))
	if got.status != http.StatusOK || got.Usage.CompletionTokens == 0 {
		t.Errorf("status %d, reply %q of %d tokens", got.status, got.text(), got.Usage.CompletionTokens)
	}
}
