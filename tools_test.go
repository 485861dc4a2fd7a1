package mellea_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/tool"
)

type sum struct {
	A int `json:"a"`
	B int `json:"b"`
}

var add = tool.New("add", "Adds two numbers.", func(_ context.Context, in sum) (int, error) { return in.A + in.B, nil })

// transcript shows messages with the parts that tools are about.
func transcript(ms content.Messages) []string {
	var out []string
	for m := range ms.Values() {
		line := string(m.Role()) + ":"
		for p := range m.Parts() {
			switch p := p.(type) {
			case content.Text:
				line += " " + string(p)
			case content.ToolCall:
				line += fmt.Sprintf(" [%s %s%s]", p.ID, p.Name, p.Arguments)
			case content.ToolResult:
				line += fmt.Sprintf(" [%s %s: %s]", p.CallID, p.Name, p.Content)
				if p.IsError {
					line += "!"
				}
			}
		}
		out = append(out, line)
	}
	return out
}

func TestToolLoop(t *testing.T) {
	t.Parallel()
	count := func(in, out int) content.Usage { return content.Usage{InputTokens: in, OutputTokens: out} }
	b := melleatest.NewBackend(
		melleatest.Reply{Pieces: []string{"Let me see."}, Usage: count(1, 10), Calls: []content.ToolCall{
			{ID: "x", Name: "add", Arguments: `{"b":"2","a":1}`}, {Name: "add", Arguments: `{"a":3,"b":4}`}, {ID: "x", Name: "add", Arguments: `{}`},
		}},
		melleatest.Reply{Calls: []content.ToolCall{{ID: "x", Name: "sub", Arguments: `{"a":1}`}}, Usage: count(2, 20)},
		melleatest.Reply{Pieces: []string{"3 and 7"}, Usage: count(4, 40)},
	)
	s, rec := start(t, b, mellea.WithHistory(history.Chat()), mellea.WithTools(add), mellea.WithToolParallel(1))
	res, err := s.Chat(t.Context(), "What are 1+2 and 3+4?")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Text(), "3 and 7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := res.Usage, count(7, 70); got != want {
		t.Errorf("got usage %+v, want %+v", got, want)
	}
	want := []string{
		"user: What are 1+2 and 3+4?",
		`assistant: Let me see. [x add{"b":"2","a":1}] [call_2 add{"a":3,"b":4}] [call_3 add{}]`,
		"tool: [x add: 3]",
		"tool: [call_2 add: 7]",
		`tool: [call_3 add: Error: the arguments do not fit. "a" is missing: want an integer. "b" is missing: want an integer. Call the tool again with arguments that fit.]!`,
		`assistant: [call_4 sub{"a":1}]`,
		`tool: [call_4 sub: Error: there is no tool "sub". The tools are: add.]!`,
	}
	if diff := cmp.Diff(transcript(b.Requests()[2].Messages), want); diff != "" {
		t.Errorf("third request (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(transcript(s.History().View()), append(want, "assistant: 3 and 7")); diff != "" {
		t.Errorf("history (-got +want):\n%s", diff)
	}
	tree := `session_start
session
component
  generation
  tool
  tool
  tool (error)
  generation
  tool (error)
  generation
`
	if diff := cmp.Diff(rec.Tree(), tree); diff != "" {
		t.Errorf("tree (-got +want):\n%s", diff)
	}
	var runs []string
	for _, r := range res.ToolRuns {
		runs = append(runs, fmt.Sprint(r.Call.ID, " ", r.Output.Value, " ", r.Err != nil, " ", r.Call.Origin != nil))
	}
	if diff := cmp.Diff(runs, []string{"x 3 false true", "call_2 7 false true", "call_3 <nil> true true", "call_4 <nil> true true"}); diff != "" {
		t.Errorf("runs (-got +want):\n%s", diff)
	}
	for range res.ToolCalls() {
		t.Error("calls are left over")
	}
	for i, r := range b.Requests() {
		if r.Tools.Len() != 1 || r.Tools.At(0).Name != "add" {
			t.Errorf("request %d offers %v", i, r.Tools.Slice())
		}
	}
}

