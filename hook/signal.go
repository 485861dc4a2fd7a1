package hook

import "context"

// A Signal is an instant others may subscribe to: a chunk has arrived, an attempt is repeated. Like a [Point] it is made
// once, as a package variable, by the package that emits it, and its payload is passed by value.
type Signal[T any] struct {
	id   int
	name string
}

// NewSignal makes a Signal. The name appears in listings and failures; it is a label, not an identity.
func NewSignal[T any](name string) *Signal[T] {
	return &Signal[T]{id: nextID(), name: name}
}

// Name returns the name the signal was made with.
func (g *Signal[T]) Name() string { return g.name }

// Active reports whether anything in s is bound to the signal. Use it to skip building a payload nobody will see.
func (g *Signal[T]) Active(s *Set) bool { return s.listens(g.id) }

// On binds a function that is called each time the signal is emitted, in the goroutine that emits it. It looks only: a
// panic in it is recovered and reported.
func (g *Signal[T]) On(f func(context.Context, T), opts ...Option) Binding {
	return bind(g, RoleSignal, f, opts)
}

// Emit calls what s has bound to the signal, in series: lower [Priority] first, ties by scope, then installation.
func (g *Signal[T]) Emit(ctx context.Context, s *Set, v T) {
	if s != nil { // no more than this, so that Emit is inlined
		g.emit(ctx, s, v)
	}
}

// listeners is the table entry of a Signal.
type listeners[T any] []subscriber[func(context.Context, T)]

func (g *Signal[T]) emit(ctx context.Context, s *Set, v T) {
	if !s.listens(g.id) {
		return
	}
	all := *s.table[g.id].(*listeners[T])
	for i := range all {
		call(ctx, s, &all[i], v)
	}
}

func call[T any](ctx context.Context, s *Set, b *subscriber[func(context.Context, T)], v T) {
	defer s.isolate(ctx, b.who)
	b.fn(ctx, v)
}

func (g *Signal[T]) ident() (int, string) { return g.id, g.name }

func (g *Signal[T]) compile(in []*installation) any {
	all := new(listeners[T])
	for _, who := range in {
		*all = subscribe(*all, who)
	}
	return all
}
