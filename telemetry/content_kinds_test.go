package telemetry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A definition is that of a message or a part in the schema of an attribute.
type definition struct {
	kind     string // what the type of such a part is
	resolved *jsonschema.Resolved
}

var definitions sync.Map // by attribute

func definitionsOf(a semconv.Attribute) (map[string]definition, error) {
	var root struct {
		Defs map[string]struct {
			Properties struct{ Type struct{ Const string } }
		} `json:"$defs"`
	}
	var whole map[string]any
	text := []byte(strings.ReplaceAll(a.Schema, `{"$ref":"http://json-schema.org/draft-07/schema#"}`, `{"type":"object"}`))
	if err := errors.Join(json.Unmarshal(text, &root), json.Unmarshal(text, &whole)); err != nil {
		return nil, err
	}
	all := map[string]definition{}
	for name, d := range root.Defs {
		text, err := json.Marshal(map[string]any{"$ref": "#/$defs/" + name, "$defs": whole["$defs"]})
		if err != nil {
			return nil, err
		}
		var s jsonschema.Schema
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, err
		}
		resolved, err := s.Resolve(nil)
		if err != nil {
			return nil, err
		}
		all[name] = definition{kind: d.Properties.Type.Const, resolved: resolved}
	}
	return all, nil
}

// strict holds a document's parts against the definitions of their types. The schemas let everything with a type pass as a
// generic part; here a part must be of a type they define, and have what that needs, of the type it needs.
func strict(t testing.TB, key, document string) {
	t.Helper()
	def, ok := semconv.LookupAttribute(key)
	if !ok || def.Schema == "" {
		return
	}
	build, _ := definitions.LoadOrStore(key, sync.OnceValues(func() (map[string]definition, error) { return definitionsOf(def) }))
	defs, err := build.(func() (map[string]definition, error))()
	if err != nil {
		t.Fatal(err)
	}
	holds := func(what, name string, v any) {
		t.Helper()
		if err := defs[name].resolved.Validate(v); err != nil {
			t.Errorf("%s: %s is no %s: %v", key, what, name, err)
		}
	}
	part := func(what string, p any) {
		t.Helper()
		kind, _ := p.(map[string]any)["type"].(string)
		name := ""
		for n, d := range defs {
			if d.kind == kind && kind != "" {
				name = n
			}
		}
		if name == "" {
			t.Errorf("%s: %s has the type %q, which is none that the schema defines", key, what, kind)
			return
		}
		holds(what, name, p)
	}
	var v any
	if err := json.Unmarshal([]byte(document), &v); err != nil {
		t.Fatalf("%s is not JSON: %v", key, err)
	}
	list, _ := v.([]any)
	for i, e := range list {
		what := fmt.Sprintf("element %d", i)
		switch key {
		case "gen_ai.input.messages", "gen_ai.output.messages":
			holds(what, map[string]string{"gen_ai.input.messages": "ChatMessage", "gen_ai.output.messages": "OutputMessage"}[key], e)
			parts, _ := e.(map[string]any)["parts"].([]any)
			for j, p := range parts {
				part(fmt.Sprintf("%s, part %d", what, j), p)
			}
		default:
			part(what, e)
		}
	}
}

