package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

// calling answers the first request with calls of tools and every other with "done".
func calling(calls ...content.ToolCall) *scripted {
	return &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
		if n > 1 {
			w.Text(time.Now(), []byte("done"))
			return nil
		}
		for i, c := range calls {
			if err := w.ToolCall(time.Now(), backend.ToolDelta{Index: i, ID: c.ID, Name: c.Name, Arguments: c.Arguments}); err != nil {
				return err
			}
		}
		return nil
	}}
}

type place struct {
	City string `json:"city"`
	Days int    `json:"days,omitempty"`
}

var weather = tool.New("weather", "The weather.", func(ctx context.Context, in place) (map[string]any, error) {
	switch in.City {
	case "planted-error":
		return nil, errors.New("planted-cause")
	case "planted-panic":
		panic("planted-value")
	}
	return map[string]any{"sky": "planted-sky", "days": in.Days}, nil
})

// The spans of a call with tools: below the action, beside the chats, each with a link to the chat that asked.
func TestToolSpans(t *testing.T) {
	t.Parallel()
	calls := []content.ToolCall{
		{ID: "c1", Name: "weather", Arguments: `{"days":"2", "city":"planted-city"}`},
		{ID: "c2", Name: "planted-tool", Arguments: `{"city":"planted-city"}`},
		{ID: "c3", Name: "weather", Arguments: `{"city":"planted-error"}`},
		{ID: "c4", Name: "weather", Arguments: `planted-text`},
		{ID: "c5", Name: "weather", Arguments: `{"city":"planted-panic"}`},
		{ID: "c6", Name: "weather", Arguments: `{"city":"planted-denied"}`},
	}
	deny := hook.Plugin{Name: "allow", Sources: []hook.Source{hookpoint.Tool.Guard(func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
		if strings.Contains(p.Call.Arguments, "denied") {
			return p, hook.Reject("not_allowed", "planted-reason")
		}
		return p, nil
	})}}
	type attrs = map[string]any
	base := func(id, name, status string, more attrs) attrs {
		a := attrs{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": id, "gen_ai.tool.name": name,
			"mellea.tool.status": status, "mellea.tool.is_control_flow": false, "gen_ai.conversation.id": "conv"}
		if name == "weather" {
			a["gen_ai.tool.type"], a["gen_ai.tool.description"] = "function", "The weather."
		}
		maps.Copy(a, more)
		return a
	}
	failed := func(typ string) attrs {
		return attrs{"mellea.outcome": "error", "error.type": typ, "mellea.error.category": "tool_error"}
	}
	off := map[string]attrs{
		"c1": base("c1", "weather", "success", nil),
		"c2": base("c2", "_OTHER", "failure", failed("*tool.UnknownError")),
		"c3": base("c3", "weather", "failure", failed("*tool.Error")),
		"c4": base("c4", "weather", "failure", failed("*tool.ArgumentError")),
		"c5": base("c5", "weather", "failure", failed("panic")),
		"c6": base("c6", "weather", "failure", attrs{"mellea.outcome": "rejected", "mellea.error.category": "rejected",
			"mellea.rejection.point": "tool", "mellea.rejection.plugin": "allow", "mellea.rejection.code": "not_allowed"}),
	}
	on := map[string]attrs{
		"c1": {"gen_ai.tool.call.arguments": map[string]any{"city": "planted-city", "days": int64(2)},
			"gen_ai.tool.call.result": map[string]any{"sky": "planted-sky", "days": int64(2)}},
		"c2": {"gen_ai.tool.call.arguments": map[string]any{"city": "planted-city"}},
		"c3": {"gen_ai.tool.call.arguments": map[string]any{"city": "planted-error"}},
		"c4": {"gen_ai.tool.call.arguments": map[string]any{"text": "planted-text"}},
		"c5": {"gen_ai.tool.call.arguments": map[string]any{"city": "planted-panic"}},
	}
	ran := []string{"c1", "c3", "c5"}
	hashes := map[string]map[string]string{}
	for mode, capture := range map[string]bool{"content off": false, "content on": true} {
		t.Run(mode, func(t *testing.T) {
			server := otlptest.Start(t)
			tel := setup(t, server, telemetry.WithContent(capture), telemetry.WithHashKey([]byte("key")))
			s := start(t, t.Context(), calling(calls...), mellea.WithHooks(tel, deny), mellea.WithTools(weather),
				mellea.WithConversationID("conv"), mellea.WithToolParallel(1))
			must[*mellea.Result[content.Message]](t)(s.Chat(t.Context(), "planted-prompt"))
			_ = s.Close()
			flush(t, tel)
			spans := server.Spans(t, 11)
			want := tree(`
			session
			  action
			    chat m1
			    execute_tool weather
			    execute_tool _OTHER
			    execute_tool weather
			    execute_tool weather
			    execute_tool weather
			    execute_tool weather
			    chat m1
			`)
			if diff := cmp.Diff(otlptest.Tree(drop(spans, "start_session")), want); diff != "" {
				t.Errorf("tree (-got +want):\n%s", diff)
			}
			if !capture && strings.Contains(string(server.Raw()), "planted-") {
				t.Error("content was exported while capture was off")
			}
			chat := named(t, spans, "chat m1")
			hashes[mode] = map[string]string{}
			for _, span := range spans {
				if !strings.HasPrefix(span.Name, "execute_tool ") {
					continue
				}
				id := fmt.Sprint(span.Attributes["gen_ai.tool.call.id"])
				hash, _ := span.Attributes["mellea.tool.arguments_hash"].(string)
				if hashes[mode][id] = hash; len(hash) != 16 {
					t.Errorf("%s: hash %q, want 16 digits", id, hash)
				}
				took, timed := span.Attributes["mellea.tool.execution_time_ms"].(int64)
				if timed != slices.Contains(ran, id) || took < 0 {
					t.Errorf("%s: timed %v (%d ms)", id, timed, took)
				}
				delete(span.Attributes, "mellea.tool.arguments_hash")
				delete(span.Attributes, "mellea.tool.execution_time_ms")
				expected := maps.Clone(off[id])
				if capture {
					maps.Copy(expected, on[id])
				}
				if diff := cmp.Diff(span.Attributes, expected); diff != "" {
					t.Errorf("%s (-got +want):\n%s", id, diff)
				}
				if span.Kind != "internal" || span.Scope != "mellea.application" {
					t.Errorf("%s: kind %s, scope %s", id, span.Kind, span.Scope)
				}
				if len(span.Links) != 1 || span.Links[0].SpanID != chat.SpanID {
					t.Errorf("%s: links %v, want one to the chat that asked", id, span.Links)
				}
				if want := map[bool]string{true: "error", false: "unset"}[expected["mellea.outcome"] == "error"]; span.Status != want {
					t.Errorf("%s: status %s, want %s", id, span.Status, want)
				}
			}
			if got := named(t, spans, "action").Attributes["mellea.action.tool_calls"]; got != true {
				t.Errorf("mellea.action.tool_calls is %v, want true", got)
			}
		})
	}
	if diff := cmp.Diff(hashes["content off"], hashes["content on"]); diff != "" || hashes["content off"]["c1"] == hashes["content off"]["c2"] {
		t.Errorf("hashes of equal arguments under one key differ, or of others agree:\n%s", diff)
	}
}

