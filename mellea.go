// Package mellea is for writing generative programs: ordinary code that calls language models through typed, checkable
// units, and whose every step can be seen.
//
//	s, err := mellea.Start(ctx, ollama.New(), mellea.WithHooks(tel))
//	if err != nil { … }
//	defer s.Close()
//
//	mail, err := s.Instruct(ctx, "Write a mail to {{.name}} about {{.topic}}",
//	    mellea.Vars{"name": "Alice", "topic": "the launch"},
//	    mellea.Require("be formal"),
//	    mellea.Check(requirement.MaxWords(100)))
//
// A call renders its component, generates, validates the reply against the requirements and tries again as its
// strategy says. What it returns holds every attempt with its verdicts. Each step fires a hook point (package
// hookpoint); telemetry, guards and audits are plugins on those.
//
// Options that configure a session are called With… and passed to [Start]; options of one call are bare words. They are
// different types, so the wrong place does not compile.
//
// Everything here is safe for concurrent use. No function reads the environment.
package mellea

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/internal/engine"
)

// Runner is what calls run on: a [*Session], or a [*Direct] for calls without one. The set is closed.
type Runner interface{ on() runner }

// runner is what a call needs to know.
type runner struct {
	scope   engine.Scope
	history history.History
	// append takes the turn of a call that succeeded; nil drops it.
	append func(turn []content.Message)
	// err is what is wrong with the options the runner was made with; it is the error of every call.
	err error
}

// Direct runs calls on a backend without a session: nothing is remembered between them.
type Direct struct {
	scope engine.Scope
	err   error
}

// On returns a Runner for calls without a session. It does no I/O; whatever is wrong with the backend or the options is
// the error of every call.
func On(b backend.Backend, opts ...BlockOption) *Direct {
	if b == nil {
		return &Direct{scope: engine.NewScope(nil, nil, nil), err: &UsageError{Option: "backend", Reason: noBackend}}
	}
	var c blockConfig
	for _, o := range opts {
		o.applyBlock(&c)
	}
	f, err := c.formatter(component.DefaultFormatter())
	var set *hook.Set
	if len(c.hooks) > 0 {
		set = set.With(c.hooks...)
	}
	return &Direct{scope: c.onto(engine.NewScope(set, b, f)), err: err}
}

func (d *Direct) on() runner { return runner{scope: d.scope, history: history.Simple(), err: d.err} }

// Close ends what runs within [CloseTimeout]; see [Direct.CloseContext].
func (d *Direct) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	return d.CloseContext(ctx)
}

// CloseContext refuses further calls, gives up those that still run, waits for their ends and drains the background
// queues of the hooks that were given to [On], all within ctx. A program that starts nothing it does not wait for and
// gave no hooks need not call it.
func (d *Direct) CloseContext(ctx context.Context) error { return d.scope.Close(ctx) }

// HookStats counts what went wrong in the background: outcomes that hooks never saw, and plugins that failed.
func (d *Direct) HookStats() hook.Stats { return d.scope.Set.Stats() }

// Hooks lists what is installed, in firing order.
func (d *Direct) Hooks() []hook.Binding { return d.scope.Set.Bindings() }
