package engine

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/tool"
)

// Scope is the configuration under which calls run. It is a value: a session, a block and a call each derive their
// own.
type Scope struct {
	Set       *hook.Set
	Backend   backend.Backend
	Formatter *component.Formatter
	// Options lie under those of a call.
	Options backend.Options
	// System is put before the messages of every call that names none of its own; "" puts nothing.
	System       string
	Conversation string
	Session      hookpoint.SessionRef
	// Tools are offered to the model by every call but those of judges.
	Tools tool.Set
	Loop  Loop

	infos *infos
	calls *calls
}

// NewScope returns a scope for calls without a session.
func NewScope(set *hook.Set, b backend.Backend, f *component.Formatter) Scope {
	return Scope{Set: set, Backend: b, Formatter: f, infos: &infos{}, calls: newCalls()}
}

// Close refuses further calls, gives up those that run, waits for their ends and drains the queues of the hooks, all
// within ctx.
func (s Scope) Close(ctx context.Context) error {
	return errors.Join(s.calls.close(ctx), s.Set.Close(ctx))
}

// info asks b what it is, once: a success is remembered for the life of the scope and all derived from it.
func (s Scope) info(ctx context.Context, b backend.Backend) (backend.Info, error) {
	return s.infos.of(ctx, b)
}

type infos struct{ known sync.Map } // backend.Backend → backend.Info

func (i *infos) of(ctx context.Context, b backend.Backend) (backend.Info, error) {
	if !isComparable(b) {
		return b.Info(ctx) // a backend of a type that is no key of a map is asked each time
	}
	if in, ok := i.known.Load(b); ok {
		return in.(backend.Info), nil
	}
	in, err := b.Info(ctx)
	if err != nil {
		return backend.Info{}, err
	}
	i.known.Store(b, in)
	return in, nil
}

// same reports whether a and b are the same backend; of a type that cannot be compared, no two are.
func same(a, b backend.Backend) bool { return isComparable(a) && isComparable(b) && a == b }

// isComparable reports whether b can be compared; a pointer, as most backends are, is told without allocating.
func isComparable(b backend.Backend) bool {
	return reflect.TypeOf(b).Kind() == reflect.Pointer || reflect.ValueOf(b).Comparable()
}
