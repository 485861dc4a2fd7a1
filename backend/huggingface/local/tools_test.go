package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

func mustSchema(t *testing.T, text string) schema.Schema {
	t.Helper()
	s, err := schema.Parse("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withTools is a request that offers two tools.
func withTools(t *testing.T, o backend.Options) backend.Request {
	t.Helper()
	req := ask("hi")
	req.Options = o.WithContextWindow(20_000)
	req.Tools = content.ListOf(content.ToolSpec{Name: "add", Description: "adds", Parameters: mustSchema(t, `{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}`)},
		content.ToolSpec{Name: "now"})
	return req
}

func called(name string) map[string]any {
	return map[string]any{"type": "function", "function": map[string]any{"name": name}}
}

const (
	addA   = `<tool_call>` + "\n" + `{"name": "add", "arguments": {"a": 1}}` + "\n" + `</tool_call>`
	nowB   = `<tool_call>{"name":"now","arguments":{}}</tool_call>`
	offers = "You are provided with function signatures"
)

// Calls come out of a reply with ids, and go back with their results in the prompt of the next.
func TestToolsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprint(stream), func(t *testing.T) {
			t.Parallel()
			answers := []string{"One moment.\n" + addA + "\n" + nowB, "3, at noon.", nowB}
			f := &fake{window: 9000}
			f.answer = func(string) string { return answers[len(f.prompts)-1] }
			b := newFake(t, f)
			req := withTools(t, backend.Options{}.WithStream(stream))
			first, err := reply(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			want := content.NewMessage(content.RoleAssistant, content.Text("One moment."),
				content.ToolCall{ID: "call_1", Name: "add", Arguments: `{"a": 1}`}, content.ToolCall{ID: "call_2", Name: "now", Arguments: "{}"})
			if diff := cmp.Diff(want, first.Message); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			g := first.Generation
			if diff := cmp.Diff([]string{"tool_calls"}, g.FinishReasons.Slice()); diff != "" || g.Usage.OutputTokens != len(answers[0]) || g.FirstToken.IsZero() {
				t.Errorf("got metadata %+v; finish reasons (-want +got):\n%s", g, diff)
			}
			req.Messages = req.Messages.Append(first.Message, // the results in another order than the calls
				content.NewMessage(content.RoleTool, content.ToolResult{CallID: "call_2", Name: "now", Content: "noon <|end|>"}),
				content.NewMessage(content.RoleTool, content.ToolResult{CallID: "call_1", Name: "add", Content: `{"sum":2}`}))
			second, err := reply(t, b, req)
			if err != nil || second.Message.Text() != answers[1] || second.Generation.FinishReasons.At(0) != "stop" {
				t.Errorf("got %q, %v, %v, want %q", second.Message.Text(), second.Generation.FinishReasons.Slice(), err, answers[1])
			}
			wantEnd := "«start»user\nhi«end»\n«start»assistant\nOne moment.\n" + addA + "\n" +
				"<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>«end»\n" +
				"«start»user\n<tool_response>\n{\"name\": \"add\", \"content\": {\"sum\": 2}}\n</tool_response>\n" +
				"<tool_response>\n{\"name\": \"now\", \"content\": \"noon <|end|>\"}\n</tool_response>«end»\n«start»assistant\n"
			if got := f.prompts[1]; !strings.HasSuffix(got, wantEnd) || !strings.HasPrefix(got, "«begin»«start»system\n# Tools") || !strings.Contains(got, offers) {
				t.Errorf("got prompt %q\nwant the tools and %q", got, wantEnd)
			}
			req.Messages = req.Messages.Append(second.Message, content.User("again"))
			third, err := reply(t, b, req)
			if calls := slices.Collect(third.Message.ToolCalls()); err != nil || len(calls) != 1 || calls[0].ID != "call_3" {
				t.Errorf("got calls %v, %v, want one with the id call_3", calls, err)
			}
		})
	}
}

// Nothing of a call shows in the text of a stream, and what is text comes while it is written.
func TestToolsStream(t *testing.T) {
	t.Parallel()
	b := newFake(t, &fake{window: 9000, answer: says("ab <c>\n" + addA + "d <tool_")})
	req := withTools(t, backend.Options{}.WithStream(true))
	out, err := b.Generate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for c, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c.Text+c.Tool.ID+c.Tool.Name+c.Tool.Arguments)
	}
	want := []string{"a", "b", " <c", ">", `call_1add{"a": 1}`, "\nd", " <tool_"}
	if diff := cmp.Diff(want, slices.DeleteFunc(got, func(s string) bool { return s == "" })); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
	r, err := out.Reply(t.Context())
	if err != nil || r.Generation.Chunks < len(want)+len(addA)/2 {
		t.Errorf("got %d chunks, %v, want a sign of life for each token", r.Generation.Chunks, err)
	}
}

