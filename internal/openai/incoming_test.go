package openai_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
)

func TestDecodeRequest(t *testing.T) {
	t.Parallel()
	in, err := openai.DecodeRequest([]byte(`{
		"model": "m", "stream": true, "stream_options": {"include_usage": true, "chunk": 1}, "seed": null,
		"max_tokens": 5, "temperature": 0.5, "stop": "END", "user": "u",
		"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object"}}},
		"tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}],
		"messages": [
			{"content": "be brief", "role": "system", "name": "n", "annotations": []},
			{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
			{"role": "assistant", "reasoning_content": "hm", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]},
			{"role": "tool", "tool_call_id": "c1", "content": "2"}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	wantMessages := content.NewMessages(
		content.System("be brief"),
		content.NewMessage(content.RoleUser, content.Text("see"), must(content.NewImage(png))),
		content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.ToolCall{ID: "c1", Name: "add", Arguments: "{}"}),
		content.NewMessage(content.RoleTool, content.ToolResult{CallID: "c1", Name: "add", Content: "2"}),
	)
	if diff := cmp.Diff(in.Request.Messages.Slice(), wantMessages.Slice()); diff != "" {
		t.Errorf("messages (-got +want):\n%s", diff)
	}
	if !in.IncludeUsage {
		t.Error("got no wish for usage, want one")
	}
	if diff := cmp.Diff(in.Unknown, []string{"messages.annotations"}); diff != "" {
		t.Errorf("unknown members (-got +want):\n%s", diff)
	}
	o := in.Request.Options
	tokens, _ := o.MaxTokens()
	temperature, _ := o.Temperature()
	_, seeded := o.Seed()
	got := []any{o.Model(), o.Stream(), tokens, temperature, seeded, o.Stop(), in.Request.Format.Name(), in.Request.Tools.At(0).Name}
	if diff := cmp.Diff(got, []any{"m", true, 5, 0.5, false, []string{"END"}, "p", "add"}); diff != "" {
		t.Errorf("parameters (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(maps.Collect(o.Extras()), map[string]any{"user": "u", "stream_options": map[string]any{"chunk": 1.0}}); diff != "" {
		t.Errorf("extras (-got +want):\n%s", diff)
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	t.Parallel()
	with := func(member string) string { return `{"messages":[{"role":"user","content":"x"}],` + member + `}` }
	message := func(m string) string { return `{"messages":[` + m + `]}` }
	tests := []struct{ name, doc, want string }{
		{"nothing", ``, "the document is not a JSON object"},
		{"no messages", `{"model":"m"}`, "field messages is missing or empty"},
		{"messages of text", message(`"SECRET"`), "field messages is not a list of objects"},
		{"a message without a role", message(`{"content":"SECRET"}`), "field messages.role is missing"},
		{"content that is a number", message(`{"role":"user","content":1}`), "field messages.content is not a string"},
		{"an unknown part", message(`{"role":"user","content":[{"type":"SECRET"}]}`), "field messages.content has a part of an unknown type"},
		{"an image that is none", message(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"SECRET"}}]}`), "field messages.content has media that cannot be used"},
		{"a temperature that is text", with(`"temperature":"SECRET"`), "field temperature is not a number"},
		{"a fraction of a token", with(`"max_tokens":1.5`), "field max_completion_tokens is not a whole number"},
		{"a stop that is a number", with(`"stop":1`), "field stop is not a list of strings"},
		{"a tool without a name", with(`"tools":[{"type":"function","function":{}}]`), "field tools has an element that is not a function with a name"},
		{"parameters that are no schema", with(`"tools":[{"type":"function","function":{"name":"f","parameters":{"$ref":"http://SECRET"}}}]`), "field tools has parameters that are not a usable JSON Schema"},
		{"a format that is no schema", with(`"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"http://SECRET"}}}`), "field response_format.json_schema.schema is not a usable JSON Schema"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := openai.DecodeRequest([]byte(tt.doc))
			if _, ok := errors.AsType[*openai.FormatError](err); !ok {
				t.Fatalf("got error %v, want a *FormatError", err)
			}
			if got, want := err.Error(), "openai: "+tt.want; got != want {
				t.Errorf("got error %q, want %q", got, want)
			}
		})
	}
}

func TestAppendReply(t *testing.T) {
	t.Parallel()
	ev := &openai.Event{ID: "c", Model: "m", Created: 7, Text: []byte("hi"), FinishReason: "stop", HasUsage: true,
		Usage: content.Usage{InputTokens: 3, OutputTokens: 2, CacheReadTokens: 1, ReasoningTokens: 1, CacheWriteTokens: 4, Audio: content.Modality{InputTokens: 1}}}
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"a reply", openai.AppendReply(nil, ev), `{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],` +
			`"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":1},"cache_creation_input_tokens":4}}`},
		{"the first chunk", openai.AppendChunk(nil, &openai.Event{ID: "c", Model: "m", HasMessage: true, HasRole: true, Text: []byte{}}),
			`{"id":"c","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`},
		{"a chunk of a tool call", openai.AppendChunk(nil, &openai.Event{HasMessage: true, ToolCalls: []openai.ToolCall{{ID: "a", Name: "f"}, {Index: 1, Arguments: []byte("{")}}}),
			`{"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"index":1,"function":{"arguments":"{"}}]},"finish_reason":null}]}`},
		{"the last chunk", openai.AppendChunk(nil, &openai.Event{FinishReason: "length"}),
			`{"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`},
		{"the chunk of usage", openai.AppendChunk(nil, &openai.Event{HasUsage: true}),
			`{"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`},
		{"an error", openai.AppendError(nil, "invalid_request_error", "no", "n", ""), `{"error":{"message":"no","type":"invalid_request_error","param":"n","code":null}}`},
		{"framing", openai.AppendDone(openai.AppendEvent(nil, []byte(`{}`))), "data: {}\n\ndata: [DONE]\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(string(tt.got), tt.want); diff != "" {
				t.Errorf("document (-got +want):\n%s", diff)
			}
		})
	}
}
