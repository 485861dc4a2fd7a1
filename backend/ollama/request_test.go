package ollama_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRequests(t *testing.T) {
	t.Parallel()
	format := must(schema.Parse("answer", []byte(`{"type":"object","properties":{"n":{"type":"integer"}}}`)))
	png := must(content.NewImage([]byte("\x89PNG\r\n\x1a\n!")))
	tests := []struct {
		name string
		req  backend.Request
		opts []ollama.Option
		want string
	}{
		{
			name: "a conversation",
			req: backend.Request{Messages: content.NewMessages(content.System("be \"brief\"\n"), content.User("hi"),
				content.Assistant("hello"), content.User("bad \xff byte"))},
			want: `{"model":"m","stream":false,"messages":[{"role":"system","content":"be \"brief\"\n"},{"role":"user","content":"hi"},
				{"role":"assistant","content":"hello"},{"role":"user","content":"bad \ufffd byte"}]}`,
		},
		{
			name: "streamed",
			req:  streaming(ask("hi")),
			want: `{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
		},
		{
			name: "every neutral option",
			req: backend.Request{Messages: ask("hi").Messages, Format: format, Options: backend.Options{}.WithModel("other").
				WithTemperature(0).WithTopP(0.9).WithTopK(40).WithFrequencyPenalty(-0.5).WithPresencePenalty(1e-7).
				WithMaxTokens(100).WithContextWindow(8192).WithSeed(-1).WithStop("a", "\n").WithThinking("low")},
			want: `{"model":"other","stream":false,"messages":[{"role":"user","content":"hi"}],"think":"low",
				"format":{"type":"object","properties":{"n":{"type":"integer"}}},
				"options":{"temperature":0,"top_p":0.9,"top_k":40,"frequency_penalty":-0.5,"presence_penalty":1e-7,
				"num_predict":100,"num_ctx":8192,"seed":-1,"stop":["a","\n"]}}`,
		},
		{
			name: "thinking on, by the provider's name",
			req:  backend.Request{Messages: ask("hi").Messages, Options: backend.Options{}.WithExtra("think", true)},
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}],"think":true}`,
		},
		{
			name: "layers: the call's native name wins over the backend's neutral one",
			opts: []ollama.Option{ollama.WithOptions(backend.Options{}.WithMaxTokens(5).WithSeed(1).WithThinking("off"))},
			req:  backend.Request{Messages: ask("hi").Messages, Options: backend.Options{}.WithExtra("num_predict", 7)},
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}],"think":false,"options":{"num_predict":7,"seed":1}}`,
		},
		{
			name: "extras: known ones to the top, the others into options",
			opts: []ollama.Option{ollama.WithKeepAlive(90 * time.Second)},
			req: backend.Request{Messages: ask("hi").Messages, Options: backend.Options{}.WithExtra("min_p", 0.1).
				WithExtra("truncate", false).WithExtra("format", "json").WithExtra("num_thread", 1)},
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}],"keep_alive":"1m30s","format":"json",
				"truncate":false,"options":{"min_p":0.1,"num_thread":1}}`,
		},
		{
			name: "a call's keep_alive and schema win",
			opts: []ollama.Option{ollama.WithKeepAlive(-1)},
			req: backend.Request{Messages: ask("hi").Messages, Format: format,
				Options: backend.Options{}.WithExtra("keep_alive", 0).WithExtra("format", "json")},
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}],"keep_alive":0,
				"format":{"type":"object","properties":{"n":{"type":"integer"}}}}`,
		},
		{
			name: "keep for ever",
			opts: []ollama.Option{ollama.WithKeepAlive(-time.Second)},
			req:  ask("hi"),
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}],"keep_alive":-1}`,
		},
		{
			name: "images",
			req: backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, content.Text("what is "),
				png, content.Text("this?"), png))},
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"what is this?","images":["iVBORw0KGgoh","iVBORw0KGgoh"]}]}`,
		},
		{
			name: "tools offered, called and answered",
			req: backend.Request{
				Messages: content.NewMessages(content.User("weather?"),
					content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "need a tool"},
						content.ToolCall{ID: "c1", Name: "weather", Arguments: ` {"city": "Rome"} `},
						content.ToolCall{Name: "now"}, content.ToolCall{Name: "broken", Arguments: `{"city":`}),
					content.NewMessage(content.RoleTool, content.ToolResult{CallID: "c1", Name: "weather", Content: "sunny"},
						content.ToolResult{Name: "now", Content: "noon"})),
				Tools: content.ListOf(content.ToolSpec{Name: "weather", Description: "of a city", Parameters: format}, content.ToolSpec{Name: "now"}),
			},
			want: `{"model":"m","stream":false,"messages":[{"role":"user","content":"weather?"},
				{"role":"assistant","content":"","thinking":"need a tool","tool_calls":[
					{"id":"c1","function":{"name":"weather","arguments":{"city":"Rome"}}},
					{"function":{"name":"now","arguments":{}}},{"function":{"name":"broken","arguments":{"_invalid":"{\"city\":"}}}]},
				{"role":"tool","content":"sunny","tool_name":"weather","tool_call_id":"c1"},{"role":"tool","content":"noon","tool_name":"now"}],
				"tools":[{"type":"function","function":{"name":"weather","description":"of a city","parameters":{"type":"object","properties":{"n":{"type":"integer"}}}}},
				{"type":"function","function":{"name":"now","description":"","parameters":{"type":"object","properties":{}}}}]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, `[]`, answer(plainReply))
			if _, err := generate(t, f.backend(tt.opts...), tt.req); err != nil {
				t.Fatal(err)
			}
			var want chatRequest
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			parsed := cmp.Transformer("parsed", func(raw json.RawMessage) (v any) { json.Unmarshal(raw, &v); return v })
			if diff := cmp.Diff(want, f.last(t), parsed); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	url := must(content.ImageURL("https://example.com/secret.png"))
	sound := must(content.NewAudio("audio/wav", []byte("RIFF")))
	with := func(o backend.Options) backend.Request {
		return backend.Request{Messages: ask("hi").Messages, Options: o}
	}
	nan := 0.0
	nan /= nan
	many := make([]content.Part, 33)
	for i := range many {
		many[i] = url
	}
	tests := []struct {
		name   string
		req    backend.Request
		code   string
		remedy string
	}{
		{"no messages", backend.Request{}, backend.CodeConfiguration, "at least one"},
		{"many images by URL", backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, many...))}, backend.CodeUnsupported, "content.NewImage"},
		{"an image by URL beside audio", backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, url, sound))}, backend.CodeUnsupported, "no audio"},
		{"a file", backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, must(content.FileID("f"))))}, backend.CodeUnsupported, "no files"},
		{"audio", backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, sound))}, backend.CodeUnsupported, "no audio"},
		{"not a number", with(backend.Options{}.WithTemperature(nan)), backend.CodeConfiguration, "temperature"},
		{"wrong kind", with(backend.Options{}.WithExtra("num_predict", "many")), backend.CodeConfiguration, "num_predict"},
		{"not JSON", with(backend.Options{}.WithExtra("mirostat", func() {})), backend.CodeConfiguration, "mirostat"},
		{"reserved", with(backend.Options{}.WithExtra("messages", []int{})), backend.CodeConfiguration, "messages"},
		{"options in options", with(backend.Options{}.WithExtra("options", map[string]any{"seed": 1})), backend.CodeConfiguration, "own name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := ollama.New(ollama.WithModel("m"), ollama.WithTransport(refusing{t}))
			_, err := b.Generate(t.Context(), tt.req)
			wantError(t, err, backend.Error{Code: tt.code}, tt.remedy)
		})
	}
}

func TestImagesByURLSwitchedOff(t *testing.T) {
	t.Parallel()
	url := must(content.ImageURL("https://example.com/secret.png"))
	b := ollama.New(ollama.WithModel("m"), ollama.WithTransport(refusing{t}), ollama.WithImageFetch(ollama.ImageFetch{Disable: true}))
	_, err := b.Generate(t.Context(), backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, url))})
	wantError(t, err, backend.Error{Code: backend.CodeUnsupported}, "switched off")
}

func TestTraceContextIsSent(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, answer(plainReply))
	ctx := backend.WithCarrier(t.Context(), func(set func(key, value string)) { set("traceparent", "00-1-2-01") })
	out, err := f.backend().Generate(ctx, ask("hi"))
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if got := f.headers.Get("traceparent"); got != "00-1-2-01" {
		t.Errorf("traceparent = %q, want that of the context", got)
	}
}