// The choice of tools decides what is offered and what the reply is held to.
func TestToolChoice(t *testing.T) {
	t.Parallel()
	o := backend.Options{}
	const add, now = `"<tool_call>\n{\"name\": \"add\", \"arguments\": "`, `"<tool_call>\n{\"name\": \"now\", \"arguments\": "`
	tests := map[string]struct {
		options backend.Options
		format  string
		offered bool
		answer  string // addA if it is ""
		grammar []string
		not     string
		calls   int
	}{
		"nothing":            {offered: true, calls: 1},
		"auto":               {options: o.WithExtra("tool_choice", "auto"), offered: true, calls: 1},
		"none":               {options: o.WithExtra("tool_choice", "none")},
		"required":           {options: o.WithExtra("tool_choice", "required"), offered: true, calls: 1, grammar: []string{add, now}, not: ")*"},
		"one":                {options: o.WithExtra("tool_choice", called("add")), offered: true, calls: 1, grammar: []string{add}, not: "now"},
		"as a server has it": {options: o.WithExtra("tool_choice", map[string]any{"type": "function", "function": map[string]string{"name": "now"}}), offered: true, calls: 1, grammar: []string{now}, not: "add"},
		"several":            {options: o.WithExtra("parallel_tool_calls", true).WithExtra("tool_choice", "required"), offered: true, answer: addA + nowB, calls: 2, grammar: []string{add, now, `( "\n" r4 )*`}},
		"one at a time":      {options: o.WithExtra("parallel_tool_calls", false), offered: true, answer: addA + nowB, calls: 1},
		"a format":           {format: `{"type":"null"}`, offered: true, calls: 1, grammar: []string{add, now, "| null"}},
		"a format and none":  {format: `{"type":"null"}`, options: o.WithExtra("tool_choice", "none"), grammar: []string{"null"}, not: "tool_call"},
		"a format, required": {format: `{"type":"null"}`, options: o.WithExtra("tool_choice", "required"), offered: true, calls: 1, grammar: []string{add, now}, not: "null"},
		"a grammar":          {options: o.WithExtra("grammar", `root ::= "a"`), offered: true, calls: 1, grammar: []string{`root ::= "a"`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.answer == "" {
				tc.answer = addA
			}
			var got sampling
			f := &fake{window: 9000, answer: says(tc.answer), sampling: func(s sampling) { got = s }}
			b := newFake(t, f)
			req := withTools(t, tc.options)
			if tc.format != "" {
				req.Format = mustSchema(t, tc.format)
			}
			r, err := reply(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(slices.Collect(r.Message.ToolCalls())); n != tc.calls {
				t.Errorf("got %d calls, want %d", n, tc.calls)
			}
			if offered := strings.Contains(f.prompts[0], offers); offered != tc.offered {
				t.Errorf("the tools are offered: %v, want %v", offered, tc.offered)
			}
			for _, part := range tc.grammar {
				if !strings.Contains(got.grammar, part) {
					t.Errorf("got grammar %s, want %s in it", got.grammar, part)
				}
			}
			if len(tc.grammar) == 0 && got.grammar != "" || tc.not != "" && strings.Contains(got.grammar, tc.not) {
				t.Errorf("got grammar %s, want no %q", got.grammar, tc.not)
			}
		})
	}
	t.Run("without tools", func(t *testing.T) {
		t.Parallel()
		b := newFake(t, &fake{answer: says("x")})
		req := ask("hi")
		req.Options = o.WithExtra("tool_choice", "required").WithExtra("parallel_tool_calls", true).WithStrict(true)
		if r, err := reply(t, b, req); err != nil || r.Message.Text() != "x" {
			t.Errorf("got %q, %v, want a reply", r.Message.Text(), err)
		}
		batch, err := b.GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("a"), Options: req.Options})
		if err != nil || batch.Failed() != 0 {
			t.Errorf("a batch: got %+v, %v, want a reply", batch, err)
		}
	})
}