// Each kind of part, in every role, is a part of the type the conventions have for it.
func TestContentKinds(t *testing.T) {
	t.Parallel()
	image := must[content.Image](t)(content.NewImage([]byte("GIF89a\xff")))
	link := must[content.Image](t)(content.ImageURL("https://example.com/a.png"))
	audio := must[content.Audio](t)(content.NewAudio("audio/mpeg", []byte("\xffsound")))
	kinds := []struct {
		name string
		part content.Part
		want string
	}{
		{"text", content.Text("a \"quoted\" text"), `{"content":"a \"quoted\" text","type":"text"}`},
		{"reasoning", content.Reasoning{Text: "hm", Signature: "opaque"}, `{"content":"hm","type":"reasoning"}`},
		{"tool call", content.ToolCall{ID: "c1", Name: "f", Arguments: `{"a":[1,2.5,true,null,"x"],"big":12345678901234567890}`}, `{"arguments":{"a":[1,2.5,true,null,"x"],"big":1.2345678901234567e+19},"id":"c1","name":"f","type":"tool_call"}`},
		{"tool call without id or arguments", content.ToolCall{Name: "f"}, `{"arguments":"","name":"f","type":"tool_call"}`},
		{"tool call that is no JSON", content.ToolCall{ID: "c2", Name: "f", Arguments: `{"a":`}, `{"arguments":"{\"a\":","id":"c2","name":"f","type":"tool_call"}`},
		{"two values in one", content.ToolCall{ID: "c3", Name: "f", Arguments: `{} {}`}, `{"arguments":"{} {}","id":"c3","name":"f","type":"tool_call"}`},
		{"tool result", content.ToolResult{CallID: "c1", Name: "f", Content: "rain"}, `{"id":"c1","response":"rain","type":"tool_call_response"}`},
		{"structured tool result", content.ToolResult{CallID: "c1", Content: `{"sky":"grey"}`}, `{"id":"c1","response":{"sky":"grey"},"type":"tool_call_response"}`},
		{"failed tool", content.ToolResult{CallID: "c1", Content: "no such city", IsError: true}, `{"id":"c1","response":"no such city","type":"tool_call_response"}`},
		{"call of the provider's tool", content.ServerToolCall{ID: "s1", Name: "web_search", Type: "web_search", Arguments: `{"query":"x"}`},
			`{"id":"s1","name":"web_search","server_tool_call":{"arguments":{"query":"x"},"type":"web_search"},"type":"server_tool_call"}`},
		{"and that without an id, a type or arguments", content.ServerToolCall{Name: "python"}, `{"name":"python","server_tool_call":{"type":"python"},"type":"server_tool_call"}`},
		{"and that with code that is no JSON", content.ServerToolCall{Name: "python", Type: "code", Arguments: "1+1"}, `{"name":"python","server_tool_call":{"arguments":"1+1","type":"code"},"type":"server_tool_call"}`},
		{"and what it gave", content.ServerToolResult{CallID: "s1", Type: "web_search_tool_result", Content: `[{"url":"u"}]`},
			`{"id":"s1","server_tool_call_response":{"content":[{"url":"u"}],"type":"web_search_tool_result"},"type":"server_tool_call_response"}`},
		{"and what it gave that nobody saw", content.ServerToolResult{Type: "t"}, `{"server_tool_call_response":{"type":"t"},"type":"server_tool_call_response"}`},
		{"image", image, `{"content":"R0lGODlh/w==","mime_type":"image/gif","modality":"image","type":"blob"}`},
		{"image by URL", link, `{"modality":"image","type":"uri","uri":"https://example.com/a.png"}`},
		{"audio", audio, `{"content":"/3NvdW5k","mime_type":"audio/mpeg","modality":"audio","type":"blob"}`},
		{"file", must[content.File](t)(content.NewFile("r.pdf", "application/pdf", []byte("%PDF\xff"))), `{"content":"JVBERv8=","mime_type":"application/pdf","modality":"document","type":"blob"}`},
		{"video", must[content.File](t)(content.NewFile("v.mp4", "video/mp4", []byte("\xff"))), `{"content":"/w==","mime_type":"video/mp4","modality":"video","type":"blob"}`},
		{"file by id", must[content.File](t)(content.FileID("file-1")), `{"file_id":"file-1","modality":"document","type":"file"}`},
	}
	for _, role := range []content.Role{content.RoleUser, content.RoleAssistant, content.RoleTool, "developer"} {
		for _, kind := range kinds {
			m := content.NewMessage(role, kind.part)
			want := fmt.Sprintf(`[{"parts":[%s],"role":%q}]`, kind.want, role)
			for key, doc := range telemetry.CaptureForTest(content.NewMessages(m), content.List[content.ToolSpec]{}, m, 1<<20, nil) {
				validate(t, key, doc)
				strict(t, key, doc)
				if diff := cmp.Diff(doc, want); diff != "" {
					t.Errorf("%s as %s in %s (-got +want):\n%s", kind.name, role, key, diff)
				}
			}
		}
	}
}

// Instructions are text: what else a system message has is a message.
func TestContentOfSystemMessages(t *testing.T) {
	t.Parallel()
	link := must[content.Image](t)(content.ImageURL("https://example.com/a.png"))
	got := map[string]string{}
	system := content.NewMessage(content.RoleSystem, content.Text("Be brief."), link, content.Text("Be kind."))
	for key, doc := range telemetry.CaptureForTest(content.NewMessages(system), content.List[content.ToolSpec]{}, content.Message{}, 1<<20, nil) {
		strict(t, key, doc)
		got[key] = doc
	}
	want := map[string]string{
		"gen_ai.system_instructions": `[{"content":"Be brief.","type":"text"},{"content":"Be kind.","type":"text"}]`,
		"gen_ai.input.messages":      `[{"parts":[{"modality":"image","type":"uri","uri":"https://example.com/a.png"}],"role":"system"}]`,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("content (-got +want):\n%s", diff)
	}
}

func TestContentOfToolDefinitions(t *testing.T) {
	t.Parallel()
	params := must[schema.Schema](t)(schema.Parse("args", []byte(`{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}`)))
	tools := content.ListOf(content.ToolSpec{Name: "bare"}, content.ToolSpec{Name: "full", Description: "Does it", Parameters: params})
	n := 0
	for key, doc := range telemetry.CaptureForTest(content.Messages{}, tools, content.Message{}, 1<<20, nil) {
		n++
		validate(t, key, doc)
		strict(t, key, doc)
		want := `[{"name":"bare","type":"function"},{"description":"Does it","name":"full","parameters":{"properties":{"n":{"minimum":1,"type":"integer"}},"type":"object"},"type":"function"}]`
		if diff := cmp.Diff(doc, want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", key, diff)
		}
	}
	if n != 1 {
		t.Errorf("%d documents, want 1", n)
	}
}

// A span has room for so many variables; that there were more is told.
func TestContentOfManyVariables(t *testing.T) {
	t.Parallel()
	var names []hookpoint.Variable
	for i := range 40 {
		names = append(names, hookpoint.Variable{Name: fmt.Sprintf("v%02d", i), Value: "here"})
	}
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true))
	generate(t, tel, hookpoint.GenerationStart{Messages: content.NewMessages(content.User("here")), Variables: content.ListOf(names...)}, hookpoint.GenerationEnd{}, nil)
	flush(t, tel)
	attrs := server.Spans(t, 1)[0].Attributes
	var got []string
	for key := range attrs {
		if strings.HasPrefix(key, "gen_ai.prompt.variable.") {
			got = append(got, key)
		}
	}
	slices.Sort(got)
	if len(got) != 32 || got[31] != "gen_ai.prompt.variable.v31" || attrs["mellea.content.truncated"] != true {
		t.Errorf("%d variables, the last %v; truncated: %v", len(got), got[len(got)-1:], attrs["mellea.content.truncated"])
	}
}
