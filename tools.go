package mellea

import (
	"context"
	"iter"
	"slices"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/tool"
)

// DefaultToolTurns, 10, is how many replies of one attempt may ask for tools, unless [MaxToolTurns] says otherwise.
const DefaultToolTurns = engine.DefaultToolTurns

// DefaultToolParallel, 8, is how many calls of one reply run at the same time, unless [WithToolParallel] says otherwise.
const DefaultToolParallel = engine.DefaultToolParallel

// ToolRun is one call of a tool and what became of it. Its Message tells the model.
type ToolRun = engine.ToolRun

// ToolBudgetError says that a model asked for tools again when it had had all the turns of them that it was given; see
// [MaxToolTurns].
type ToolBudgetError = tool.BudgetError

// WithTools offers tools to the model in every call, judges excepted. When a reply asks for some, they are run and the model
// is asked again with what they gave, until it answers; [MaxToolTurns] bounds that. What goes wrong with a call of a tool,
// its arguments, a denial by a hook, an error of the tool, is told to the model; only [tool.Fatal] and the end of the
// context end the program's call. All of it goes into the history.
//
// Of two tools with the same name, the one given later or further in (session, block, call) is the one; two in one option
// are an error.
func WithTools(tools ...tool.Tool) BlockOption {
	return blockOption(func(c *blockConfig) {
		set, err := tool.NewSet(tools...)
		if err != nil && c.err == nil {
			c.err = &UsageError{Option: "WithTools", Reason: err.Error(), Err: err}
		}
		c.tools = c.tools.Merge(set)
	})
}

// WithMaxToolTurns is [MaxToolTurns] for every call.
func WithMaxToolTurns(n int) BlockOption {
	return blockOption(func(c *blockConfig) { c.loop.Turns = turns(n) })
}

// WithToolParallel bounds how many calls of one reply run at the same time. n below 1 counts as 1.
func WithToolParallel(n int) BlockOption {
	return blockOption(func(c *blockConfig) { c.loop.Parallel = max(n, 1) })
}

// Tools offers tools to the model in this call, beside those of the session; see [WithTools].
func Tools(tools ...tool.Tool) CallOption {
	return callOption(func(c *callConfig) {
		set, err := tool.NewSet(tools...)
		if err != nil && c.err == nil {
			c.err = &UsageError{Option: "Tools", Reason: err.Error(), Err: err}
		}
		c.tools = c.tools.Merge(set)
	})
}

// NoTools offers none of the session's tools in this call.
func NoTools() CallOption {
	return callOption(func(c *callConfig) { c.noTools, c.tools = true, tool.Set{} })
}

// MaxToolTurns bounds how many replies of one attempt may ask for tools; one more ends the call with a [*ToolBudgetError].
// With n below 1 tools are offered and not run: the call returns the first reply, and what that asks for is for the program
// to run; see [CallTools]. The default is [DefaultToolTurns].
func MaxToolTurns(n int) CallOption {
	return callOption(func(c *callConfig) { c.loop.Turns = turns(n) })
}

// turns is n for an [engine.Loop], where 0 is the default.
func turns(n int) int {
	if n < 1 {
		return -1
	}
	return n
}

// ToolChoice says whether the model is to call tools: "auto" leaves it to the model, "required" demands a call, "none" forbids
// any, and the name of a tool demands a call of that one. A demand is for the first reply: with what the tools gave, the
// model may answer. It is the parameter tool_choice of servers of the OpenAI dialect, and models in process are held to it.
// Ollama and transformers serve cannot be told to: a demand is reported once and left out, or an error under [Strict].
func ToolChoice(choice string) CallOption {
	return option(func(o backend.Options) backend.Options {
		switch choice {
		case "auto", "none", "required":
			return o.WithExtra(backend.ToolChoice, choice)
		}
		return o.WithExtra(backend.ToolChoice, map[string]any{"type": "function", "function": map[string]any{"name": choice}})
	})
}

// CallTools runs calls of tools that a reply asks for, when the program has the loop in its own hands: those of a
// [Result.ToolCalls] or of the ToolCalls of a running output. The tools are those of r and of opts, and the hooks of both see
// the calls. The runs are in the order of the calls, one for each; whatever went wrong with one is in its Err, and said to
// the model in its Message. The error is that of a tool which said it is fatal, or the end of ctx.
//
// [SendTools] hands the runs to the model.
func CallTools(ctx context.Context, r Runner, calls iter.Seq[tool.Call], opts ...CallOption) ([]ToolRun, error) {
	c, on := configure(opts), r.on()
	switch {
	case on.err != nil:
		return nil, on.err
	case c.err != nil:
		return nil, c.err
	case calls == nil:
		return nil, nil
	}
	all := slices.Collect(calls)
	if len(all) == 0 {
		return nil, nil
	}
	return c.scope(on.scope).Invoke(ctx, all)
}

// CallTools runs calls of tools; see the function [CallTools].
func (s *Session) CallTools(ctx context.Context, calls iter.Seq[tool.Call], opts ...CallOption) ([]ToolRun, error) {
	return CallTools(ctx, s, calls, opts...)
}

// SendTools hands the model what the tools gave that its last reply asked for, and returns its next one. The model has to
// see its own calls, so r is a session with a history that remembers, such as history.Chat().
func SendTools(ctx context.Context, r Runner, runs []ToolRun, opts ...CallOption) (*Result[content.Message], error) {
	if len(runs) == 0 {
		return &Result[content.Message]{}, &UsageError{Option: "runs", Reason: "there are none: ask the model with Chat or Instruct"}
	}
	ms := make([]content.Message, len(runs))
	for i, run := range runs {
		ms[i] = run.Message()
	}
	return run[content.Message](ctx, r, component.FromMessages(ms...), parseMessage, configure(opts))
}

// SendTools hands the model what tools gave; see the function [SendTools].
func (s *Session) SendTools(ctx context.Context, runs []ToolRun, opts ...CallOption) (*Result[content.Message], error) {
	return SendTools(ctx, s, runs, opts...)
}

// ToolCalls iterates over the calls that the reply asks for and nobody has run, because the call was not to; see
// [MaxToolTurns].
func (r *Result[T]) ToolCalls() iter.Seq[tool.Call] {
	return func(yield func(tool.Call) bool) {
		for c := range r.Message.ToolCalls() {
			call := tool.Call{ToolCall: c}
			if i := slices.IndexFunc(r.pending, func(p tool.Call) bool { return p.ID == c.ID }); i >= 0 {
				call.Origin = r.pending[i].Origin
			}
			if !yield(call) {
				return
			}
		}
	}
}
