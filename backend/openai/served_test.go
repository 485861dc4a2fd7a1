package openai_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// Tools that a provider ran itself are parts of their own, and none of them is a call that the program is to run.
func TestToolsThatProvidersRan(t *testing.T) {
	clearEnv(t)
	const groqFound = `{"output":"Title: Paris","search_results":{"results":[{"title":"Paris","url":"https://example.com/p","content":"rain","score":0.9}],"images":null}}`
	groq := []content.Part{content.Reasoning{Text: "Search."},
		content.ServerToolCall{Name: "search", Type: "search", Arguments: `{"query": "weather in Paris"}`}, content.ServerToolResult{Type: "search", Content: groqFound},
		content.ServerToolCall{Name: "python", Type: "python", Arguments: `{"code": "1+1"}`}, content.ServerToolResult{Type: "python", Content: `{"output":"2","code_results":[{"text":"2"}]}`},
		content.Text("Rain.")}
	anthropic := []content.Part{
		content.ServerToolCall{ID: "srvtoolu_01A", Name: "web_search", Type: "web_search", Arguments: `{"query": "weather Paris"}`},
		content.ServerToolResult{CallID: "srvtoolu_01A", Type: "web_search_tool_result",
			Content: `[{"type":"web_search_result","url":"https://example.com/w","title":"Weather","encrypted_content":"EqgfCioI","page_age":"2 days"}]`},
		content.ServerToolCall{ID: "srvtoolu_01B", Name: "bash_code_execution", Type: "bash_code_execution", Arguments: `{"command": "echo $((2+2))"}`},
		content.ServerToolResult{CallID: "srvtoolu_01B", Type: "bash_code_execution_tool_result",
			Content: `{"type":"bash_code_execution_result","stdout":"4\n","stderr":"","return_code":0,"content":[]}`},
		content.Text("I'll search. Rain."),
		content.ToolCall{ID: "toolu_01C", Name: "add", Arguments: `{"a": 1}`},
	}
	tests := map[string][]content.Part{
		"groq-compound-chat":       groq,
		"groq-compound-stream":     groq,
		"litellm-anthropic-chat":   anthropic,
		"litellm-anthropic-stream": anthropic,
		"litellm-groq-chat": {content.Reasoning{Text: "hm"},
			content.ServerToolCall{Name: "search", Type: "search", Arguments: `{"query": "weather"}`},
			content.ServerToolResult{Type: "search", Content: `{"output":"Title: W","search_results":{"results":[{"title":"W","url":"https://example.com","content":"c","score":0.9}]}}`},
			content.ServerToolCall{Name: "python", Type: "python", Arguments: `{"code": "1+1"}`}, content.ServerToolResult{Type: "python", Content: `{"output":"2","code_results":[{"text":"2"}]}`},
			content.Text("Rain.")},
		"openai-annotations": {content.Text("Rain.")},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(&replies{t: t, files: []string{name}}))
			r, err := chat(t, b, backend.Options{}.WithStream(strings.Contains(name, "stream")))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Collect(r.Message.Parts()), want); diff != "" {
				t.Errorf("parts (-got +want):\n%s", diff)
			}
		})
	}
}