func TestToolBudget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts   []mellea.StartOption
		call   []mellea.CallOption
		want   int // generations
		budget int // of the error, 0 for none
	}{
		"default": {want: 11, budget: 10},
		"session": {opts: []mellea.StartOption{mellea.WithMaxToolTurns(2)}, want: 3, budget: 2},
		"call": {opts: []mellea.StartOption{mellea.WithMaxToolTurns(2)},
			call: []mellea.CallOption{mellea.MaxToolTurns(1)}, want: 2, budget: 1},
		"by hand": {call: []mellea.CallOption{mellea.MaxToolTurns(0)}, want: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Use("add", `{"a":1,"b":1}`))
			s, _ := start(t, b, append(tc.opts, mellea.WithTools(add), mellea.WithHistory(history.Chat()))...)
			res, err := s.Instruct(t.Context(), "Count for ever.", tc.call...)
			var spent *mellea.ToolBudgetError
			if got := errors.As(err, &spent); got != (tc.budget > 0) || got && spent.Turns != tc.budget || !got && err != nil {
				t.Errorf("got %v, want the budget of %d spent", err, tc.budget)
			}
			if got := len(b.Requests()); got != tc.want {
				t.Errorf("%d generations, want %d", got, tc.want)
			}
			if got, want := len(res.ToolRuns), tc.budget; got != want {
				t.Errorf("%d runs told, want %d", got, want)
			}
			if got := s.History().Len() > 0; got != (tc.budget == 0) {
				t.Errorf("history has %d messages after %v", s.History().Len(), err)
			}
		})
	}
}

// What is offered: the session's tools, with those of a block and of the call over them.
func TestToolsOffered(t *testing.T) {
	t.Parallel()
	named := func(name, description string) tool.Tool {
		return tool.New(name, description, func(context.Context, struct{}) (int, error) { return 0, nil })
	}
	off := hookpoint.Component.Guard(func(_ context.Context, c hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
		c.Tools = false
		return c, nil
	})
	on := hookpoint.Component.Guard(func(_ context.Context, c hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
		c.Tools = true
		return c, nil
	})
	without := hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		g.Tools = content.ListOf(slices.DeleteFunc(g.Tools.Slice(), func(s content.ToolSpec) bool { return s.Name == "a" })...)
		return g, nil
	})
	tests := map[string]struct {
		block []mellea.BlockOption
		call  []mellea.CallOption
		want  string
		err   any
	}{
		"session":            {want: "a:session b:session"},
		"block":              {block: []mellea.BlockOption{mellea.WithTools(named("b", "block"), named("c", "block"))}, want: "a:session b:block c:block"},
		"call":               {call: []mellea.CallOption{mellea.Tools(named("a", "call"))}, want: "a:call b:session"},
		"none":               {call: []mellea.CallOption{mellea.NoTools()}, want: ""},
		"none but":           {call: []mellea.CallOption{mellea.NoTools(), mellea.Tools(named("c", "call"))}, want: "c:call"},
		"off by a hook":      {block: []mellea.BlockOption{mellea.WithHooks(off)}, want: ""},
		"on where on":        {block: []mellea.BlockOption{mellea.WithHooks(on)}, want: "a:session b:session"},
		"on where none":      {block: []mellea.BlockOption{mellea.WithHooks(on)}, call: []mellea.CallOption{mellea.NoTools()}, err: new(*hook.Rejection)},
		"taken out":          {block: []mellea.BlockOption{mellea.WithHooks(without)}, want: "b:session"},
		"twice in a block":   {block: []mellea.BlockOption{mellea.WithTools(add, add)}, err: new(*tool.NameError)},
		"twice in the call":  {call: []mellea.CallOption{mellea.Tools(add, add)}, err: new(*tool.NameError)},
		"zero tool in there": {call: []mellea.CallOption{mellea.Tools(tool.Tool{})}, err: new(*mellea.UsageError)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Say("done"))
			s, _ := start(t, b, mellea.WithTools(named("a", "session"), named("b", "session")))
			_, err := s.With(tc.block...).Instruct(t.Context(), "go", tc.call...)
			if (err != nil) != (tc.err != nil) || err != nil && !errors.As(err, tc.err) {
				t.Fatalf("got %v, want a %T", err, tc.err)
			}
			if err != nil {
				return
			}
			var got []string
			for s := range b.Requests()[0].Tools.Values() {
				got = append(got, s.Name+":"+s.Description)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
	if _, err := mellea.Start(t.Context(), melleatest.NewBackend(), mellea.WithTools(add, add)); !errors.As(err, new(*tool.NameError)) {
		t.Errorf("start: got %v, want a NameError", err)
	}
	if _, err := mellea.StartInstruct(t.Context(), mellea.On(melleatest.NewBackend()), "x", mellea.Tools(add, add)); !errors.As(err, new(*tool.NameError)) {
		t.Errorf("StartInstruct: got %v, want a NameError", err)
	}
}

// A tool that a guard took out of the offer is not run, even when the model asks for it.
func TestToolsTakenOutAreNotRun(t *testing.T) {
	t.Parallel()
	without := hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		g.Tools = content.List[content.ToolSpec]{}
		return g, nil
	})
	danger := tool.New("danger", "", func(context.Context, struct{}) (int, error) {
		t.Error("it ran")
		return 0, nil
	})
	b := melleatest.NewBackend(melleatest.Use("danger", "{}"), melleatest.Say("well"))
	s, _ := start(t, b, mellea.WithTools(danger), mellea.WithHooks(without))
	res, err := s.Instruct(t.Context(), "go")
	if err != nil || res.Text() != "well" {
		t.Errorf("got %q, %v", res.Text(), err)
	}
	if len(res.ToolRuns) != 1 || !errors.As(res.ToolRuns[0].Err, new(*tool.UnknownError)) {
		t.Errorf("got %+v, want one unknown tool", res.ToolRuns)
	}
}

