// Package hookpoint is the catalogue of hook points: what a generative program announces, and what a plugin sees.
//
// Each point is a variable to bind to. Its payloads are immutable values: scalars, and types whose accessors copy or
// iterate. The fields a guard or a review may change are named in the point's comment; changing another one is an
// error of the call, never silently dropped.
//
// Only the engine fires these points.
package hookpoint

import (
	"context"
	"reflect"
)

// SessionRef says which session an operation belongs to. It is zero for calls without a session.
type SessionRef struct {
	// ID is the session's id.
	ID string

	contexts *contexts
}

type contexts struct{ scope, start context.Context }

// NewSessionRef returns the reference to a session: scope is the context that the brackets of [Session] returned, start
// the one the session was started with.
func NewSessionRef(id string, scope, start context.Context) SessionRef {
	return SessionRef{ID: id, contexts: &contexts{scope, start}}
}

// Scope returns the context that the brackets of [Session] returned: what they put there is found in it. It is for
// looking up values, not for bounding work. Without a session it is context.Background().
func (r SessionRef) Scope() context.Context {
	if r.contexts == nil {
		return context.Background()
	}
	return r.contexts.scope
}

// Start returns the context that the session was started with, context.Background() without a session.
func (r SessionRef) Start() context.Context {
	if r.contexts == nil {
		return context.Background()
	}
	return r.contexts.start
}

// All lists the points and signals of the catalogue by name, in the order of a program's life.
func All() []string {
	return []string{
		SessionStart.Name(), Session.Name(), SessionReset.Name(), Component.Name(), Format.Name(), Generation.Name(),
		GenerationEvent.Name(), GenerationBatch.Name(), Sampling.Name(), SamplingIteration.Name(), SamplingRepair.Name(), SamplingSelect.Name(),
		Validation.Name(), Requirement.Name(), Tool.Name(),
	}
}

// unchanged reports whether a plugin left a payload, or a part of one, as it was. Lists count by identity where their
// elements cannot be compared: a copy that nobody edited is the same list.
func unchanged[T any](old, edited T) bool { return reflect.DeepEqual(old, edited) }

func forbidden(point, field string) error {
	return &EditError{Point: point, Field: field}
}

// EditError says that a plugin changed a payload field that its point does not allow to change.
type EditError struct{ Point, Field string }

func (e *EditError) Error() string {
	return "hook " + e.Point + ": a plugin changed " + e.Field + ", which is read-only at this point"
}
