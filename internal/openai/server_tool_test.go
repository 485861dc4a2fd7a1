package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/internal/openai"
)

func TestDecodeServerTools(t *testing.T) {
	t.Parallel()
	search := openai.ServerTool{Name: "search", Type: "search", Arguments: []byte(`{"query":"x"}`)}
	found := search
	found.ResultType, found.Result = "search", []byte(`{"output":"o","search_results":{"results":[{"url":"u"}]}}`)
	for _, tt := range []struct {
		name, message string // the members of a message
		want          []openai.ServerTool
	}{
		{"a call alone", `"executed_tools":[{"index":0,"type":"search","arguments":"{\"query\":\"x\"}","output":null,"search_results":{"images":null,"results":[]},"code_results":[]}]`, []openai.ServerTool{search}},
		{"and its result", `"executed_tools":[{"index":0,"type":"search","arguments":"{\"query\":\"x\"}","output":"o","search_results":{"results":[{"url":"u"}]}}]`, []openai.ServerTool{found}},
		{"arguments as an object", `"executed_tools":[{"index":0,"type":"search","arguments":{"query":"x"}}]`, []openai.ServerTool{search}},
		{"a name beside the type", `"executed_tools":[{"index":3,"name":"browser.open","type":"browser","output":"page"}]`,
			[]openai.ServerTool{{Index: 3, Name: "browser.open", Type: "browser", ResultType: "browser", Result: []byte(`{"output":"page"}`)}}},
		{"without numbers", `"executed_tools":[{"type":"a"},{"index":-1,"type":"b"},{"index":"x","name":"c"},{"index":1e3,"type":"d"}]`,
			[]openai.ServerTool{{Name: "a", Type: "a"}, {Index: 1, Name: "b", Type: "b"}, {Index: 2, Name: "c", Type: "c"}, {Index: 3, Name: "d", Type: "d"}}},
		{"of another form", `"executed_tools":[7,null,"x",[],{},{"type":1,"output":"o"},{"type":"a","arguments":3,"name":{}}]`, []openai.ServerTool{{Index: 6, Name: "a", Type: "a"}}},
		{"no list", `"executed_tools":{"type":"a"}`, nil},
		{"null", `"executed_tools":null,"provider_specific_fields":null`, nil},
		{"results of LiteLLM", `"provider_specific_fields":{"citations":null,"web_search_results":[{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"url":"u"}]}],
			"tool_results":[{"type":"mcp_tool_result","tool_use_id":"m1","is_error":false,"content":"x"}]}`,
			[]openai.ServerTool{{Index: -1, ID: "s1", ResultType: "web_search_tool_result", Result: []byte(`[{"url":"u"}]`)}, {Index: -1, ID: "m1", ResultType: "mcp_tool_result", Result: []byte(`"x"`)}}},
		{"of another form, too", `"provider_specific_fields":{"web_search_results":{"a":1},"tool_results":[1,{"type":"t"},{"tool_use_id":"s"},{"type":2,"tool_use_id":3}]}`, nil},
		{"no object", `"provider_specific_fields":[]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d openai.Decoder
			got, err := d.Decode([]byte(`{"choices":[{"message":{"content":"a",` + tt.message + `}}]}`))
			if err != nil {
				t.Fatal(err)
			}
			want := openai.Event{Choices: 1, HasMessage: true, Text: []byte("a"), ServerTools: tt.want}
			if diff := cmp.Diff(*got, want, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("event (-got +want):\n%s", diff)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		for _, member := range []string{`"executed_tools":[%]`, `"provider_specific_fields":{"tool_results":[%]}`} {
			var d openai.Decoder
			doc := `{"choices":[{"message":{` + strings.Replace(member, "%", strings.Repeat("{},", openai.MaxToolCalls)+"{}", 1) + `}}]}`
			if _, err := d.Decode([]byte(doc)); !errors.As(err, new(*openai.FormatError)) {
				t.Errorf("%s: got error %v, want a *FormatError", member, err)
			}
		}
	})
}
