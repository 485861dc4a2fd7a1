package watsonx_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/watsonxtest"
	"github.com/mellea-go/mellea/schema"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rest returns what follows the messages of the only request, after the strict fake has accepted it.
func rest(t *testing.T, m *memory) string {
	t.Helper()
	all := m.seen()
	if len(all) != 1 {
		t.Fatalf("got %d requests, want 1", len(all))
	}
	if _, err := (watsonxtest.Dialect{}).Decode(all[0].path, []byte(all[0].body)); err != nil {
		t.Fatalf("the service refuses the request: %v\n%s", err, all[0].body)
	}
	const messages = `"messages":[{"role":"user","content":"hello"}]`
	_, after, ok := strings.Cut(all[0].body, messages)
	if !ok {
		t.Fatalf("got request %s, want it to have %s", all[0].body, messages)
	}
	return strings.TrimSuffix(after, "}")
}

func TestRequests(t *testing.T) {
	t.Parallel()
	o := func() backend.Options { return backend.Options{} }
	tool := content.ListOf(content.ToolSpec{Name: "f", Description: "does it", Parameters: must(schema.Parse("f", []byte(`{"type":"object"}`)))})
	const tools = `,"tools":[{"type":"function","function":{"name":"f","description":"does it","parameters":{"type":"object"}}}]`
	function := map[string]any{"type": "function", "function": map[string]any{"name": "f"}}
	tests := map[string]struct {
		options backend.Options
		tools   content.List[content.ToolSpec]
		format  schema.Schema
		want    string
	}{
		"nothing": {},
		"every option": {options: o().WithMaxTokens(5).WithTemperature(0).WithTopP(0.5).WithFrequencyPenalty(-1).WithPresencePenalty(1).WithSeed(7).WithStop("a").WithThinking("low"),
			want: `,"max_completion_tokens":5,"temperature":0,"top_p":0.5,"frequency_penalty":-1,"presence_penalty":1,"seed":7,"stop":["a"],"reasoning_effort":"low"`},
		"a stream is another resource": {options: o().WithStream(true)},
		"thinking on":                  {options: o().WithThinking("on"), want: `,"chat_template_kwargs":{"enable_thinking":true,"thinking":true}`},
		"thinking off":                 {options: o().WithThinking("off"), want: `,"chat_template_kwargs":{"enable_thinking":false,"thinking":false}`},
		"thinking beside an extra": {options: o().WithThinking("on").WithExtra("chat_template_kwargs", map[string]any{"thinking": false, "x": 1}),
			want: `,"chat_template_kwargs":{"enable_thinking":true,"thinking":false,"x":1}`},
		"extras":                        {options: o().WithExtra("time_limit", 1000).WithExtra("include_reasoning", false).WithExtra("guided_choice", []string{"a"}), want: `,"guided_choice":["a"],"include_reasoning":false,"time_limit":1000`},
		"max_tokens counts as its own":  {options: o().WithExtra("max_tokens", 9), want: `,"max_completion_tokens":9`},
		"tools are the model's choice":  {tools: tool, want: tools + `,"tool_choice_option":"auto"`},
		"no tool":                       {tools: tool, options: o().WithExtra("tool_choice", "none"), want: tools + `,"tool_choice_option":"none"`},
		"some tool":                     {tools: tool, options: o().WithExtra("tool_choice", "required"), want: tools + `,"tool_choice_option":"required"`},
		"one tool":                      {tools: tool, options: o().WithExtra("tool_choice", function), want: tools + `,"tool_choice":{"function":{"name":"f"},"type":"function"}`},
		"the choice by IBM's own name":  {tools: tool, options: o().WithExtra("tool_choice_option", "required"), want: tools + `,"tool_choice_option":"required"`},
		"the call's choice by the name": {tools: tool, options: o().WithExtra("tool_choice", "auto").Merge(o().WithExtra("tool_choice", "none")), want: tools + `,"tool_choice_option":"none"`},
		"a schema": {format: must(schema.Parse("a person", []byte(`{"type":"object"}`))),
			want: `,"response_format":{"type":"json_schema","json_schema":{"name":"a_person","strict":true,"schema":{"type":"object"}}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(aReply)
			req := request(false)
			req.Options, req.Tools, req.Format = tt.options, tt.tools, tt.format
			if _, err := chat(t.Context(), newBackend(m), req); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(rest(t, m), tt.want); diff != "" {
				t.Errorf("rest of the request (-got +want):\n%s", diff)
			}
			want := "/ml/v1/text/chat"
			if tt.options.Stream() {
				want = "/ml/v1/text/chat_stream"
			}
			if got := m.seen()[0].path; got != want {
				t.Errorf("got path %s, want %s", got, want)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	o := func() backend.Options { return backend.Options{} }
	user := func(parts ...content.Part) content.Messages {
		return content.NewMessages(content.NewMessage(content.RoleUser, parts...))
	}
	gif := must(content.NewImage([]byte("GIF89a\x01")))
	tests := map[string]struct {
		req  backend.Request
		code string
		says string
	}{
		"an image by its URL":                {backend.Request{Messages: user(must(content.ImageURL("https://x.example/a.png")))}, backend.CodeUnsupported, "by their URL"},
		"a file":                             {backend.Request{Messages: user(must(content.FileID("f")))}, backend.CodeUnsupported, "no files"},
		"a recording of another kind":        {backend.Request{Messages: user(must(content.NewAudio("audio/flac", []byte("f"))))}, backend.CodeUnsupported, "WAV or MP3"},
		"an image that is not a user's":      {backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleAssistant, gif))}, backend.CodeUnsupported, "user only"},
		"several replies":                    {backend.Request{Options: o().WithExtra("n", 2)}, backend.CodeUnsupported, "several replies"},
		"another project":                    {backend.Request{Options: o().WithExtra("project_id", "p")}, backend.CodeUnsupported, `"project_id" is set by the request itself`},
		"a space as well":                    {backend.Request{Options: o().WithExtra("space_id", "p")}, backend.CodeUnsupported, `"space_id" is set`},
		"other messages":                     {backend.Request{Options: o().WithExtra("messages", []string{})}, backend.CodeUnsupported, `"messages" is set`},
		"two choices of tools":               {backend.Request{Options: o().WithExtra("tool_choice", "auto").WithExtra("tool_choice_option", "none")}, backend.CodeUnsupported, "exclude each other"},
		"two choices, one a function":        {backend.Request{Options: o().WithExtra("tool_choice", map[string]any{}).WithExtra("tool_choice_option", "none")}, backend.CodeUnsupported, "exclude each other"},
		"a number that is none":              {backend.Request{Options: o().WithTemperature(math.NaN())}, backend.CodeUnsupported, "temperature"},
		"an extra that JSON has no form for": {backend.Request{Options: o().WithExtra("context", make(chan int))}, backend.CodeUnsupported, "cannot be encoded"},
		"an option of the wrong type":        {backend.Request{Options: o().WithExtra("seed", "x")}, backend.CodeConfiguration, "seed"},
		"top-k, strictly":                    {backend.Request{Options: o().WithTopK(3).WithStrict(true)}, backend.CodeUnsupported, "top-k"},
		"no model":                           {backend.Request{Options: o().WithModel("")}, backend.CodeConfiguration, "WithModel"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(aReply)
			if tt.req.Messages.Len() == 0 {
				tt.req.Messages = content.NewMessages(content.User("hello"))
			}
			_, err := newBackend(m).Generate(t.Context(), tt.req)
			e, ok := errors.AsType[*backend.Error](err)
			if !ok || e.Code != tt.code || !strings.Contains(e.Remedy, tt.says) {
				t.Errorf("got error %v, want code %q and a remedy with %q", err, tt.code, tt.says)
			}
			if n := len(m.seen()) + m.exchanges(); n != 0 {
				t.Errorf("got %d requests, want none", n)
			}
		})
	}
}

// What a model thought is not sent back, which the API has no form for, and neither is a null.
func TestConversationWithTools(t *testing.T) {
	t.Parallel()
	m := newMemory(aReply)
	req := backend.Request{Messages: content.NewMessages(
		content.User("add"),
		content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.ToolCall{ID: "c1", Name: "f", Arguments: `{"a":1}`}),
		content.NewMessage(content.RoleTool, content.ToolResult{CallID: "c1", Name: "f", Content: "2"}),
		content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.Text("2")),
		content.NewMessage(content.RoleUser, content.Text("look"), must(content.NewImage([]byte("GIF89a\x01"))), must(content.NewAudio("audio/mpeg", []byte("m"))), must(content.NewAudio("audio/x-wav", []byte("w")))),
	)}
	if _, err := chat(t.Context(), newBackend(m), req); err != nil {
		t.Fatal(err)
	}
	body := m.seen()[0].body
	if _, err := (watsonxtest.Dialect{}).Decode("/ml/v1/text/chat", []byte(body)); err != nil {
		t.Fatalf("the service refuses the request: %v\n%s", err, body)
	}
	want := `{"model_id":"` + theModel + `","project_id":"a-project","messages":[{"role":"user","content":"add"},` +
		`{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},` +
		`{"role":"tool","tool_call_id":"c1","content":"2"},{"role":"assistant","content":"2"},` +
		`{"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlhAQ=="}},` +
		`{"type":"input_audio","input_audio":{"data":"bQ==","format":"mp3"}},{"type":"input_audio","input_audio":{"data":"dw==","format":"wav"}}]}]}`
	if diff := cmp.Diff(body, want); diff != "" {
		t.Errorf("request (-got +want):\n%s", diff)
	}
}

// An option that the API does not have is reported once, and stays where the program used the service's own name.
func TestTopK(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := newMemory(aReply)
	b := newBackend(m, watsonx.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for range 3 {
		req := request(false)
		req.Options = req.Options.WithTopK(3)
		r, err := chat(t.Context(), b, req)
		if err != nil {
			t.Fatal(err)
		}
		if r.Generation.Sent.Has(backend.NeutralTopK) {
			t.Error("got top-k among the options sent, want it left out")
		}
	}
	if got := strings.Count(log.String(), "level=WARN"); got != 1 || !strings.Contains(log.String(), "top-k") {
		t.Errorf("got %d warnings, want one of top-k:\n%s", got, log.String())
	}
	req := request(false)
	req.Options = req.Options.WithExtra("top_k", 3)
	if _, err := chat(t.Context(), b, req); err != nil {
		t.Fatal(err)
	}
	if got := m.seen()[3].body; !strings.Contains(got, `"top_k":3`) {
		t.Errorf("got request %s, want an extra passed through", got)
	}
}

func TestCompletionRequests(t *testing.T) {
	t.Parallel()
	o := func() backend.Options { return backend.Options{} }
	tests := map[string]struct {
		options backend.Options
		want    string
	}{
		"nothing": {},
		"every option": {o().WithMaxTokens(5).WithTemperature(0.7).WithTopP(0.5).WithTopK(3).WithSeed(7).WithStop("a", "b"),
			`,"parameters":{"decoding_method":"sample","include_stop_sequence":false,"max_new_tokens":5,"random_seed":7,"stop_sequences":["a","b"],"temperature":0.7,"top_k":3,"top_p":0.5}`},
		"a temperature of 0 is greedy":     {o().WithTemperature(0), `,"parameters":{"decoding_method":"greedy"}`},
		"a seed needs sampling":            {o().WithSeed(1), `,"parameters":{"decoding_method":"sample","random_seed":1}`},
		"only a bound":                     {o().WithExtra("max_new_tokens", 9), `,"parameters":{"max_new_tokens":9}`},
		"extras are parameters":            {o().WithExtra("repetition_penalty", 1.1).WithExtra("min_new_tokens", 2), `,"parameters":{"min_new_tokens":2,"repetition_penalty":1.1}`},
		"the decoding the program wants":   {o().WithExtra("decoding_method", "greedy").WithStop("x").WithExtra("include_stop_sequence", true), `,"parameters":{"decoding_method":"greedy","include_stop_sequence":true,"stop_sequences":["x"]}`},
		"moderations are no parameter":     {o().WithExtra("moderations", map[string]any{"hap": map[string]any{}}), `,"moderations":{"hap":{}}`},
		"parameters as the API calls them": {o().WithMaxTokens(1).WithExtra("parameters", map[string]any{"min_new_tokens": 1}), `,"parameters":{"max_new_tokens":1,"min_new_tokens":1}`},
		"a stream makes no sense":          {o().WithStream(true), ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(`{"results":[{"generated_text":"a","stop_reason":"eos_token"}]}`)
			if _, err := newBackend(m).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("p"), Options: tt.options}); err != nil {
				t.Fatal(err)
			}
			body := m.seen()[0].body
			if _, err := (watsonxtest.Dialect{}).Decode("/ml/v1/text/generation", []byte(body)); err != nil {
				t.Fatalf("the service refuses the request: %v\n%s", err, body)
			}
			if diff := cmp.Diff(body, `{"model_id":"`+theModel+`","project_id":"a-project","input":"p"`+tt.want+`}`); diff != "" {
				t.Errorf("request (-got +want):\n%s", diff)
			}
		})
	}
	for name, options := range map[string]backend.Options{
		"another input": o().WithExtra("parameters", 3), "a project": o().WithThinking("low").WithStrict(true),
	} {
		_, err := newBackend(newMemory("")).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("p"), Options: options})
		if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeUnsupported {
			t.Errorf("%s: got error %v, want code %s", name, err, backend.CodeUnsupported)
		}
	}
}
