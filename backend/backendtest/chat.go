package backendtest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

func runChat(t *testing.T, s Suite) {
	t.Run("the reply is the server's and the server saw the conversation", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			srv, b := s.serve(t, always(script{reply: s.reply()}))
			req := ask(stream)
			req.Messages = content.NewMessages(content.System("be brief"), content.User("one"), content.Assistant("two"), content.User("three"))
			r, err := generate(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := r.Message, content.Assistant(s.reply().FullText()); !got.Equal(want) {
				t.Errorf("got reply %q, want %q", got.Text(), want.Text())
			}
			seen := srv.recorded()
			if len(seen) != 1 {
				t.Fatalf("got %d requests, want 1", len(seen))
			}
			if diff := cmp.Diff(seen[0].Messages.Slice(), req.Messages.Slice()); diff != "" {
				t.Errorf("messages (-got +want):\n%s", diff)
			}
			if seen[0].Stream != stream {
				t.Errorf("got a request with stream=%t, want %t", seen[0].Stream, stream)
			}
		})
	})
	t.Run("reasoning is apart from the text", func(t *testing.T) {
		t.Parallel()
		if !s.Reasoning {
			t.Skip("the dialect has no reasoning")
		}
		both(t, func(t *testing.T, stream bool) {
			reply := s.reply()
			reply.Reasoning = []string{"first ", "this, ", "then that"}
			_, b := s.serve(t, always(script{reply: reply}))
			r, err := generate(t, b, ask(stream))
			if err != nil {
				t.Fatal(err)
			}
			want := content.NewMessage(content.RoleAssistant, content.Reasoning{Text: reply.FullReasoning()}, content.Text(reply.FullText()))
			if diff := cmp.Diff(r.Message, want); diff != "" {
				t.Errorf("reply (-got +want):\n%s", diff)
			}
		})
	})
	t.Run("tool calls are put together", func(t *testing.T) {
		t.Parallel()
		if !s.Tools {
			t.Skip("the dialect has no tools")
		}
		both(t, func(t *testing.T, stream bool) {
			reply := s.reply()
			reply.Text = nil
			reply.ToolCalls = []content.ToolCall{{ID: "a", Name: "add", Arguments: `{"a":1,"b":"é"}`}, {ID: "b", Name: "now", Arguments: `{}`}}
			_, b := s.serve(t, always(script{reply: reply}))
			req := ask(stream)
			req.Tools = content.ListOf(content.ToolSpec{Name: "add", Parameters: mustSchema("add", `{"type":"object"}`)},
				content.ToolSpec{Name: "now", Parameters: mustSchema("now", `{"type":"object"}`)})
			r, err := generate(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Collect(r.Message.ToolCalls())
			if s.NoResponseID { // such servers have no ids for calls either
				for i := range got {
					got[i].ID = reply.ToolCalls[i].ID
				}
			}
			if diff := cmp.Diff(got, reply.ToolCalls); diff != "" {
				t.Errorf("tool calls (-got +want):\n%s", diff)
			}
		})
	})
	t.Run("a finish reason of length is no error", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			reply := s.reply()
			reply.Finish = "length"
			_, b := s.serve(t, always(script{reply: reply}))
			r, err := generate(t, b, ask(stream))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r.Generation.FinishReasons.Slice(), []string{"length"}); diff != "" {
				t.Errorf("finish reasons (-got +want):\n%s", diff)
			}
		})
	})
	t.Run("a format goes to the server", func(t *testing.T) {
		t.Parallel()
		if s.SchemaPath == "" {
			t.Skip("the backend has no structured output")
		}
		both(t, func(t *testing.T, stream bool) {
			reply := s.reply()
			reply.Text = []string{`{"name":`, `"Ann"}`}
			srv, b := s.serve(t, always(script{reply: reply}))
			req := ask(stream)
			req.Format = mustSchema("person", `{"type":"object","properties":{"name":{"type":"string"}}}`)
			if _, err := generate(t, b, req); err != nil {
				t.Fatal(err)
			}
			wantMember(t, srv.recorded()[0].body, s.SchemaPath,
				map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}})
		})
	})
}

func mustSchema(name, text string) schema.Schema {
	sc, err := schema.Parse(name, []byte(text))
	if err != nil {
		panic(err)
	}
	return sc
}
