package hook

import (
	"path"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// A Binding is a function bound to a point or a signal in a role. It is inert until a [Set] installs it, immutable, and
// may be installed in any number of Sets.
type Binding struct {
	point    compiler
	name     string // of the point
	id       int    // of the point
	role     Role
	scope    Scope
	fn       any     // of the function type that point and role determine
	pc       uintptr // of fn
	settings         // what options set
}

// A compiler is a point or a signal: it turns what is bound to it in one Set into the table entry it fires from.
type compiler interface {
	ident() (id int, name string)
	compile([]*installation) any
}

type settings struct {
	plugin    string
	priority  int
	failOpen  bool
	timeout   time.Duration
	queueSize int
	once      any
}

func bind(p compiler, role Role, fn any, opts []Option) Binding {
	v := reflect.ValueOf(fn)
	id, name := p.ident()
	if v.IsNil() {
		panic("hook: nil function bound to " + name + " as " + role.String())
	}
	b := Binding{point: p, name: name, id: id, role: role, fn: fn, pc: v.Pointer()}
	b.queueSize = DefaultQueueSize
	for _, opt := range opts {
		opt(&b.settings)
	}
	return b
}

// Point returns the name of the point or signal.
func (b Binding) Point() string { return b.name }

// Role returns the role.
func (b Binding) Role() Role { return b.role }

// Plugin returns the name given by [Name] or by the [Plugin] the binding is part of, and without one the name of the
// bound function, such as "audit.Write" or "main.main.func1".
func (b Binding) Plugin() string {
	if b.plugin != "" {
		return b.plugin
	}
	if f := runtime.FuncForPC(b.pc); f != nil {
		return strings.TrimSuffix(path.Base(f.Name()), "-fm")
	}
	return "unnamed"
}

// Priority returns the priority; the lower goes first, or outermost.
func (b Binding) Priority() int { return b.priority }

// Scope returns what the binding was installed for. It is set by installation.
func (b Binding) Scope() Scope { return b.scope }

// Bindings returns the binding alone, which makes a Binding a [Source].
func (b Binding) Bindings() []Binding { return []Binding{b} }

// A Source is anything that can be installed in a [Set]: a [Binding], a [Plugin], a guard, telemetry.
type Source interface{ Bindings() []Binding }

// A Plugin is a named group of sources.
type Plugin struct {
	Name    string
	Sources []Source
}

// Bindings returns the bindings of all sources in order, with the plugin's name on those that have none of their own.
func (p Plugin) Bindings() []Binding {
	var all []Binding
	for _, src := range p.Sources {
		if src == nil {
			continue
		}
		for _, b := range src.Bindings() {
			if b.plugin == "" {
				b.plugin = p.Name
			}
			all = append(all, b)
		}
	}
	return all
}

// A Role is what a subscriber may do and when it is called. The order of the constants is that of one operation.
type Role uint8

// The roles.
const (
	RoleBracket Role = iota
	RoleGuard
	RoleCheck
	RoleObserve
	RoleReview
	RoleOnError
	RoleAsync
	RoleSignal
)

var roleNames = [...]string{"bracket", "guard", "check", "observe", "review", "on_error", "async", "signal"}

// String returns the role's name in lower case, such as "on_error".
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "unknown"
}

// A Scope is what a binding was installed for.
type Scope uint8

// The scopes, widest first.
const (
	ScopeProgram Scope = iota
	ScopeSession
	ScopeBlock
)

var scopeNames = [...]string{"program", "session", "block"}

// String returns "program", "session" or "block".
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return "unknown"
}

// An Option configures a Binding as it is made.
type Option func(*settings)

// Priorities of the library's own brackets. Numbers at or beyond ±1000 are reserved for the library.
const (
	PriorityTracing = -3000
	PriorityMetrics = -2000
	PriorityLogs    = -1000
)

// DefaultQueueSize is the number of outcomes that wait for an Async before more are dropped.
const DefaultQueueSize = 256

// Priority sets the binding's place within its role: the lower goes first, or outermost. The default is 0.
func Priority(n int) Option { return func(s *settings) { s.priority = n } }

// Name names the plugin the binding belongs to, in listings, rejections and failures. It is a label, not an identity.
func Name(plugin string) Option { return func(s *settings) { s.plugin = plugin } }

// FailOpen lets the call go on, with the payload it had, when a Guard, Check or Review panics or outlives its timeout.
// Without it the call is denied. Rejections, other errors and forbidden edits always deny. Other roles ignore it.
func FailOpen() Option { return func(s *settings) { s.failOpen = true } }

// Timeout bounds a Guard, a Check or a Review: its context ends after d, and the call does not wait for it any longer.
// A function that runs on is awaited by [Set.Close]. For an Async it bounds the context only. The default, and any d
// that is not positive, is no limit beyond that of the call's own context. Other roles ignore it.
func Timeout(d time.Duration) Option { return func(s *settings) { s.timeout = d } }

// QueueSize sets how many outcomes may wait for an Async; below 1 it means [DefaultQueueSize]. Other roles ignore it.
func QueueSize(n int) Option {
	return func(s *settings) {
		if n < 1 {
			n = DefaultQueueSize
		}
		s.queueSize = n
	}
}

// Once makes a repeated installation of the binding a no-op: a Set that has a binding with an equal key for the same
// point, role, priority, plugin and function is left as it is. The key must be comparable; an unexported type of the plugin's
// package, or the plugin's own pointer, keeps it from meeting another's. Once panics on a key that is not comparable.
func Once(key any) Option {
	if key == nil || !reflect.ValueOf(key).Comparable() {
		panic("hook: the key of Once must be comparable and not nil")
	}
	return func(s *settings) { s.once = key }
}