// What a provider's tools did is not sent back: the dialect has no form for it, and Anthropic refuses its calls without their
// results in the next request.
func TestToolsThatProvidersRanAreNotSentBack(t *testing.T) {
	clearEnv(t)
	served := []content.Part{content.ServerToolCall{ID: "srvtoolu_01A", Name: "web_search", Type: "web_search", Arguments: "{}"},
		content.ServerToolResult{CallID: "srvtoolu_01A", Type: "web_search_tool_result", Content: "[]"}}
	picture, err := content.NewImage([]byte("GIF89a"))
	if err != nil {
		t.Fatal(err)
	}
	call := content.ToolCall{ID: "toolu_01C", Name: "add", Arguments: `{"a":1}`}
	tests := map[string]struct {
		role   content.Role
		beside []content.Part
		want   string
	}{
		"beside a text":   {content.RoleAssistant, []content.Part{content.Text("Rain.")}, `{"role":"assistant","content":"Rain."}`},
		"beside a call":   {content.RoleAssistant, []content.Part{call}, `{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_01C","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}}]}`},
		"beside both":     {content.RoleAssistant, []content.Part{content.Text("Rain."), call}, `{"role":"assistant","content":"Rain.","tool_calls":[{"id":"toolu_01C","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}}]}`},
		"beside an image": {content.RoleUser, []content.Part{picture, content.Text("x")}, `{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlh"}},{"type":"text","text":"x"}]}`},
		"alone":           {content.RoleAssistant, nil, `{"role":"assistant","content":""}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var sent string
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(transport(func(r *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(r.Body)
				sent = string(body)
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(
					`{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}`))}, err
			})))
			out, err := b.Generate(t.Context(), backend.Request{Messages: content.NewMessages(content.User("?"), content.NewMessage(tt.role, append(served, tt.beside...)...), content.User("And now?"))})
			if err != nil {
				t.Fatal(err)
			}
			if err := out.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := `{"model":"m","messages":[{"role":"user","content":"?"},` + tt.want + `,{"role":"user","content":"And now?"}]}`
			if diff := cmp.Diff(sent, want); diff != "" {
				t.Errorf("request (-got +want):\n%s", diff)
			}
		})
	}
}

// A server may say the same again in each chunk, use a number twice, or say too much.
func TestToolsThatProvidersRanInOddStreams(t *testing.T) {
	clearEnv(t)
	call := func(name, arguments string) content.Part {
		return content.ServerToolCall{Name: name, Type: name, Arguments: arguments}
	}
	result := func(id, kind, text string) content.Part {
		return content.ServerToolResult{CallID: id, Type: kind, Content: text}
	}
	many := func(n int, one string) (deltas []string) {
		for i := range n {
			deltas = append(deltas, strings.ReplaceAll(one, "#", strconv.Itoa(i)))
		}
		return deltas
	}
	tests := map[string]struct {
		deltas []string
		want   []content.Part // before the text; nil: the reply is refused
		chunks int
	}{
		"a number that is used again": {[]string{`"executed_tools":[{"index":0,"type":"a","arguments":"1","output":"x"}]`, `"executed_tools":[{"index":0,"type":"a","arguments":"2"}]`, `"executed_tools":[{"index":0,"type":"a","arguments":"2","output":"y"}]`},
			[]content.Part{call("a", "1"), result("", "a", `{"output":"x"}`), call("a", "2"), result("", "a", `{"output":"y"}`)}, 3},
		"arguments that grow": {[]string{`"executed_tools":[{"index":0,"type":"a","arguments":"{"}]`, `"executed_tools":[{"index":0,"type":"a","arguments":"{}"}]`},
			[]content.Part{call("a", "{}")}, 2},
		"the same again": {many(9, `"executed_tools":[{"index":0,"type":"a","arguments":"1","output":"x"}]`), []content.Part{call("a", "1"), result("", "a", `{"output":"x"}`)}, 1},
		"all results again": {[]string{`"provider_specific_fields":{"tool_results":[{"type":"t","tool_use_id":"m1","content":1}]}`, `"provider_specific_fields":{"tool_results":[{"type":"t","tool_use_id":"m1","content":1},{"type":"t","tool_use_id":"m2","content":2}]}`},
			[]content.Part{result("m1", "t", "1"), result("m2", "t", "2")}, 2},
		"a result before its call": {[]string{`"provider_specific_fields":{"tool_results":[{"type":"t","tool_use_id":"srvtoolu_1","content":1}]}`, `"tool_calls":[{"index":0,"id":"srvtoolu_1","function":{"name":"a","arguments":"{}"}}]`},
			[]content.Part{content.ServerToolCall{ID: "srvtoolu_1", Name: "a", Type: "a", Arguments: "{}"}, result("srvtoolu_1", "t", "1")}, 2},
		"too many calls":              {many(300, `"tool_calls":[{"index":#,"id":"srvtoolu_#","function":{"name":"a"}}]`), nil, 0},
		"too many tools":              {many(300, `"executed_tools":[{"index":#,"type":"a"}]`), nil, 0},
		"one call under many numbers": {many(3000, `"tool_calls":[{"index":#,"id":"srvtoolu_1","function":{"name":"a"}}]`), []content.Part{content.ServerToolCall{ID: "srvtoolu_1", Name: "a", Type: "a"}}, 3000},
		"many calls beside it":        {append(many(3000, `"tool_calls":[{"index":#,"id":"srvtoolu_1","function":{"name":"a"}}]`), `"tool_calls":[{"index":5000,"id":"c","function":{"name":"f"}}]`), nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			for _, d := range append(tt.deltas, `"content":"x"`) {
				text.WriteString(`data: {"choices":[{"index":0,"delta":{` + d + "}}]}\n\n")
			}
			text.WriteString("data: [DONE]\n\n")
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(transport(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(text.String()))}, nil
			})))
			out, err := b.Generate(t.Context(), backend.Request{Options: backend.Options{}.WithStream(true), Messages: content.NewMessages(content.User("?"))})
			if err != nil {
				t.Fatal(err)
			}
			r, err := out.Reply(t.Context())
			if tt.want == nil {
				if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeInvalidResponse {
					t.Fatalf("got error %v, want code %q", err, backend.CodeInvalidResponse)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Collect(r.Message.Parts()), append(tt.want, content.Text("x"))); diff != "" {
				t.Errorf("parts (-got +want):\n%s", diff)
			}
			chunks := 0
			for c := range out.Chunks(t.Context()) {
				if c.Kind == backend.ChunkServerTool {
					chunks++
				}
			}
			if chunks != tt.chunks {
				t.Errorf("got %d chunks of tools, want %d", chunks, tt.chunks)
			}
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
