package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/schema"
)

var png = []byte("\x89PNG\r\n\x1a\n")

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func model() backend.Options { return backend.Options{}.WithModel("m") }

func user(text string) content.Messages { return content.NewMessages(content.User(text)) }

func TestAppendRequest(t *testing.T) {
	t.Parallel()
	call := content.ToolCall{ID: "c1", Name: "add", Arguments: `{"a":1}`}
	person := must(schema.Parse("a person", []byte(`{"type": "object"}`)))
	tests := []struct {
		name  string
		req   backend.Request
		style openai.Style
		want  string
	}{
		{
			name: "text",
			req:  backend.Request{Messages: content.NewMessages(content.System("be brief"), content.User("a \"b\"\n\u2028\x00")), Options: model()},
			want: `{"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"a \"b\"\n` + "\u2028" + `\u0000"}]}`,
		},
		{
			name: "invalid UTF-8 is replaced",
			req:  backend.Request{Messages: user("a\xffb"), Options: model()},
			want: `{"model":"m","messages":[{"role":"user","content":"a` + "\uFFFD" + `b"}]}`,
		},
		{
			name: "every option",
			req: backend.Request{Messages: user("x"), Options: model().WithMaxTokens(5).WithTemperature(0).WithTopP(0.5).
				WithFrequencyPenalty(-1).WithPresencePenalty(1).WithTopK(3).WithSeed(-7).WithStop("a", "b").WithThinking("low")},
			want: `{"model":"m","messages":[{"role":"user","content":"x"}],"max_completion_tokens":5,"temperature":0,"top_p":0.5,` +
				`"frequency_penalty":-1,"presence_penalty":1,"top_k":3,"seed":-7,"stop":["a","b"],"reasoning_effort":"low"}`,
		},
		{
			name:  "max_tokens for older servers",
			req:   backend.Request{Messages: user("x"), Options: model().WithMaxTokens(5)},
			style: openai.Style{MaxTokensField: "max_tokens"},
			want:  `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5}`,
		},
		{
			name: "stream asks for usage",
			req:  backend.Request{Messages: user("x"), Options: model().WithStream(true)},
			want: `{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true}}`,
		},
		{
			name: "thinking off at OpenAI",
			req:  backend.Request{Messages: user("x"), Options: model().WithThinking("off")},
			want: `{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"none"}`,
		},
		{
			name:  "thinking off at a compatible server",
			req:   backend.Request{Messages: user("x"), Options: model().WithThinking("off")},
			style: openai.Style{EnableThinking: true},
			want:  `{"model":"m","messages":[{"role":"user","content":"x"}],"chat_template_kwargs":{"enable_thinking":false}}`,
		},
		{
			name:  "no reasoning and no null for servers that refuse them",
			req:   backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, call)), Options: model()},
			style: openai.Style{NoReasoning: true, NoNull: true},
			want:  `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}}]}]}`,
		},
		{
			name: "extras are sorted, objects are merged",
			req: backend.Request{Messages: user("x"), Options: model().WithThinking("on").WithStream(true).
				WithExtra("user", "u").WithExtra("chat_template_kwargs", map[string]any{"z": 1, "a": []int{2}}).
				WithExtra("extra_body", map[string]any{"chat_template_kwargs": map[string]any{"m": true}, "best_of": 2}).
				WithExtra("stream_options", map[string]any{"chunk": 1})},
			style: openai.Style{EnableThinking: true},
			want: `{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"reasoning_effort":"medium","best_of":2,` +
				`"chat_template_kwargs":{"a":[2],"enable_thinking":true,"m":true,"z":1},"stream_options":{"chunk":1,"include_usage":true},"user":"u"}`,
		},
		{
			name: "tools and a schema",
			req: backend.Request{Messages: user("x"), Options: model(), Format: person, Tools: content.ListOf(
				content.ToolSpec{Name: "add", Description: "adds", Parameters: must(schema.Parse("p", []byte(`{"type":"object"}`)))},
				content.ToolSpec{Name: "now"})},
			want: `{"model":"m","messages":[{"role":"user","content":"x"}],` +
				`"tools":[{"type":"function","function":{"name":"add","description":"adds","parameters":{"type":"object"}}},{"type":"function","function":{"name":"now"}}],` +
				`"response_format":{"type":"json_schema","json_schema":{"name":"a_person","strict":true,"schema":{"type":"object"}}}}`,
		},
		{
			name: "reasoning goes back only with the tool calls it led to",
			req: backend.Request{Options: model(), Messages: content.NewMessages(
				content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "think"}, call),
				content.NewMessage(content.RoleTool, content.ToolResult{CallID: "c1", Name: "add", Content: "2"}),
				content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "more"}, content.Text("two")),
			)},
			want: `{"model":"m","messages":[` +
				`{"role":"assistant","content":null,"reasoning_content":"think","tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}}]},` +
				`{"role":"tool","tool_call_id":"c1","content":"2"},{"role":"assistant","content":"two"}]}`,
		},
		{
			name: "a result a message, and ids for those without",
			req: backend.Request{Options: model(), Messages: content.NewMessages(
				content.NewMessage(content.RoleAssistant, content.Text("t"), content.ToolCall{Name: "a"}, content.ToolCall{Name: "b"}),
				content.NewMessage(content.RoleUser, content.ToolResult{Content: "1"}, content.Text("go on"), content.ToolResult{Content: "2"}),
			)},
			want: `{"model":"m","messages":[{"role":"assistant","content":"t","tool_calls":[` +
				`{"id":"call_1","type":"function","function":{"name":"a","arguments":""}},{"id":"call_2","type":"function","function":{"name":"b","arguments":""}}]},` +
				`{"role":"tool","tool_call_id":"call_1","content":"1"},{"role":"tool","tool_call_id":"call_2","content":"2"},{"role":"user","content":"go on"}]}`,
		},
		{
			name: "media",
			req: backend.Request{Options: model(), Messages: content.NewMessages(content.NewMessage(content.RoleUser,
				content.Text("look"), must(content.NewImage(png)), must(content.ImageURL("https://example.com/a.png")),
				must(content.NewAudio("audio/x-wav", []byte("RIFF"))), content.Text("and listen"),
				must(content.NewFile("r.pdf", "application/pdf", []byte("%PDF"))), must(content.FileID("file-1"))))},
			want: `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"look"},` +
				`{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},` +
				`{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},{"type":"text","text":"and listen"},` +
				`{"type":"file","file":{"filename":"r.pdf","file_data":"data:application/pdf;base64,JVBERg=="}},{"type":"file","file":{"file_id":"file-1"}}]}]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := openai.AppendRequest(nil, tt.req, tt.style)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), tt.want); diff != "" {
				t.Errorf("request (-got +want):\n%s", diff)
			}
			in, err := openai.DecodeRequest(got)
			if err != nil {
				t.Fatal(err)
			}
			again, err := openai.AppendRequest(nil, in.Request, openai.Style{MaxTokensField: tt.style.MaxTokensField, NoNull: tt.style.NoNull})
			if err != nil {
				t.Fatal(err)
			}
			if tt.style.EnableThinking { // a server sees an extra there
				return
			}
			if diff := cmp.Diff(string(again), tt.want); diff != "" {
				t.Errorf("decoded and sent again (-got +want):\n%s", diff)
			}
		})
	}
}

func TestAppendRequestRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, names string
		req         backend.Request
	}{
		{"an extra that replaces the messages", `"messages"`, backend.Request{Options: model().WithExtra("messages", "SECRET")}},
		{"an extra that turns streaming on", `"stream"`, backend.Request{Options: model().WithExtra("stream", true)}},
		{"a model in extra_body", `"model"`, backend.Request{Options: model().WithExtra("extra_body", map[string]any{"model": "SECRET"})}},
		{"an option given twice", `"seed"`, backend.Request{Options: model().WithSeed(1).WithExtra("seed", 2)}},
		{"several replies", "n ", backend.Request{Options: model().WithExtra("n", 2)}},
		{"a number JSON does not have", "temperature", backend.Request{Options: model().WithTemperature(nan())}},
		{"a value JSON does not have", "x", backend.Request{Options: model().WithExtra("x", func() {})}},
		{"audio that is none", "audio", backend.Request{Options: model(), Messages: content.NewMessages(
			content.NewMessage(content.RoleUser, must(content.NewAudio("video/mp4", []byte("SECRET")))))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := openai.AppendRequest(nil, tt.req, openai.Style{})
			if _, ok := errors.AsType[*openai.ValueError](err); !ok {
				t.Fatalf("got error %v, want a *ValueError", err)
			}
			if !strings.Contains(err.Error(), tt.names) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %q, want it to name %s and to quote nothing", err, tt.names)
			}
		})
	}
}

func nan() float64 { z := 0.0; return z / z }

func TestAppendRequestLeavesExtrasAlone(t *testing.T) {
	t.Parallel()
	kwargs := map[string]any{"a": map[string]any{"b": 1}}
	req := backend.Request{Messages: user("x"), Options: model().WithThinking("on").WithExtra("chat_template_kwargs", kwargs)}
	for range 2 {
		if _, err := openai.AppendRequest(nil, req, openai.Style{EnableThinking: true}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(kwargs, map[string]any{"a": map[string]any{"b": 1}}); diff != "" {
		t.Errorf("the caller's value changed (-got +want):\n%s", diff)
	}
}
