package backendtest

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
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
			if seen[0].Stream != stream && !s.InProcess {
				t.Errorf("got a request with stream=%t, want %t", seen[0].Stream, stream)
			}
		})
	})
	t.Run("what tools of another provider did is not sent back", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			srv, b := s.serve(t, always(script{reply: s.reply()}))
			req := ask(stream)
			req.Messages = content.NewMessages(content.User("one"), content.NewMessage(content.RoleAssistant,
				content.ServerToolCall{ID: "srvtoolu_1", Name: "web_search", Type: "web_search", Arguments: `{"query":"SERVED"}`},
				content.ServerToolResult{CallID: "srvtoolu_1", Type: "web_search_tool_result", Content: `[{"title":"SERVED"}]`},
				content.Text("two")), content.User("three"))
			if _, err := generate(t, b, req); err != nil {
				t.Fatal(err)
			}
			want := []content.Message{content.User("one"), content.Assistant("two"), content.User("three")}
			got := srv.recorded()[0]
			if diff := cmp.Diff(got.Messages.Slice(), want); diff != "" {
				t.Errorf("messages (-got +want):\n%s", diff)
			}
			if bytes.Contains(got.body, []byte("SERVED")) || bytes.Contains(got.body, []byte("srvtoolu_1")) {
				t.Errorf("the request tells of the tools:\n%s", got.body)
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
}

func runReasoning(t *testing.T, s Suite) Outcome {
	if !s.Reasoning {
		return s.cannot(t, "reasoning")
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
	return Pass
}

func runSchema(t *testing.T, s Suite) Outcome {
	person := mustSchema("person", `{"type":"object","properties":{"name":{"type":"string"}}}`)
	if can := s.capabilities(t).Structured; can != backend.StructuredSchema {
		if s.SchemaPath != "" {
			t.Errorf("the backend says its structured output is of kind %d, want %d", can, backend.StructuredSchema)
		}
		return s.wantRefused(t, func(b backend.Backend) error {
			req := ask(false)
			req.Format = person
			_, err := b.Generate(patient(t), req)
			return err
		})
	}
	both(t, func(t *testing.T, stream bool) {
		reply := s.reply()
		reply.Text = []string{`{"name":`, `"Ann"}`}
		srv, b := s.serve(t, always(script{reply: reply}))
		req := ask(stream)
		req.Format = person
		r, err := generate(t, b, req)
		if err != nil {
			t.Fatal(err)
		}
		s.wantSchema(t, srv.recorded()[0].body, s.SchemaPath,
			map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}})
		if got, want := r.Message.Text(), reply.FullText(); got != want {
			t.Errorf("got reply %q, want %q", got, want)
		}
	})
	return Pass
}

// wantSchema checks that a request has a schema, or the grammar that holds a model in process to one.
func (s Suite) wantSchema(t *testing.T, body []byte, path string, want map[string]any) {
	t.Helper()
	if !s.InProcess {
		wantMember(t, body, path, want)
		return
	}
	if got, _ := member(t, body, path); got == nil || got == "" {
		t.Errorf("the request has no grammar at %s, want one:\n%s", path, body)
	}
}

func mustSchema(name, text string) schema.Schema {
	sc, err := schema.Parse(name, []byte(text))
	if err != nil {
		panic(err)
	}
	return sc
}