// A call that the model begins by itself is held to the tools from there to its end.
func TestToolsGuide(t *testing.T) {
	t.Parallel()
	const free = ""
	add, now := `{\"name\": \"add\", \"arguments\": `, `{\"name\": \"now\", \"arguments\": `
	both := func(before string) string {
		return `root ::= "` + before + add + `" r2 "}\n</tool_call>" | "` + before + now + `" r3 "}\n</tool_call>"`
	}
	tests := map[string]struct {
		answer  string
		options backend.Options
		want    []string
		calls   int
	}{
		"text":                  {answer: "hello"},
		"two calls":             {answer: "a" + addA + "b" + addA, want: []string{both(`\n`), free, both(`\n`), free}, calls: 2},
		"a tag that is a token": {answer: "\x01" + strings.TrimPrefix(addA, "<tool_call>"), want: []string{both(`\n`), free}, calls: 1},
		"demanded":              {answer: addA, options: backend.Options{}.WithExtra("tool_choice", "required"), calls: 1},
		"cut off":               {answer: strings.TrimSuffix(addA, "\n</tool_call>"), want: []string{both(`\n`)}, calls: 1},
		// The text of the tag is held back as it may be a stop sequence, so that the call has begun when it comes.
		"a stop sequence": {answer: addA, options: backend.Options{}.WithStop("<tool_call>\n["), want: []string{strings.ReplaceAll(both(``), "{", ""), free}, calls: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: says(tc.answer), window: 9000}
			r, err := reply(t, newFake(t, f), withTools(t, tc.options))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, f.holds); diff != "" {
				t.Errorf("held to (-want +got):\n%s", diff)
			}
			if n := len(slices.Collect(r.Message.ToolCalls())); n != tc.calls {
				t.Errorf("got %d calls, want %d", n, tc.calls)
			}
		})
	}
}

// A call for which there is no grammar is free.
func TestToolsWithoutGuide(t *testing.T) {
	t.Parallel()
	impossible := `{"type":"object","properties":{"a":{"type":"string","minLength":2,"maxLength":1}},"required":["a"]}`
	tests := map[string]struct {
		refuse     error
		parameters string
		holds      int
	}{"llama.cpp refuses it": {errors.New("no"), `{"type":"object"}`, 1}, "the schema has none": {nil, impossible, 0}}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: says(addA), refuse: tc.refuse, window: 9000}
			req := withTools(t, backend.Options{})
			req.Tools = content.ListOf(content.ToolSpec{Name: "add", Parameters: mustSchema(t, tc.parameters)})
			r, err := reply(t, newFake(t, f), req)
			if n := len(slices.Collect(r.Message.ToolCalls())); err != nil || n != 1 || len(f.holds) != tc.holds {
				t.Errorf("got %d calls, %v, held to %v, want one call", n, err, f.holds)
			}
		})
	}
}

// What is wrong with a call is for the program that runs it to tell the model: it comes out as the model wrote it.
func TestToolsMalformed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer  string
		options backend.Options
		want    content.ToolCall
		finish  string
	}{
		"no JSON":           {`<tool_call>now()</tool_call>`, backend.Options{}, content.ToolCall{ID: "call_1", Arguments: "now()"}, "tool_calls"},
		"bad arguments":     {`<tool_call>{"name": "add", "arguments": {"a": }}</tool_call>`, backend.Options{}, content.ToolCall{ID: "call_1", Name: "add", Arguments: `{"a": }}`}, "tool_calls"},
		"cut off":           {addA, backend.Options{}.WithMaxTokens(45), content.ToolCall{ID: "call_1", Name: "add", Arguments: `{"a"`}, "length"},
		"a tool nobody has": {`<tool_call>{"name": "fly", "arguments": {}}</tool_call>`, backend.Options{}, content.ToolCall{ID: "call_1", Name: "fly", Arguments: `{}`}, "tool_calls"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := reply(t, newFake(t, &fake{answer: says(tc.answer), window: 9000}), withTools(t, tc.options))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(content.NewMessage(content.RoleAssistant, tc.want), r.Message); diff != "" || r.Generation.FinishReasons.At(0) != tc.finish {
				t.Errorf("got finish reasons %v, want %s; reply (-want +got):\n%s", r.Generation.FinishReasons.Slice(), tc.finish, diff)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		for _, stream := range []bool{false, true} {
			answer := "<tool_call>[" + strings.Repeat(`{"name":""},`, backend.MaxToolCalls) + `{}]</tool_call>`
			b := newFake(t, &fake{answer: says(answer), window: 20_000})
			req := withTools(t, backend.Options{}.WithStream(stream))
			_, err := reply(t, b, req)
			if e := new(backend.Error); !errors.As(err, &e) || e.Code != backend.CodeInvalidResponse {
				t.Errorf("got %v, want code %q", err, backend.CodeInvalidResponse)
			}
		}
	})
}

