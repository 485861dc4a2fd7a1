package mellea_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// Each attempt of a strategy has a loop of its own, and requirements see the calls.
func TestToolsUnderSampling(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(
		melleatest.Say("It is 3."),
		melleatest.Use("add", `{"a":1,"b":2}`),
		melleatest.Say("It is three."),
		melleatest.Use("add", `{"a":1,"b":2}`),
		melleatest.Say("It is 3."),
	)
	s, rec := start(t, b, mellea.WithTools(add), mellea.WithHistory(history.Chat()))
	res, err := s.Instruct(t.Context(), "What is 1+2?", mellea.Check(requirement.UsesTool("add"), requirement.Contains("3")),
		mellea.Strategy(sampling.MultiTurn(3)))
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Attempts[0].Reasons(); !slices.Equal(got, []string{"does not use the tool add"}) {
		t.Errorf("first attempt: %v", got)
	}
	if got := res.Attempts[1].Steps.Len(); got != 2 || len(res.ToolRuns) != 1 {
		t.Errorf("second attempt has %d steps, the result %d runs, want 2 and 1", got, len(res.ToolRuns))
	}
	// The talk of a later attempt holds the calls of those before, with their results.
	want := []string{
		"user: What is 1+2?", "assistant: It is 3.", "user: …",
		`assistant: [call_1 add{"a":1,"b":2}]`, "tool: [call_1 add: 3]", "assistant: It is three.", "user: …",
		`assistant: [call_2 add{"a":1,"b":2}]`, "tool: [call_2 add: 3]",
	}
	got := transcript(b.Requests()[4].Messages)
	for i, line := range got {
		if i > 0 && strings.HasPrefix(line, "user:") {
			got[i] = "user: …"
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("last request (-got +want):\n%s", diff)
	}
	if got := rec.Tree(); strings.Count(got, "    tool\n") != 2 {
		t.Errorf("want tools below sampling:\n%s", got)
	}
	if got, want := transcript(s.History().View()), []string{"user: What is 1+2?",
		`assistant: [call_2 add{"a":1,"b":2}]`, "tool: [call_2 add: 3]", "assistant: It is 3."}; !slices.Equal(got, want) {
		t.Errorf("history %q, want %q", got, want)
	}
}

// A call with tools and a format gets the tools first and the format for its answer.
func TestToolsAndFormat(t *testing.T) {
	t.Parallel()
	format, err := schema.Parse("sum", []byte(`{"type":"object","properties":{"sum":{"type":"integer"}},"required":["sum"]}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		replies []melleatest.Reply
		want    []string // format and tools of each request
	}{
		"an answer in it":     {[]melleatest.Reply{melleatest.Use("add", `{"a":1,"b":2}`), melleatest.Say(`{"sum":3}`)}, []string{" 1", " 1"}},
		"an answer not in it": {[]melleatest.Reply{melleatest.Use("add", `{"a":1,"b":2}`), melleatest.Say("3"), melleatest.Say(`{"sum":3}`)}, []string{" 1", " 1", "sum 0"}},
		"no tool":             {[]melleatest.Reply{melleatest.Say("3"), melleatest.Say(`{"sum":3}`)}, []string{" 1", "sum 0"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(tc.replies...)
			s, _ := start(t, b, mellea.WithTools(add))
			res, err := s.Instruct(t.Context(), "1+2?", mellea.Format(format))
			if err != nil || res.Text() != `{"sum":3}` {
				t.Fatalf("got %q, %v", res.Text(), err)
			}
			var got []string
			for _, r := range b.Requests() {
				got = append(got, fmt.Sprint(r.Format.Name(), " ", r.Tools.Len()))
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("format and tools (-got +want):\n%s", diff)
			}
		})
	}
}

// Readers of a stream see all the generations that a reply takes.
func TestToolsStreamed(t *testing.T) {
	t.Parallel()
	replies := []melleatest.Reply{
		{Pieces: []string{"Let ", "me see. "}, Calls: []content.ToolCall{{Name: "add", Arguments: `{"a":1,"b":2}`}, {Name: "add", Arguments: `{"a":2,"b":2}`}}},
		{Calls: []content.ToolCall{{Name: "add", Arguments: `{"a":3,"b":2}`}}, Usage: content.Usage{OutputTokens: 1}},
		{Pieces: []string{"It ", "is 5."}, ResponseID: "last", Usage: content.Usage{OutputTokens: 2}},
	}
	want := []string{"Let ", "me see. ", "0 add", "1 add", "2 add", "It ", "is 5."}
	t.Run("StartInstruct", func(t *testing.T) {
		t.Parallel()
		s, rec := start(t, melleatest.NewBackend(replies...), mellea.WithTools(add), mellea.WithHistory(history.Chat()))
		out, err := s.StartInstruct(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for c, err := range out.Chunks(t.Context()) {
			switch {
			case err != nil:
				t.Fatal(err)
			case c.Kind == backend.ChunkToolCall:
				got = append(got, fmt.Sprint(c.Tool.Index, " ", c.Tool.Name))
			default:
				got = append(got, c.Text)
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("chunks (-got +want):\n%s", diff)
		}
		r, err := out.Reply(t.Context())
		if err != nil || r.Message.Text() != "It is 5." || r.Generation.ResponseID != "last" {
			t.Errorf("got %q of %q, %v, want the last reply", r.Message.Text(), r.Generation.ResponseID, err)
		}
		if got := s.History().Len(); got != 7 {
			t.Errorf("history has %d messages, want 7: %q", got, transcript(s.History().View()))
		}
		if got := rec.Tree(); strings.Count(got, "  generation\n") != 3 || strings.Count(got, "  tool\n") != 3 {
			t.Errorf("tree:\n%s", got)
		}
	})
	t.Run("Stream", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, melleatest.NewBackend(replies...), mellea.WithTools(add))
		var got strings.Builder
		res, err := s.Instruct(t.Context(), "go", mellea.Stream(func(_ int, c backend.Chunk) { got.WriteString(c.Text) }))
		if err != nil || got.String() != "Let me see. It is 5." || res.Text() != "It is 5." {
			t.Errorf("got %q, result %q, %v", got.String(), res.Text(), err)
		}
	})
	t.Run("failing", func(t *testing.T) {
		t.Parallel()
		cause := errors.New("down")
		s, _ := start(t, melleatest.NewBackend(replies[0], melleatest.Fail(cause)), mellea.WithTools(add), mellea.WithHistory(history.Chat()))
		out, err := s.StartInstruct(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Wait(t.Context()); !errors.Is(err, cause) || s.History().Len() != 0 {
			t.Errorf("got %v with %d messages of history", err, s.History().Len())
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, melleatest.NewBackend(melleatest.Reply{Refuse: errors.New("no")}), mellea.WithTools(add))
		out, err := s.StartInstruct(t.Context(), "go")
		if err == nil {
			_, err = out.Text(t.Context())
		}
		if err == nil || err.Error() != "no" {
			t.Errorf("got %v, want the refusal", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		waiting := make(chan struct{})
		hang := tool.New("add", "", func(ctx context.Context, _ sum) (int, error) {
			close(waiting)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		s, rec := start(t, melleatest.NewBackend(melleatest.Use("add", `{"a":1,"b":2}`)), mellea.WithTools(hang))
		out, err := s.StartInstruct(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		<-waiting
		out.Cancel(errors.New("enough"))
		if err := out.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a cancelled output", err)
		}
		if got := rec.Tree(); !strings.Contains(got, "component (cancelled)\n  generation\n  tool (cancelled)\n") {
			t.Errorf("tree:\n%s", got)
		}
	})
}

// The program may run the calls itself.
// Tools that the provider ran itself are not run again, though the program has one of that name, and they are in the
// history and readers of a stream see them.
func TestToolsOfTheProvider(t *testing.T) {
	t.Parallel()
	served := func(name string) []backend.ServerToolDelta {
		return []backend.ServerToolDelta{{ID: "s1", Name: name, Type: name, Arguments: `{"a":1,"b":2}`}, {ResultType: "sum", Result: "3"}}
	}
	replies := []melleatest.Reply{
		{Served: served("add"), Pieces: []string{"One. "}, Calls: []content.ToolCall{{ID: "c1", Name: "add", Arguments: `{"a":3,"b":2}`}}},
		{Served: served("web_search"), Pieces: []string{"It is 5."}},
	}
	b := melleatest.NewBackend(replies...)
	s, rec := start(t, b, mellea.WithTools(add), mellea.WithHistory(history.Chat()))
	out, err := s.StartInstruct(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for c, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == backend.ChunkServerTool {
			got = append(got, fmt.Sprint(c.ServerTool.Index, " ", c.ServerTool.Name, c.ServerTool.Result))
		}
	}
	if diff := cmp.Diff(got, []string{"0 add", "0 3", "1 web_search", "1 3"}); diff != "" {
		t.Errorf("chunks of the provider's tools (-got +want):\n%s", diff)
	}
	r, err := out.Reply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := content.NewMessage(content.RoleAssistant,
		content.ServerToolCall{ID: "s1", Name: "web_search", Type: "web_search", Arguments: `{"a":1,"b":2}`},
		content.ServerToolResult{CallID: "s1", Type: "sum", Content: "3"}, content.Text("It is 5."))
	if diff := cmp.Diff(r.Message, want); diff != "" {
		t.Errorf("reply (-got +want):\n%s", diff)
	}
	if got := strings.Count(rec.Tree(), "  tool\n"); got != 1 {
		t.Errorf("%d tools were run, want the one that the model asked for:\n%s", got, rec.Tree())
	}
	if last := s.History().View(); !last.At(last.Len() - 1).Equal(want) {
		t.Errorf("the history ends with %v, want the reply as it is", last.At(last.Len()-1))
	}
}

func TestCallTools(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(
		melleatest.Reply{Calls: []content.ToolCall{{ID: "x", Name: "add", Arguments: `{"a":1,"b":2}`}, {Name: "none"}}},
		melleatest.Say("It is 3."),
	)
	s, rec := start(t, b, mellea.WithTools(add), mellea.WithHistory(history.Chat()),
		mellea.WithMaxToolTurns(0), mellea.WithToolParallel(1))
	asked, err := s.Chat(t.Context(), "1+2?")
	if err != nil {
		t.Fatal(err)
	}
	runs, err := s.CallTools(t.Context(), asked.ToolCalls())
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 2 || runs[0].Output.Value != 3 || runs[0].Call.Origin == nil || !errors.As(runs[1].Err, new(*tool.UnknownError)) {
		t.Errorf("got %+v", runs)
	}
	res, err := s.SendTools(t.Context(), runs)
	if err != nil || res.Text() != "It is 3." {
		t.Errorf("got %q, %v", res.Text(), err)
	}
	want := []string{"user: 1+2?", `assistant: [x add{"a":1,"b":2}] [call_2 none]`, "tool: [x add: 3]",
		`tool: [call_2 none: Error: there is no tool "none". The tools are: add.]!`, "assistant: It is 3."}
	if diff := cmp.Diff(transcript(s.History().View()), want); diff != "" {
		t.Errorf("history (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(rec.Tree(), "session_start\nsession\ncomponent\n  generation\ntool\ntool (error)\ncomponent\n  generation\n"); diff != "" {
		t.Errorf("tree (-got +want):\n%s", diff)
	}

	// Of a running output, with tools of the call alone.
	out, err := s.StartInstruct(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs, err := mellea.CallTools(t.Context(), s, out.ToolCalls()); len(runs) != 0 || err != nil {
		t.Errorf("got %v, %v of a reply without calls", runs, err)
	}
	if _, err := s.SendTools(t.Context(), nil); !errors.As(err, new(*mellea.UsageError)) {
		t.Errorf("got %v of no runs", err)
	}
	on := mellea.On(b)
	one := slices.Values([]tool.Call{{ToolCall: content.ToolCall{Name: "add", Arguments: `{"a":2,"b":2}`}}})
	if runs, err := mellea.CallTools(t.Context(), on, one, mellea.Tools(add)); err != nil || runs[0].Output.Text != "4" {
		t.Errorf("got %v, %v without a session", runs, err)
	}
	if _, err := mellea.CallTools(t.Context(), on, one, mellea.Tools(add, add)); !errors.As(err, new(*tool.NameError)) {
		t.Errorf("got %v of tools with one name", err)
	}
	if err := on.Close(); err != nil {
		t.Error(err)
	}
	if _, err := mellea.CallTools(t.Context(), on, one); !errors.Is(err, mellea.ErrClosed) {
		t.Errorf("got %v after Close", err)
	}
}

// What a review takes out of a reply is not left to run.
func TestToolCallsAfterReview(t *testing.T) {
	t.Parallel()
	plain := hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, e hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
		e.Reply = content.NewMessage(content.RoleAssistant, content.Text("ok"), content.ToolCall{Name: "add", Arguments: `{"a":1,"b":1}`})
		return e, nil
	})
	b := melleatest.NewBackend(melleatest.Use("other", "{}"))
	s, _ := start(t, b, mellea.WithTools(add), mellea.WithHooks(plain))
	res, err := s.Chat(t.Context(), "go", mellea.MaxToolTurns(0))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for c := range res.ToolCalls() {
		got = append(got, c.ID+" "+c.Name)
	}
	if diff := cmp.Diff(got, []string{"call_1 add"}); diff != "" {
		t.Errorf("calls (-got +want):\n%s", diff)
	}
}

// A tool may use the session that called it.
func TestToolThatAsks(t *testing.T) {
	t.Parallel()
	var s *mellea.Session
	ask := tool.New("ask", "", func(ctx context.Context, _ struct{}) (string, error) {
		res, err := s.Instruct(ctx, "inner", mellea.NoTools())
		return res.Text(), err
	})
	b := melleatest.NewBackend(melleatest.Use("ask", ""), melleatest.Say("from within"), melleatest.Say("done"))
	s, rec := start(t, b, mellea.WithTools(ask))
	res, err := s.Instruct(t.Context(), "outer")
	if err != nil || res.Text() != "done" || res.ToolRuns[0].Output.Text != "from within" {
		t.Errorf("got %q, %+v, %v", res.Text(), res.ToolRuns, err)
	}
	if got := rec.Tree(); !strings.Contains(got, "  tool\n    component\n      generation\n") {
		t.Errorf("tree:\n%s", got)
	}
}

// A demand for a call is for the first reply, or no model could ever answer.
func TestToolChoice(t *testing.T) {
	t.Parallel()
	format, err := schema.Parse("sum", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]any{"type": "function", "function": map[string]any{"name": "add"}}
	tests := map[string]struct {
		opts []mellea.CallOption
		want []any // the choice of each request
	}{
		"auto":              {[]mellea.CallOption{mellea.ToolChoice("auto")}, []any{"auto", "auto"}},
		"required":          {[]mellea.CallOption{mellea.ToolChoice("required")}, []any{"required", "auto"}},
		"a name":            {[]mellea.CallOption{mellea.ToolChoice("add")}, []any{named, "auto"}},
		"none":              {[]mellea.CallOption{mellea.ToolChoice("none")}, []any{"none", "none"}},
		"with a format":     {[]mellea.CallOption{mellea.ToolChoice("required"), mellea.Format(format)}, []any{"required", "auto", "none"}},
		"not said":          {nil, []any{nil, nil}},
		"not said, format":  {[]mellea.CallOption{mellea.Format(format)}, []any{nil, nil, nil}},
		"of the call alone": {[]mellea.CallOption{mellea.Options(backend.Options{}.WithExtra("tool_choice", "required"))}, []any{"required", "auto"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Use("add", `{"a":1,"b":2}`), melleatest.Say("3"), melleatest.Say("{}"))
			s, _ := start(t, b, mellea.WithTools(add))
			if _, err := s.Instruct(t.Context(), "1+2?", tc.opts...); err != nil {
				t.Fatal(err)
			}
			var got []any
			for _, r := range b.Requests() {
				choice, _ := r.Options.Extra("tool_choice")
				got = append(got, choice)
				if choice != nil && r.Tools.Len() == 0 {
					t.Error("a choice is sent without tools, which servers refuse")
				}
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("choices (-got +want):\n%s", diff)
			}
		})
	}
}