// Where a tool's span goes, and what is beneath it.
func TestToolParents(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	own := tel.TracerProvider().Tracer("program")
	ctx, main := own.Start(t.Context(), "main")
	b := calling(content.ToolCall{ID: "c", Name: "ask", Arguments: `{}`})
	var s *mellea.Session
	ask := tool.New("ask", "", func(ctx context.Context, _ struct{}) (string, error) {
		res, err := s.Instruct(ctx, "inner", mellea.NoTools())
		return res.Text(), err
	})
	s = start(t, ctx, b, mellea.WithHooks(tel), mellea.WithTools(ask))
	asked := must[*mellea.Result[content.Message]](t)(s.Chat(ctx, "go", mellea.MaxToolTurns(0)))
	must[[]mellea.ToolRun](t)(s.CallTools(context.Background(), asked.ToolCalls()))
	request, span := own.Start(context.Background(), "request")
	must[[]mellea.ToolRun](t)(s.CallTools(request, asked.ToolCalls()))
	span.End()
	_ = s.Close()
	main.End()
	flush(t, tel)
	want := tree(`
	main
	  session
	    action
	      chat m1
	    execute_tool ask
	      action
	        chat m1
	request
	  execute_tool ask id
	    action
	      chat m1
	`)
	spans := drop(server.Spans(t, 10), "start_session")
	got := otlptest.Tree(spans, func(s otlptest.Span) string {
		if s.Attributes["mellea.session.id"] != nil && s.Name != "session" {
			return "id"
		}
		return ""
	})
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("tree (-got +want):\n%s", diff)
	}
	for _, s := range spans {
		if s.Name != "execute_tool ask" {
			continue
		}
		if want := map[bool]int{true: 2, false: 1}[s.Attributes["mellea.session.id"] != nil]; len(s.Links) != want {
			t.Errorf("got %d links, want %d: to the chat, and to the session of a span that is not below it", len(s.Links), want)
		}
		if hash, ok := s.Attributes["mellea.tool.arguments_hash"]; ok {
			t.Errorf("a call without arguments has the hash %v", hash)
		}
	}
}

// A guard that chooses another tool, and a value over the cap.
func TestToolSpanAfterGuard(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true), telemetry.WithContentMaxBytes(29))
	swap := hookpoint.Tool.Guard(func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
		p.Call.Name, p.Call.Arguments = "echo", `{"text":"`+strings.Repeat("x", 40)+`"}`
		return p, nil
	})
	echo := tool.New("echo", "", func(_ context.Context, in struct {
		Text string `json:"text"`
	}) (string, error) {
		return in.Text, nil
	})
	s := start(t, t.Context(), calling(content.ToolCall{ID: "c", Name: "weather", Arguments: `{"city":"x"}`}),
		mellea.WithHooks(tel, swap), mellea.WithTools(weather, echo))
	must[*mellea.Result[content.Message]](t)(s.Chat(t.Context(), "go"))
	_ = s.Close()
	flush(t, tel)
	got := named(t, server.Spans(t, 6), "execute_tool echo").Attributes
	want := map[string]any{"gen_ai.tool.name": "echo", "mellea.content.truncated": true,
		"gen_ai.tool.call.arguments": map[string]any{"text": `{"text":"xxxxxx`},
		"gen_ai.tool.call.result":    map[string]any{"result": strings.Repeat("x", 16)}}
	for key := range got {
		if _, ok := want[key]; !ok {
			delete(got, key)
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("attributes (-got +want):\n%s", diff)
	}
}
