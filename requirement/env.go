package requirement

import (
	"context"
	"iter"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/schema"
)

// Env is what a checker may know and do. It is an immutable value, safe for concurrent use.
type Env struct{ c EnvConfig }

// EnvConfig makes an [Env].
type EnvConfig struct {
	// Message is the reply to check.
	Message content.Message
	// Input is the prompt that led to it, as rendered, without the history.
	Input content.Messages
	// Steps is what was said between Input and Message: the model's calls of tools, and their results.
	Steps content.Messages
	// History is the conversation before Input; nil stands for an empty one.
	History history.History
	// Options are those of the validation.
	Options backend.Options
	// Ask runs a question; nil when there is no model to ask.
	Ask func(context.Context, Question) (content.Message, error)
}

// Question is what a checker asks a model.
type Question struct {
	Component component.Component
	// Backend answers it; nil leaves it to the one of the call.
	Backend backend.Backend
	// Options lie over those of the validation.
	Options backend.Options
	// Format constrains the answer; the zero Schema leaves it free.
	Format schema.Schema
}

// NewEnv returns the Env of one check.
func NewEnv(c EnvConfig) Env {
	if c.History == nil {
		c.History = history.Simple()
	}
	return Env{c}
}

// Text returns the text of the reply.
func (e Env) Text() string { return e.c.Message.Text() }

// Message returns the reply.
func (e Env) Message() content.Message { return e.c.Message }

// Input returns the prompt that led to the reply, as rendered, without the history.
func (e Env) Input() content.Messages { return e.c.Input }

// Steps returns what was said between the prompt and the reply: the model's calls of tools, and their results.
func (e Env) Steps() content.Messages { return e.c.Steps }

// ToolCalls iterates over the tools that the model called on its way to the reply, and those that the reply itself asks for.
func (e Env) ToolCalls() iter.Seq[content.ToolCall] {
	return func(yield func(content.ToolCall) bool) {
		for m := range e.c.Steps.Values() {
			for c := range m.ToolCalls() {
				if !yield(c) {
					return
				}
			}
		}
		e.c.Message.ToolCalls()(yield)
	}
}

// History returns the conversation before the prompt.
func (e Env) History() history.History {
	if e.c.History == nil {
		return history.Simple()
	}
	return e.c.History
}

// Options returns those of the validation.
func (e Env) Options() backend.Options { return e.c.Options }

// Ask asks a model and returns its answer. It is a checker's only way to a model: the call is made, and seen, by the
// engine like any other. A question to the call's own backend gets the validation's options under its own; one that
// names a backend gets its own only, as the others may name a model that backend does not have. It returns
// [ErrNoModel] where there is no model.
func (e Env) Ask(ctx context.Context, q Question) (content.Message, error) {
	if e.c.Ask == nil {
		return content.Message{}, ErrNoModel
	}
	if q.Backend == nil {
		q.Options = e.c.Options.Merge(q.Options)
	}
	return e.c.Ask(ctx, q)
}
