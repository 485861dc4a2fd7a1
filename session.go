package mellea

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/internal/engine"
)

// CloseTimeout is how long [Session.Close] waits: 5 s.
const CloseTimeout = engine.CloseTimeout

// Session is a conversation with a model: a backend, a history and the hooks that watch it. One session may be used by
// many goroutines: a call sees the history as it stood when the call began, and its turn is appended when it succeeds.
type Session struct {
	core   *engine.Session
	scope  engine.Scope
	config startConfig
	append func(turn []content.Message) // of core
	err    error                        // of the options of a view
}

// Start opens a session on b. It asks the backend what it is, which reports a configuration that cannot work, and fires
// the hook points of a session's start. The values of ctx are those under which the session's span is opened; its end
// does not end the session.
func Start(ctx context.Context, b backend.Backend, opts ...StartOption) (*Session, error) {
	c := startConfig{backend: b, history: history.Simple()}
	for _, o := range opts {
		o.applyStart(&c)
	}
	return open(ctx, c)
}

const noBackend = "it is nil: pass one, such as ollama.New()"

func open(ctx context.Context, c startConfig) (*Session, error) {
	switch {
	case c.backend == nil:
		return nil, &UsageError{Option: "backend", Reason: noBackend}
	case c.history == nil:
		return nil, &UsageError{Option: "WithHistory", Reason: "the history is nil: leave the option out, or pass history.Chat()"}
	}
	f, err := c.formatter(component.DefaultFormatter())
	if err != nil {
		return nil, err
	}
	core, err := engine.Open(ctx, engine.SessionConfig{ID: newID(), Backend: c.backend, Formatter: f, Options: c.options,
		System: c.system, Conversation: c.conversation, Tools: c.tools, Loop: c.loop, History: c.history, Hooks: c.hooks})
	if err != nil {
		return nil, err
	}
	return &Session{core: core, scope: core.Scope, config: c, append: core.Append}, nil
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	return hex.EncodeToString(id[:])
}

func (s *Session) on() runner {
	return runner{scope: s.scope, history: s.core.History(), append: s.append, err: s.err}
}

// ID identifies the session in logs and traces.
func (s *Session) ID() string { return s.core.Session.ID }

// History returns the conversation as it stands. It is immutable.
func (s *Session) History() history.History { return s.core.History() }

// Hooks lists what is installed, in firing order.
func (s *Session) Hooks() []hook.Binding { return s.scope.Set.Bindings() }

// HookStats counts what went wrong in the background: outcomes that hooks never saw, and plugins that failed.
func (s *Session) HookStats() hook.Stats { return s.scope.Set.Stats() }

// With returns a view of the session with further options, for a block of code. It shares history and id with s, and
// what it adds lives as long as s; closing either closes the session. Whatever is wrong with the options is the error of
// every call on the view.
func (s *Session) With(opts ...BlockOption) *Session {
	var c blockConfig
	for _, o := range opts {
		o.applyBlock(&c)
	}
	view := *s
	f, err := c.formatter(s.scope.Formatter)
	if err != nil {
		view.err = err
	}
	view.scope.Formatter = f
	view.scope.Set = s.core.Block(s.scope.Set, c.hooks...)
	view.scope = c.onto(view.scope)
	return &view
}

// Clone branches the conversation: a session of its own, with a new id, that starts from the history as it stands and
// has the hooks and options that s was started with. It must be closed like any other.
func (s *Session) Clone(ctx context.Context) (*Session, error) {
	c := s.config
	c.history = s.core.History()
	return open(ctx, c)
}

// Reset forgets the history.
func (s *Session) Reset(ctx context.Context) { s.core.Reset(ctx, s.scope.Set) }

// Close ends the session within [CloseTimeout]; see [Session.CloseContext].
func (s *Session) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
	defer cancel()
	return s.CloseContext(ctx)
}

// CloseContext ends the session: calls that still run are given up and awaited, the session's span ends, and the
// background work of its hooks is drained, all within ctx. It may be called more than once, and from anywhere but inside
// a call of the session (a hook, a checker, the function given to [Stream]): there it waits for itself, until ctx ends.
func (s *Session) CloseContext(ctx context.Context) error { return s.core.Close(ctx) }

// Instruct asks the model to do something; see the function [Instruct].
func (s *Session) Instruct(ctx context.Context, description string, opts ...CallOption) (*Result[string], error) {
	return Instruct(ctx, s, description, opts...)
}

// StartInstruct asks without waiting; see the function [StartInstruct].
func (s *Session) StartInstruct(ctx context.Context, description string, opts ...CallOption) (*backend.Output, error) {
	return StartInstruct(ctx, s, description, opts...)
}

// Chat says text to the model; see the function [Chat].
func (s *Session) Chat(ctx context.Context, text string, opts ...CallOption) (*Result[content.Message], error) {
	return Chat(ctx, s, text, opts...)
}

// Act executes a component and takes the reply's text as its value. For a typed value use the function [Act].
func (s *Session) Act(ctx context.Context, c component.Component, opts ...CallOption) (*Result[string], error) {
	return act[string](ctx, s, c, nil, opts)
}
