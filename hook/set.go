package hook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// A Set is the bindings that are installed for a program, a session or a block. It is immutable: deriving a Set leaves the
// one it is derived from as it is. A nil Set is valid and empty.
type Set struct {
	table     []any           // what each point or signal fires from, by its id; nil where nothing is bound
	installed []*installation // by point and in firing order
	scope     Scope
	reporter  func(Failure) // nil for the default
	family    *family

	// What this Set's own installation introduced.
	queues []*queue
	owner  *ledger
}

// A family is a Set made from nil and all derived from it. They share counters and warn once about a plugin.
type family struct {
	open, drops, failures atomic.Int64

	warned sync.Map // names of plugins
}

// An installation is a Binding in a Set and in those derived from it.
type installation struct {
	Binding
	order int     // of installation
	queue *queue  // of an Async
	owner *ledger // of the Set that introduced it
}

// A subscriber is an installation with its function's type restored.
type subscriber[F any] struct {
	fn  F
	who *installation
}

func subscribe[F any](to []subscriber[F], who *installation) []subscriber[F] {
	return append(to, subscriber[F]{who.fn.(F), who})
}

// listens is the whole cost of a point nobody listens to.
func (s *Set) listens(id int) bool { return s != nil && id < len(s.table) && s.table[id] != nil }

// With derives a Set that has the bindings of s and those of the sources, installed for the scope s itself was made for,
// and for the program when s is nil. Nil sources are skipped.
//
// The derived Set owns the queues of the Async bindings it adds: whoever derives it closes it.
func (s *Set) With(sources ...Source) *Set {
	var scope Scope
	if s != nil {
		scope = s.scope
	}
	return s.WithScope(scope, sources...)
}

// WithScope is [Set.With] that installs for the given scope. Background work of a Set made for [ScopeBlock] counts as work of
// the Set it was derived from as well: closing the session waits for what its blocks started.
func (s *Set) WithScope(scope Scope, sources ...Source) *Set {
	if s == nil && scope == ScopeProgram && len(sources) == 0 {
		return nil
	}
	n := &Set{scope: scope, owner: &ledger{}}
	if s == nil {
		n.family = &family{}
	} else {
		n.family, n.reporter = s.family, s.reporter
		n.table, n.installed = slices.Clone(s.table), slices.Clone(s.installed)
		if scope == ScopeBlock {
			n.owner.parent = s.owner
		}
	}
	var touched []int
	for _, src := range sources {
		if src == nil {
			continue
		}
		for _, b := range src.Bindings() {
			if n.install(b) {
				touched = append(touched, b.id)
			}
		}
	}
	slices.Sort(touched)
	for _, id := range slices.Compact(touched) {
		n.compile(id)
	}
	return n
}

// install adds b where it fires, unless it is there already and bound with Once.
func (s *Set) install(b Binding) bool {
	if b.point == nil || b.once != nil && slices.ContainsFunc(s.installed, func(in *installation) bool { return in.same(b) }) {
		return false
	}
	b.scope = s.scope
	in := &installation{Binding: b, owner: s.owner, order: len(s.installed)}
	if b.role == RoleAsync {
		in.queue = &queue{limit: b.queueSize, owner: s.owner}
		s.queues = append(s.queues, in.queue)
	}
	at, _ := slices.BinarySearchFunc(s.installed, in, compare)
	s.installed = slices.Insert(s.installed, at, in)
	return true
}

// compile rebuilds the table entry of the point with the given id.
func (s *Set) compile(id int) {
	first, _ := slices.BinarySearchFunc(s.installed, id, func(in *installation, id int) int { return cmp.Compare(in.id, id) })
	end := first
	for end < len(s.installed) && s.installed[end].id == id {
		end++
	}
	if id >= len(s.table) {
		s.table = append(s.table, make([]any, id+1-len(s.table))...)
	}
	s.table[id] = s.installed[first].point.compile(s.installed[first:end])
}

func compare(a, b *installation) int {
	return cmp.Or(
		cmp.Compare(a.id, b.id),
		cmp.Compare(a.role, b.role),
		cmp.Compare(a.priority, b.priority),
		cmp.Compare(a.scope, b.scope),
		cmp.Compare(a.order, b.order),
	)
}

func (in *installation) same(b Binding) bool {
	return in.id == b.id && in.role == b.role && in.priority == b.priority && in.plugin == b.plugin && in.pc == b.pc && in.once == b.once
}

// Report derives a Set that hands each [Failure] to f instead of logging the first of each plugin. It introduces nothing:
// the derived Set owns what s owns, and closing one closes the other. A nil f restores the default.
//
// f is called in the goroutine in which the failure happened, by several at once, and must be quick.
func (s *Set) Report(f func(Failure)) *Set {
	if s == nil {
		return &Set{family: &family{}, owner: &ledger{}, reporter: f}
	}
	n := *s
	n.reporter = f
	return &n
}

// Bindings returns what is installed, by point in the order the points were made, then in firing order.
func (s *Set) Bindings() []Binding {
	if s == nil {
		return nil
	}
	all := make([]Binding, len(s.installed))
	for i, in := range s.installed {
		all[i] = in.Binding
	}
	return all
}

// Close ends the background work of this Set's own installation: its Async queues take nothing more (what comes is counted
// as dropped) and what they hold is delivered; guards that outlived their timeout are awaited. What other Sets introduced
// goes on, and all other roles keep firing.
//
// Close returns when that work is done, or an error that wraps the context's cause. It may be called again, to wait
// longer. Close of a nil Set returns nil.
func (s *Set) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	for _, q := range s.queues {
		q.close()
	}
	if err := s.owner.wait(ctx); err != nil {
		return fmt.Errorf("hook: background work of plugins has not ended: %w", err)
	}
	return nil
}

// Stats are counts over a Set, the Sets it was derived from and all derived from them.
type Stats struct {
	AsyncDropped   int64 // outcomes an Async never saw
	PluginFailures int64 // panics, timeouts and forbidden edits
	OpenOperations int64 // operations somebody listens to that have not ended
}

// Stats returns the present counts.
func (s *Set) Stats() Stats {
	if s == nil {
		return Stats{}
	}
	f := s.family
	return Stats{AsyncDropped: f.drops.Load(), PluginFailures: f.failures.Load(), OpenOperations: f.open.Load()}
}
