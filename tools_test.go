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
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
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
