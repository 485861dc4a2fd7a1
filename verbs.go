package mellea

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/tool"
)

// Instruct asks the model to do what description says. When requirements are not met, it returns the result of the best
// attempt and an [*UnmetError].
func Instruct(ctx context.Context, r Runner, description string, opts ...CallOption) (*Result[string], error) {
	c := configure(opts)
	return run[string](ctx, r, c.instruction(description), nil, c)
}

// Chat says text to the model, as the user. The value is the model's message.
func Chat(ctx context.Context, r Runner, text string, opts ...CallOption) (*Result[content.Message], error) {
	m := content.User(text)
	c := configure(opts)
	if len(c.media) > 0 {
		m = m.With(c.media...)
	}
	return run[content.Message](ctx, r, component.FromMessage(m), parseMessage, c)
}

func parseMessage(m content.Message) (any, error) { return m, nil }

// Act executes a component and parses the reply as the component says.
func Act[T any](ctx context.Context, r Runner, c component.Typed[T], opts ...CallOption) (*Result[T], error) {
	return act[T](ctx, r, c, func(m content.Message) (any, error) { return c.Parse(m) }, opts)
}

func act[T any](ctx context.Context, r Runner, c component.Component, parse func(content.Message) (any, error), opts []CallOption) (*Result[T], error) {
	return run[T](ctx, r, c, parse, configure(opts))
}

// Validate holds a text against requirements, judges included, without generating it. The results are in the order of
// the requirements; a requirement that is not met is no error.
func Validate(ctx context.Context, r Runner, text string, reqs ...requirement.Requirement) ([]requirement.Result, error) {
	on := r.on()
	if on.err != nil {
		return nil, on.err
	}
	results, err := on.scope.Validate(ctx, content.ListOf(reqs...), content.Assistant(text), on.history, backend.Options{})
	return results.Slice(), err
}

// Validate holds a text against requirements; see the function [Validate].
func (s *Session) Validate(ctx context.Context, text string, reqs ...requirement.Requirement) ([]requirement.Result, error) {
	return Validate(ctx, s, text, reqs...)
}

// StartInstruct asks the model without waiting for the reply: one generation, whose output can be read as it arrives or
// used as a variable or grounding of a later call. Its requirements are shown to the model and not judged; [Check],
// [Strategy] and [Stream] are errors here. The reply is asked for in pieces; Options(backend.Options{}.WithStream(false))
// asks for it whole. With tools, the output goes on until the model has no more calls to make: its chunks are those of all
// the generations that takes, its reply is the last. Its turn is appended to the history when it succeeds.
func StartInstruct(ctx context.Context, r Runner, description string, opts ...CallOption) (*backend.Output, error) {
	c := configure(opts)
	if c.strategy != nil {
		return nil, &UsageError{Option: "Strategy", Reason: "StartInstruct makes one generation and validates nothing: use Instruct"}
	}
	if c.sink != nil {
		return nil, &UsageError{Option: "Stream", Reason: "StartInstruct does not wait: range over the Chunks of its output"}
	}
	for _, req := range c.requirements {
		if !req.Shown() {
			return nil, &UsageError{Option: "Check", Reason: "StartInstruct validates nothing: use Instruct"}
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	on := r.on()
	if on.err != nil {
		return nil, on.err
	}
	// Its output is there to be read as it arrives, unless the program says otherwise.
	on.scope.Options = backend.Options{}.WithStream(true).Merge(on.scope.Options)
	return c.scope(on.scope).Start(ctx, c.call(on, c.instruction(description), nil))
}

func configure(opts []CallOption) callConfig {
	var c callConfig
	for _, o := range opts {
		o.applyCall(&c)
	}
	return c
}

func (c callConfig) instruction(description string) component.Instruction {
	i := component.NewInstruction(description)
	if c.vars != nil {
		i = i.WithVars(c.vars)
	}
	if len(c.examples) > 0 {
		i = i.WithExamples(c.examples...)
	}
	for _, g := range c.grounding {
		i = i.WithGrounding(g.name, g.value)
	}
	if c.prefix != "" {
		i = i.WithPrefix(c.prefix)
	}
	if c.outputPrefix != "" {
		i = i.WithOutputPrefix(c.outputPrefix)
	}
	if len(c.media) > 0 {
		i = i.WithMedia(c.media...)
	}
	return i
}

// scope lays the call's own system message and conversation over those of the scope. Its options stay apart: they are
// the call's, and hooks see them merged.
func (c callConfig) scope(s engine.Scope) engine.Scope {
	if c.noTools {
		s.Tools = tool.Set{}
	}
	return blockConfig{system: c.system, setSystem: c.setSystem, conversation: c.conversation, tools: c.tools, loop: c.loop}.onto(s)
}

func (c callConfig) call(on runner, comp component.Component, parse func(content.Message) (any, error)) engine.Call {
	return engine.Call{Component: comp, Parse: parse, History: on.history, Requirements: content.ListOf(c.requirements...),
		Strategy: c.strategy, Options: c.options, Format: c.format, Prompt: c.prompt, Sink: c.sink, Append: on.append}
}

// DefaultBudget, 3, is how many generations a call with requirements makes at the most, unless its [Strategy] says
// otherwise.
const DefaultBudget = engine.DefaultBudget

func run[T any](ctx context.Context, r Runner, comp component.Component, parse func(content.Message) (any, error), c callConfig) (*Result[T], error) {
	if comp == nil {
		return &Result[T]{}, &UsageError{Option: "component", Reason: "it is nil"}
	}
	on := r.on()
	if on.err != nil {
		return &Result[T]{}, on.err
	}
	if c.err != nil {
		return &Result[T]{}, c.err
	}
	if len(c.methods) > 0 {
		return &Result[T]{}, &UsageError{Option: "Methods", Reason: "only Query and Transform have an object whose methods they are"}
	}
	res, err := c.scope(on.scope).Act(ctx, c.call(on, comp, parse))
	out := newResult[T](res)
	if err != nil {
		return out, err
	}
	if !res.Success {
		return out, unmet(res)
	}
	return out, nil
}