func TestToolErrors(t *testing.T) {
	t.Parallel()
	o := backend.Options{}
	loose := `{"type":"object","properties":{"a":{"type":"string","pattern":"^a"}}}`
	tests := map[string]struct {
		options      backend.Options
		parameters   string
		code, remedy string
	}{
		"a choice that is none":        {o.WithExtra("tool_choice", "maybe"), "", backend.CodeConfiguration, "tool_choice"},
		"a number":                     {o.WithExtra("tool_choice", 3), "", backend.CodeConfiguration, "tool_choice"},
		"no function":                  {o.WithExtra("tool_choice", map[string]any{"type": "function"}), "", backend.CodeConfiguration, "tool_choice"},
		"what is no JSON":              {o.WithExtra("tool_choice", func() {}), "", backend.CodeConfiguration, "tool_choice"},
		"a tool that is not offered":   {o.WithExtra("tool_choice", called("fly")), "", backend.CodeConfiguration, `"fly"`},
		"parallel calls, a word":       {o.WithExtra("parallel_tool_calls", "yes"), "", backend.CodeConfiguration, "parallel_tool_calls"},
		"two grammars":                 {o.WithExtra("tool_choice", "required").WithExtra("grammar", `root ::= "a"`), "", backend.CodeConfiguration, "one of them"},
		"a schema that has no grammar": {o.WithExtra("tool_choice", "required"), `{"type":"object","properties":{"a":{"type":"string","minLength":2,"maxLength":1}},"required":["a"]}`, backend.CodeUnsupported, "nothing satisfies"},
		"a loose schema, strictly":     {o.WithExtra("tool_choice", "required").WithStrict(true), loose, backend.CodeUnsupported, "pattern"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{window: 9000, answer: says("x")}
			req := withTools(t, tc.options)
			if tc.parameters != "" {
				req.Tools = content.ListOf(content.ToolSpec{Name: "add", Parameters: mustSchema(t, tc.parameters)})
			}
			_, err := newFake(t, f).Generate(t.Context(), req)
			var e *backend.Error
			if !errors.As(err, &e) || e.Code != tc.code || !strings.Contains(e.Remedy, tc.remedy) || e.Op != "chat" {
				t.Errorf("got %v, want code %q and a remedy about %q", err, tc.code, tc.remedy)
			}
			if f.loads.Load() != 0 {
				t.Error("the model was loaded, want the request refused before that")
			}
		})
	}
}

// A generation that is cancelled in a call gives what had arrived.
func TestToolsCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := newFake(t, &fake{answer: says("a " + addA), window: 9000, sampled: func(n int) {
		if n == 20 {
			cancel()
		}
	}})
	out, err := b.Generate(ctx, withTools(t, backend.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := out.Reply(t.Context())
	if !errors.Is(err, context.Canceled) || r.Message.Text() != "a" || r.Generation.FinishReasons.Len() != 0 {
		t.Errorf("got %q, %v, want the text before the call and that it was cancelled", r.Message.Text(), err)
	}
}

// The tags are the convention's own in the prompt, whatever the model has for them, and text where others wrote them.
func TestToolFormat(t *testing.T) {
	t.Parallel()
	const json = `{"name": "now", "parameters": {}}`
	f := &fake{window: 9000, answer: says(json)}
	r, err := reply(t, newFake(t, f, WithToolFormat(ToolsLlama3)), withTools(t, backend.Options{}.WithExtra("tool_choice", "required")))
	want := content.NewMessage(content.RoleAssistant, content.ToolCall{ID: "call_1", Name: "now", Arguments: "{}"})
	if err != nil || !r.Message.Equal(want) || !strings.Contains(f.prompts[0], "Environment: ipython") {
		t.Errorf("got %v, %v, want a call; the prompt is %q", r.Message, err, f.prompts[0])
	}
	f = &fake{answer: says(json)}
	r, err = reply(t, newFake(t, f, WithToolFormat(ToolsHermes)), withTools(t, backend.Options{}))
	if err != nil || r.Message.Text() != json {
		t.Errorf("got %v, %v, want text", r.Message, err)
	}
}
