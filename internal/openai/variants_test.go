package openai_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/schema"
)

// What servers of the dialect want otherwise than OpenAI.
func TestAppendRequestVariants(t *testing.T) {
	t.Parallel()
	person := must(schema.Parse("person", []byte(`{"type":"object"}`)))
	open := must(schema.Parse("open", []byte(`{"type":"object","properties":{"a":{"type":"string"}}}`)))
	dict := must(schema.Parse("dict", []byte(`{"type":"object","additionalProperties":{"type":"string"}}`)))
	strict := must(open.Strict())
	tools := content.ListOf(content.ToolSpec{Name: "now"})
	picture := content.NewMessages(content.NewMessage(content.RoleUser, must(content.ImageURL("https://example.com/a.png"))))
	const start, x = `{"model":"m","messages":[`, `{"role":"user","content":"x"}]`
	const instruction = `"Answer with one JSON document and nothing else. It must match this JSON Schema:\n{\"type\":\"object\"}"}`
	tests := map[string]struct {
		req   backend.Request
		style openai.Style
		want  string
	}{
		"an effort in an object": {backend.Request{Messages: user("x"), Options: model().WithThinking("high")}, openai.Style{ReasoningObject: true},
			start + x + `,"reasoning":{"effort":"high"}}`},
		"an effort beside more of it": {backend.Request{Messages: user("x"), Options: model().WithThinking("high").WithExtra("reasoning", map[string]any{"exclude": true})},
			openai.Style{ReasoningObject: true}, start + x + `,"reasoning":{"effort":"high","exclude":true}}`},
		"detail of images": {backend.Request{Messages: picture, Options: model()}, openai.Style{ImageDetail: "low"},
			start + `{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"low"}}]}]}`},
		"detail of images of a call": {backend.Request{Messages: picture, Options: model().WithExtra("image_detail", "high")}, openai.Style{ImageDetail: "low"},
			start + `{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"high"}}]}]}`},
		"a choice of tools": {backend.Request{Messages: user("x"), Tools: tools, Options: model().WithExtra("tool_choice", "required").WithExtra("parallel_tool_calls", false)}, openai.Style{},
			start + x + `,"tools":[{"type":"function","function":{"name":"now"}}],"parallel_tool_calls":false,"tool_choice":"required"}`},
		"a choice of tools that are gone": {backend.Request{Messages: user("x"), Options: model().WithExtra("tool_choice", "required").WithExtra("parallel_tool_calls", false)}, openai.Style{},
			start + x + `}`},
		"any JSON document": {backend.Request{Messages: user("x"), Format: person, Options: model()}, openai.Style{Structured: openai.ByJSON},
			start + `{"role":"system","content":` + instruction + `,` + x + `,"response_format":{"type":"json_object"}}`},
		"JSON in words": {backend.Request{Messages: user("x"), Format: person, Options: model()}, openai.Style{Structured: openai.ByInstruction},
			start + `{"role":"system","content":` + instruction + `,` + x + `}`},
		"a schema in its strict form": {backend.Request{Messages: user("x"), Format: open, Options: model()}, openai.Style{StrictSchema: true},
			start + x + `,"response_format":{"type":"json_schema","json_schema":{"name":"open","strict":true,"schema":` + strict.JSON() + `}}}`},
		"a schema without one": {backend.Request{Messages: user("x"), Format: dict, Options: model()}, openai.Style{StrictSchema: true},
			start + x + `,"response_format":{"type":"json_schema","json_schema":{"name":"dict","strict":false,"schema":` + dict.JSON() + `}}}`},
		"no format": {backend.Request{Messages: user("x"), Options: model()}, openai.Style{Structured: openai.ByJSON}, start + x + `}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := openai.AppendRequest(nil, tt.req, tt.style)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), tt.want); diff != "" {
				t.Errorf("request (-got +want):\n%s", diff)
			}
		})
	}
	t.Run("a schema without a strict form, strictly", func(t *testing.T) {
		t.Parallel()
		_, err := openai.AppendRequest(nil, backend.Request{Messages: user("x"), Format: dict, Options: model().WithStrict(true)}, openai.Style{StrictSchema: true})
		if e, ok := errors.AsType[*openai.ValueError](err); !ok || !strings.Contains(e.Reason, "strict form") {
			t.Errorf("got error %v, want a *ValueError that says why", err)
		}
	})
	t.Run("a detail that is none", func(t *testing.T) {
		t.Parallel()
		_, err := openai.AppendRequest(nil, backend.Request{Messages: picture, Options: model().WithExtra("image_detail", 3)}, openai.Style{})
		if _, ok := errors.AsType[*openai.ValueError](err); !ok {
			t.Errorf("got error %v, want a *ValueError", err)
		}
	})
}

func TestAppendCompletions(t *testing.T) {
	t.Parallel()
	person := must(schema.Parse("person", []byte(`{"type":"object"}`)))
	tests := map[string]struct {
		prompts []string
		options backend.Options
		format  schema.Schema
		want    string
	}{
		"one":     {[]string{"a \"b\""}, model(), schema.Schema{}, `{"model":"m","prompt":"a \"b\""}`},
		"several": {[]string{"a", "b"}, model(), schema.Schema{}, `{"model":"m","prompt":["a","b"]}`},
		"options": {[]string{"a"}, model().WithMaxTokens(5).WithTemperature(0).WithSeed(1).WithStop("x").WithThinking("on"), schema.Schema{},
			`{"model":"m","prompt":"a","max_tokens":5,"temperature":0,"seed":1,"stop":["x"]}`},
		"a format": {[]string{"a"}, model(), person,
			`{"model":"m","prompt":"a","response_format":{"type":"json_schema","json_schema":{"name":"person","strict":true,"schema":{"type":"object"}}}}`},
		"extras": {[]string{"a"}, model().WithExtra("echo", true).WithExtra("tool_choice", "auto").WithExtra("extra_body", map[string]any{"guided_regex": "a*"}).WithExtra("n", 1), schema.Schema{},
			`{"model":"m","prompt":"a","echo":true,"guided_regex":"a*","n":1}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := openai.AppendCompletions(nil, tt.prompts, tt.options, tt.format, openai.Style{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), tt.want); diff != "" {
				t.Errorf("request (-got +want):\n%s", diff)
			}
		})
	}
}

