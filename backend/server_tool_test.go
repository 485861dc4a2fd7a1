package backend_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// served makes an output of deltas, with text between them.
func served(deltas ...backend.ServerToolDelta) func(context.Context, *backend.Writer) error {
	return func(_ context.Context, w *backend.Writer) error {
		for _, d := range deltas {
			if err := w.ServerTool(time.Time{}, d); err != nil {
				return err
			}
			w.Text(time.Time{}, []byte("."))
		}
		return nil
	}
}

func TestServerTools(t *testing.T) {
	t.Parallel()
	search := content.ServerToolCall{ID: "s1", Name: "web_search", Type: "web_search", Arguments: `{"query":"x"}`}
	found := content.ServerToolResult{CallID: "s1", Type: "web_search_tool_result", Content: `["y"]`}
	for _, tt := range []struct {
		name   string
		deltas []backend.ServerToolDelta
		want   []content.Part // before the text
	}{
		{"a call in pieces and its result", []backend.ServerToolDelta{
			{ID: "s1", Name: "web_search", Type: "web_search"}, {Arguments: `{"query"`}, {Arguments: `:"x"}`},
			{ResultType: "web_search_tool_result", Result: `["y"]`}}, []content.Part{search, found}},
		{"two at once", []backend.ServerToolDelta{
			{Name: "a", Type: "t"}, {Index: 1, Name: "b"}, {Index: 1, ResultType: "r", Result: "2"}, {ResultType: "r", Result: "1"}},
			[]content.Part{content.ServerToolCall{Name: "a", Type: "t"}, content.ServerToolResult{Type: "r", Content: "1"},
				content.ServerToolCall{Name: "b"}, content.ServerToolResult{Type: "r", Content: "2"}}},
		{"of two results the last one", []backend.ServerToolDelta{{Name: "a"}, {ResultType: "r", Result: "1"}, {ResultType: "r", Result: "2"}},
			[]content.Part{content.ServerToolCall{Name: "a"}, content.ServerToolResult{Type: "r", Content: "2"}}},
		{"a result without a call", []backend.ServerToolDelta{{ID: "m", ResultType: "r", Result: "1"}}, []content.Part{content.ServerToolResult{CallID: "m", Type: "r", Content: "1"}}},
		{"a result that is too long", []backend.ServerToolDelta{{Name: "a"}, {ResultType: "r", Result: strings.Repeat("1", content.MaxServerToolResult+1)}},
			[]content.Part{content.ServerToolCall{Name: "a"}, content.ServerToolResult{Type: "r"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := content.NewMessage(content.RoleAssistant, append(tt.want, content.Text(strings.Repeat(".", len(tt.deltas))))...)
			inner := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, served(tt.deltas...))
			outer := backend.Start(t.Context(), backend.Request{}, backend.Generation{},
				func(ctx context.Context, w *backend.Writer) error { return w.Forward(ctx, inner) })
			for name, out := range map[string]*backend.Output{"the output": inner, "one that follows it": outer} {
				r, err := out.Reply(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(r.Message, want); diff != "" {
					t.Errorf("reply of %s (-got +want):\n%s", name, diff)
				}
				if got := slices.Collect(out.ToolCalls()); got != nil {
					t.Errorf("%s asks for tool calls %v, want none", name, got)
				}
			}
		})
	}
	for _, i := range []int{-1, backend.MaxToolCalls} {
		out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, served(backend.ServerToolDelta{Index: i, Name: "a"}))
		if failed, ok := errors.AsType[*backend.Error](out.Wait(t.Context())); !ok || failed.Code != backend.CodeInvalidResponse {
			t.Errorf("number %d: got %v, want code %q", i, failed, backend.CodeInvalidResponse)
		}
	}
}

// Readers of a reply that a hook has rewritten see the tools that are in it, and no others.
func TestServerToolsOfAHeldReply(t *testing.T) {
	t.Parallel()
	rec := &recorder{review: func(r backend.Reply, err error) (backend.Reply, error) {
		r.Message = content.NewMessage(content.RoleAssistant,
			content.ServerToolCall{Name: "a", Type: "t", Arguments: "{}"}, content.ServerToolResult{Type: "r", Content: "1"},
			content.ServerToolCall{Name: "b"}, content.ServerToolResult{CallID: "m", Type: "r"}, content.Text("new"))
		return r, err
	}}
	out := backend.Start(t.Context(), backend.Request{}.WithLifecycle(rec, true), backend.Generation{}, served(backend.ServerToolDelta{Name: "secret"}))
	var got []backend.Chunk
	for c, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		c.At = time.Time{}
		got = append(got, c)
	}
	one := func(i int, d backend.ServerToolDelta) backend.Chunk {
		return backend.Chunk{Kind: backend.ChunkServerTool, Index: i, ServerTool: d}
	}
	want := []backend.Chunk{
		one(0, backend.ServerToolDelta{Name: "a", Type: "t", Arguments: "{}"}), one(1, backend.ServerToolDelta{ResultType: "r", Result: "1"}),
		one(2, backend.ServerToolDelta{Index: 1, Name: "b"}), one(3, backend.ServerToolDelta{Index: 2, ID: "m", ResultType: "r"}),
		{Kind: backend.ChunkText, Index: 4, Text: "new"},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("chunks (-got +want):\n%s", diff)
	}
	if got, want := backend.ChunkServerTool.String(), "server_tool"; got != want {
		t.Errorf("the kind is %q, want %q", got, want)
	}
}
