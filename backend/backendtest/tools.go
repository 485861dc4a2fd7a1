package backendtest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

func runTools(t *testing.T, s Suite) Outcome {
	tools := content.ListOf(
		content.ToolSpec{Name: "add", Description: "adds", Parameters: mustSchema("add", `{"type":"object","properties":{"a":{"type":"integer"}}}`)},
		content.ToolSpec{Name: "now", Description: "tells the time", Parameters: mustSchema("now", `{"type":"object"}`)})
	can := s.capabilities(t).Tools
	if can != s.Tools {
		t.Errorf("the backend says that it can call tools: %t, want %t as in the dialect", can, s.Tools)
	}
	if !can {
		return s.wantRefused(t, func(b backend.Backend) error {
			req := ask(false)
			req.Tools = tools
			_, err := b.Generate(patient(t), req)
			return err
		})
	}
	both(t, func(t *testing.T, stream bool) {
		asking, answer := s.reply(), s.reply()
		asking.Text = nil
		asking.ToolCalls = []content.ToolCall{{ID: "call-a", Name: "add", Arguments: `{"a":1,"b":"é"}`}, {ID: "call-b", Name: "now", Arguments: `{}`}}
		srv, b := s.serve(t, sequence(script{reply: asking}, script{reply: answer}))
		req := ask(stream)
		req.Tools = tools
		r, err := generate(t, b, req)
		if err != nil {
			t.Fatal(err)
		}
		asked := slices.Clone(asking.ToolCalls)
		if s.NoCallIDs {
			s.takeIDs(t, asked, r.Message)
		}
		if diff := cmp.Diff(slices.Collect(r.Message.ToolCalls()), asked); diff != "" {
			t.Errorf("tool calls (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(r.Generation.FinishReasons.Slice(), []string{"tool_calls"}); diff != "" {
			t.Errorf("finish reasons (-got +want):\n%s", diff)
		}
		wantTools(t, srv.recorded()[0].Tools, tools)

		// The results go back under the ids of the calls, in one message and in one of their own.
		results := []content.ToolResult{{CallID: asked[0].ID, Name: "add", Content: `{"sum":2}`}, {CallID: asked[1].ID, Name: "now", Content: "noon"}}
		again := req
		again.Messages = req.Messages.Append(r.Message, content.NewMessage(content.RoleTool, results[0], results[1]), r.Message,
			content.NewMessage(content.RoleTool, results[0]), content.NewMessage(content.RoleTool, results[1]))
		r, err = generate(t, b, again)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.Message.Text(), answer.FullText(); got != want {
			t.Errorf("got reply %q, want %q", got, want)
		}
		var calls []content.ToolCall
		var answers []content.ToolResult
		for _, m := range srv.recorded()[1].Messages.All() {
			calls = slices.AppendSeq(calls, m.ToolCalls())
			for p := range m.Parts() {
				if result, ok := p.(content.ToolResult); ok {
					answers = append(answers, result)
				}
			}
		}
		if s.NoCallIDs {
			asked, results = withoutIDs(asked, results)
		}
		if diff := cmp.Diff(calls, slices.Concat(asked, asked)); diff != "" {
			t.Errorf("tool calls sent back (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(answers, slices.Concat(results, results)); diff != "" {
			t.Errorf("tool results sent back (-got +want):\n%s", diff)
		}
	})
	return Pass
}

// takeIDs gives calls the ids that a backend made up for those of a reply, which must differ from each other.
func (s Suite) takeIDs(t *testing.T, calls []content.ToolCall, m content.Message) {
	t.Helper()
	taken := map[string]bool{"": true}
	i := 0
	for c := range m.ToolCalls() {
		if taken[c.ID] {
			t.Errorf("got the id %q of call %d, want one of its own", c.ID, i)
		}
		taken[c.ID] = true
		if i < len(calls) {
			calls[i].ID = c.ID
		}
		i++
	}
}

func withoutIDs(calls []content.ToolCall, results []content.ToolResult) ([]content.ToolCall, []content.ToolResult) {
	calls, results = slices.Clone(calls), slices.Clone(results)
	for i := range calls {
		calls[i].ID = ""
	}
	for i := range results {
		results[i].CallID = ""
	}
	return calls, results
}

// wantTools compares the tools that a server was offered with those of the request.
func wantTools(t *testing.T, got, want content.List[content.ToolSpec]) {
	t.Helper()
	type tool struct{ Name, Description, Parameters string }
	list := func(l content.List[content.ToolSpec]) (all []tool) {
		for s := range l.Values() {
			all = append(all, tool{s.Name, s.Description, compact(s.Parameters.JSON())})
		}
		return all
	}
	if diff := cmp.Diff(list(got), list(want)); diff != "" {
		t.Errorf("tools offered (-got +want):\n%s", diff)
	}
}