var completionSeeds = []string{
	`{"id":"c","model":"m","choices":[{"index":1,"text":"b","finish_reason":"stop"},{"index":0,"text":"a","logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
	`{"choices":[{"text":null}],"usage":null,"system_fingerprint":"f"}`, `{"choices":null}`, `{"error":{}}`, `{}`, `[]`, `{"choices":[{"index":-1},{"index":1e99}]}`,
}

func FuzzDecodeCompletions(f *testing.F) {
	for _, s := range completionSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := openai.DecodeCompletions(doc, 3)
		wantFormatError(t, err)
		if len(r.Choices) > 3 {
			t.Errorf("got %d choices, want at most 3", len(r.Choices))
		}
		for _, c := range r.Choices {
			if c.Index < 0 || len(c.Text) > 3*len(doc) {
				t.Errorf("got choice %d of %d bytes, want none that the document does not hold", c.Index, len(c.Text))
			}
		}
		if u := r.Usage; u.InputTokens < 0 || u.OutputTokens < 0 {
			t.Errorf("got usage %+v, want no count below 0", u)
		}
	})
}

func FuzzDecodeModels(f *testing.F) {
	for _, s := range []string{
		`{"object":"list","data":[{"id":"a","created":1686935002,"owned_by":"o"},{"id":""}]}`, `[{"id":"a"}]`, `{"data":null}`, `{"data":{}}`, `{"data":[{"created":1e300,"id":"x"}]}`, `{}`, `7`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		models, err := openai.DecodeModels(doc)
		wantFormatError(t, err)
		for _, m := range models {
			if m.Name == "" || m.Modified.After(time.Unix(1<<32, 0)) {
				t.Errorf("got model %+v, want a name and a date that can be", m)
			}
		}
	})
}

func wantFormatError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*openai.FormatError](err); !ok || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got error %T %v, want a *FormatError in a line", err, err)
	}
}
