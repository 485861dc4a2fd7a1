package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/tool"
)

// Session is a scope with a life and a history. It is safe for concurrent use.
type Session struct {
	Scope // of the session itself; blocks derive their own

	op hook.Op[hookpoint.SessionOpen, hookpoint.SessionEnd]

	mu           sync.Mutex
	history      history.History
	interactions int
	sets         []*hook.Set // introduced by the session and its blocks; closed with it
	closed       chan struct{}
	closeErr     error
}

// CloseTimeout is how long a session is given to end when nothing else is said.
const CloseTimeout = 5 * time.Second

// SessionConfig is what a session is opened with.
type SessionConfig struct {
	ID           string
	Backend      backend.Backend
	Formatter    *component.Formatter
	Options      backend.Options
	System       string
	Conversation string
	Tools        tool.Set
	Loop         Loop
	History      history.History
	Hooks        []hook.Source
}

// Open starts a session: it asks the backend what it is and opens the Session operation, which ends with
// [Session.Close]. With an error everything that was opened has been closed.
func Open(ctx context.Context, c SessionConfig) (*Session, error) {
	set := (*hook.Set)(nil).WithScope(hook.ScopeSession, c.Hooks...)
	s := &Session{Scope: NewScope(set, c.Backend, c.Formatter), history: c.History, sets: []*hook.Set{set}}
	s.Options, s.System, s.Conversation = c.Options, c.System, c.Conversation
	s.Tools, s.Loop = c.Tools, c.Loop

	starting := hookpoint.SessionStarting{ID: c.ID, History: c.History.Kind(), Conversation: c.Conversation,
		Model: c.Options.Model(), Options: c.Options}
	started, err := hookpoint.SessionStart.Do(ctx, set, starting,
		func(ctx context.Context, p hookpoint.SessionStarting) (hookpoint.SessionStarted, error) {
			info, err := s.info(ctx, c.Backend)
			s.Options = p.Options
			switch p.Model {
			case starting.Model: // the options decide
			case "":
				s.Options = p.Options.Without(backend.NeutralModel)
			default:
				s.Options = p.Options.WithModel(p.Model)
			}
			model := s.Options.Model()
			if model == "" {
				model = info.Model
			}
			if err == nil && model == "" && info.NeedsModel {
				err = &backend.Error{Provider: info.Provider, Op: "start", Code: backend.CodeConfiguration,
					Remedy: "no model: name one with WithModel"}
			}
			return hookpoint.SessionStarted{Info: info, Model: model}, ending(ctx, err)
		})
	if err != nil {
		return nil, errors.Join(err, drain(ctx, set))
	}
	scope, op, err := hookpoint.Session.Begin(ctx, set, hookpoint.SessionOpen{ID: c.ID, History: c.History.Kind(),
		Conversation: c.Conversation, Info: started.Info, Model: started.Model})
	if err != nil {
		return nil, errors.Join(err, drain(ctx, set))
	}
	s.op = op
	s.Session = hookpoint.NewSessionRef(c.ID, scope, ctx)
	return s, nil
}

// drain closes the set of a session that did not come to be. The context that ended its start does not cut it short.
func drain(ctx context.Context, set *hook.Set) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CloseTimeout)
	defer cancel()
	return set.Close(ctx)
}

// Block returns a set derived from base that lives as long as the session.
func (s *Session) Block(base *hook.Set, hooks ...hook.Source) *hook.Set {
	if len(hooks) == 0 {
		return base
	}
	set := base.WithScope(hook.ScopeBlock, hooks...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets = append(s.sets, set)
	return set
}

// History returns the history as it stands.
func (s *Session) History() history.History {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history
}

// Append adds the turn of a call that succeeded; it is the Append of a [Call]. Turns are added in the order of
// completion and none is lost.
func (s *Session) Append(turn []content.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = s.history.Append(turn...)
	s.interactions++
}

// Reset forgets the history, and tells the hooks of set, the session's or a block's.
func (s *Session) Reset(ctx context.Context, set *hook.Set) {
	s.mu.Lock()
	forgotten := s.history.Len()
	s.history = s.history.Fresh()
	s.interactions = 0
	s.mu.Unlock()
	hookpoint.SessionReset.Emit(ctx, set, hookpoint.SessionResetting{Session: s.Session, Messages: forgotten})
}

// Close ends the session: calls that still run are abandoned and awaited, the Session operation ends, and the queues of
// its hooks are drained, all within ctx. Further calls of Close wait for the first and return its error.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed != nil {
		first := s.closed
		s.mu.Unlock()
		select {
		case <-first:
			return s.closeErr
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.closed = make(chan struct{})
	s.mu.Unlock()

	err := s.calls.close(ctx)
	s.mu.Lock()
	end, sets := hookpoint.SessionEnd{Interactions: s.interactions}, s.sets
	s.mu.Unlock()
	_, endErr := s.op.End(end, nil)
	err = errors.Join(err, endErr)
	for _, set := range slices.Backward(sets) {
		err = errors.Join(err, set.Close(ctx))
	}
	s.closeErr = err
	close(s.closed)
	return err
}
