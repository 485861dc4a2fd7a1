package telemetry

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A SessionMode says how spans of sessions and of the calls made through them are related.
type SessionMode uint8

// The modes.
const (
	// Nest makes the session's span the parent of calls that have no other. It is the default.
	Nest SessionMode = iota
	// Link leaves calls where their context puts them, with a link to the session's span: a trace ends with its request
	// and not with a long-lived session.
	Link
	// Off opens no start_session and no session span. Calls carry mellea.session.id.
	Off
)

// sessionPlugin traces start_session and session.
type sessionPlugin struct{ t *tracer }

func (p sessionPlugin) Bindings() []hook.Binding {
	if p.t.sessions == Off {
		return nil
	}
	return []hook.Binding{
		hookpoint.SessionStart.Bracket(p.starting, outermost(p.t, "session")...),
		hookpoint.Session.Bracket(p.session, outermost(p.t, "session")...),
	}
}

func (p sessionPlugin) starting(ctx context.Context, pre hookpoint.SessionStarting) (context.Context, func(hookpoint.SessionStartOutcome)) {
	o := p.t.open(p.t.here(ctx), p.t.application, familyStartSession, pre.ID,
		semconv.SpanStartSession, internal, semconv.MelleaSessionIDKey.String(pre.ID))
	return o, o.started
}

func (o *operation) started(out hookpoint.SessionStartOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	model := out.Post.Model
	if model == "" {
		model = out.Pre.Model
	}
	a := s.attrs
	a = append(a, semconv.MelleaSessionContextTypeKey.String(out.Pre.History))
	if model != "" {
		a = append(a, semconv.GenAIRequestModelKey.String(model))
	}
	provider := out.Post.Info.Provider
	if be, ok := errors.AsType[*backend.Error](out.Err); ok && provider == "" {
		provider = be.Provider
	}
	if provider != "" {
		a = append(a, semconv.MelleaSessionBackendNameKey.String(provider), semconv.GenAIProviderNameKey.String(provider))
	}
	s.attrs = o.outcome(a, out.Ending, out.Err)
	o.set(s.attrs)
	if out.Ending == hook.Completed {
		o.tracer.started.put(out.Pre.ID, o.span.SpanContext())
	}
}

func (p sessionPlugin) session(ctx context.Context, pre hookpoint.SessionOpen) (context.Context, func(hookpoint.SessionOutcome)) {
	at := p.t.here(ctx)
	at.link = p.t.started.take(pre.ID)
	o := p.t.open(at, p.t.application, familySession, pre.ID,
		semconv.SpanSession, internal, semconv.MelleaSessionIDKey.String(pre.ID))
	return o, o.closed
}

func (o *operation) closed(out hookpoint.SessionOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	a := s.attrs
	a = append(a,
		semconv.MelleaSessionContextTypeKey.String(out.Pre.History),
		semconv.GenAIProviderNameKey.String(out.Pre.Info.Provider),
		semconv.MelleaSessionInteractionsKey.Int(out.Post.Interactions))
	if out.Pre.Conversation != "" {
		a = append(a, semconv.GenAIConversationIDKey.String(out.Pre.Conversation))
	}
	s.attrs = o.outcome(a, out.Ending, out.Err)
	o.set(s.attrs)
}

// startedSessions remembers the start_session span of each session from its end until the session's own span is opened,
// for the link between them. Sessions that never open, as a guard of theirs denied it, are forgotten when there are many.
type startedSessions struct {
	mu    sync.Mutex
	spans map[string]trace.SpanContext
}

const maxStartedSessions = 1024

func (s *startedSessions) put(id string, span trace.SpanContext) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans == nil || len(s.spans) >= maxStartedSessions {
		s.spans = map[string]trace.SpanContext{}
	}
	s.spans[id] = span
}

func (s *startedSessions) take(id string) trace.SpanContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	span := s.spans[id]
	delete(s.spans, id)
	return span
}