// What goes wrong with a call is told to the model, and what must end the program's call does.
func TestToolFailures(t *testing.T) {
	t.Parallel()
	failing := func(err error) tool.Tool {
		return tool.New("t", "", func(context.Context, struct{}) (int, error) { return 0, err })
	}
	cause := errors.New("out of paper")
	guard := func(err error) hook.Source {
		return hookpoint.Tool.Guard(func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) { return p, err })
	}
	tests := map[string]struct {
		tool  tool.Tool
		hooks hook.Source
		told  string
		err   error
	}{
		"error":                   {tool: failing(cause), told: "Error: out of paper"},
		"panic":                   {tool: tool.New("t", "", func(context.Context, struct{}) (int, error) { panic("x") }), told: "Error: the tool broke down."},
		"exit":                    {tool: tool.New("t", "", func(context.Context, struct{}) (int, error) { runtime.Goexit(); return 0, nil }), told: "Error: the tool broke down."},
		"fatal":                   {tool: failing(tool.Fatal(cause)), err: cause},
		"denied":                  {tool: failing(nil), hooks: guard(hook.Reject("no", "not on Sundays")), told: "Error: the call was denied: not on Sundays"},
		"denied without a reason": {tool: failing(nil), hooks: guard(hook.Reject("no", "")), told: "Error: the call was denied."},
		"denied for good":         {tool: failing(nil), hooks: guard(fmt.Errorf("%w: %w", hook.Reject("no", ""), tool.Fatal(cause))), err: cause},
		"a review denies": {tool: failing(nil), told: "Error: the call was denied: secret inside", hooks: hookpoint.Tool.Review(
			func(_ context.Context, _ hookpoint.ToolStart, e hookpoint.ToolEnd) (hookpoint.ToolEnd, error) {
				return e, hook.Reject("leak", "secret inside")
			})},
		"a review edits": {tool: failing(nil), told: "redacted", hooks: hookpoint.Tool.Review(
			func(_ context.Context, _ hookpoint.ToolStart, e hookpoint.ToolEnd) (hookpoint.ToolEnd, error) {
				e.Output.Text = "redacted"
				return e, nil
			})},
		"another tool": {tool: failing(cause), told: "2", hooks: hookpoint.Tool.Guard(
			func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
				p.Call.Name, p.Call.Arguments = "add", `{"a":1,"b":"1"}`
				return p, nil
			})},
		"edited arguments that do not fit": {tool: failing(nil), hooks: hookpoint.Tool.Guard(
			func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
				p.Call.Arguments = "[]"
				return p, nil
			}), told: "Error: the arguments do not fit. They must be one JSON object: found a list. Call the tool again with arguments that fit."},
		"an edit that is not allowed": {tool: failing(nil), hooks: hookpoint.Tool.Guard(
			func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
				p.Call.ID = "other"
				return p, nil
			}), told: "Error: the call was denied."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Use("t", "{}"), melleatest.Say("so be it"))
			opts := []mellea.StartOption{mellea.WithTools(tc.tool, add), mellea.WithHistory(history.Chat())}
			if tc.hooks != nil {
				opts = append(opts, mellea.WithHooks(tc.hooks))
			}
			s, _ := start(t, b, opts...)
			res, err := s.Instruct(t.Context(), "go")
			if !errors.Is(err, tc.err) {
				t.Fatalf("got %v, want %v", err, tc.err)
			}
			if err != nil {
				if n := s.History().Len(); n != 0 {
					t.Errorf("history has %d messages after a failed call", n)
				}
				return
			}
			last, _ := b.Requests()[1].Messages.Last()
			var got content.ToolResult
			for p := range last.Parts() {
				got, _ = p.(content.ToolResult)
			}
			if got.Content != tc.told || got.Name != "t" || got.CallID != "call_1" {
				t.Errorf("the model is told %+v, want %q of call_1 of t", got, tc.told)
			}
			if (res.ToolRuns[0].Err != nil) != got.IsError {
				t.Errorf("run %v, told as error %v", res.ToolRuns[0].Err, got.IsError)
			}
		})
	}
}

func TestToolsRunInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		wait := tool.New("wait", "", func(ctx context.Context, in struct{ N int }) (int, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			select {
			case <-time.After(time.Duration(20-in.N) * time.Second):
				return in.N, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		var calls []content.ToolCall
		for i := range 10 {
			calls = append(calls, content.ToolCall{ID: fmt.Sprint("c", i), Name: "wait", Arguments: fmt.Sprintf(`{"N":%d}`, i)})
		}
		b := melleatest.NewBackend(melleatest.Reply{Calls: calls}, melleatest.Say("done"))
		s, _ := start(t, b, mellea.WithTools(wait), mellea.WithToolParallel(3))
		res, err := s.Instruct(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range res.ToolRuns {
			if r.Output.Value != i || r.Call.ID != fmt.Sprint("c", i) {
				t.Errorf("run %d is of %s with %v", i, r.Call.ID, r.Output.Value)
			}
		}
		if got := most.Load(); got != 3 {
			t.Errorf("%d at once, want 3", got)
		}

		// The end of the context ends all of them, and the call.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b = melleatest.NewBackend(melleatest.Reply{Calls: calls})
		s2, _ := start(t, b, mellea.WithTools(wait), mellea.WithToolParallel(3))
		began := time.Now()
		res, err = s2.Instruct(ctx, "go")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if len(res.ToolRuns) != 10 || slices.ContainsFunc(res.ToolRuns, func(r mellea.ToolRun) bool { return r.Err == nil }) {
			t.Errorf("got %d runs, want 10 with errors", len(res.ToolRuns))
		}

		// One that says it is fatal ends the others.
		boom := tool.New("wait", "", func(ctx context.Context, in struct{ N int }) (int, error) {
			if in.N == 1 {
				return 0, tool.Fatal(errors.New("boom"))
			}
			<-ctx.Done()
			return 0, ctx.Err()
		})
		s3, _ := start(t, melleatest.NewBackend(melleatest.Reply{Calls: calls}), mellea.WithTools(boom))
		if _, err = s3.Instruct(t.Context(), "go"); !errors.As(err, new(*tool.FatalError)) {
			t.Errorf("got %v, want what one tool said", err)
		}
	})
}

// A tool that does not heed its context is given up, and awaited when the session is closed.
func TestToolThatDoesNotHeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		deaf := tool.New("deaf", "", func(context.Context, struct{}) (int, error) {
			time.Sleep(time.Minute)
			ended = true
			return 1, nil
		}, tool.Timeout(time.Second))
		b := melleatest.NewBackend(melleatest.Use("deaf", ""), melleatest.Say("done"))
		s, err := mellea.Start(t.Context(), b, mellea.WithTools(deaf))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		res, err := s.Instruct(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		if !errors.As(res.ToolRuns[0].Err, new(*tool.TimeoutError)) || time.Since(began) != 2*time.Second {
			t.Errorf("got %v, %v after %v, want a time-out told to the model", err, res.ToolRuns[0].Err, time.Since(began))
		}
		if got, want := res.ToolRuns[0].Output.Text, "Error: the tool gave no result within 1s."; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if err := s.CloseContext(t.Context()); err != nil || !ended {
			t.Errorf("close: %v, the tool has ended: %v", err, ended)
		}
	})
}
