package hook

import (
	"context"
	"sync/atomic"
)

// lastID numbers points and signals, so that a Set can be a table. It is a counter, not a registry: nothing is kept.
var lastID atomic.Int64

func nextID() int { return int(lastID.Add(1) - 1) }

// A Point is a step of a program that takes time and that others may subscribe to. Pre is what is known before the step,
// Post what is known after it. Points are made once, as package variables, by the package that fires them.
//
// Pre and Post are passed by value. Give them scalars and immutable types only, as a slice, map or pointer in them is
// shared by all subscribers.
type Point[Pre, Post any] struct {
	id    int
	name  string
	rules rules[Pre, Post]
}

// rules say which edits of a payload the point accepts. A nil function accepts all of them.
type rules[Pre, Post any] struct {
	pre  func(old, edited Pre) (Pre, error)
	post func(old, edited Post) (Post, error)
}

// A PointOption configures a Point as it is made.
type PointOption[Pre, Post any] func(*rules[Pre, Post])

// Accept says which edits of a guard count. The function is given the payload a guard was called with and the one it
// returned, after every guard that returned no error, and returns the payload to go on with. An error from it means the
// edit is forbidden: the call is rejected with [CodeForbiddenEdit], with [FailOpen] too. Without Accept every edit counts.
//
// Type arguments are those of the point: hook.Accept[Request, Reply](keepModel).
func Accept[Pre, Post any](f func(old, edited Pre) (Pre, error)) PointOption[Pre, Post] {
	return func(r *rules[Pre, Post]) { r.pre = f }
}

// AcceptPost is [Accept] for the edits of reviews.
func AcceptPost[Pre, Post any](f func(old, edited Post) (Post, error)) PointOption[Pre, Post] {
	return func(r *rules[Pre, Post]) { r.post = f }
}

// NewPoint makes a Point. The name appears in listings, rejections and failures; it is a label, not an identity.
func NewPoint[Pre, Post any](name string, opts ...PointOption[Pre, Post]) *Point[Pre, Post] {
	p := &Point[Pre, Post]{id: nextID(), name: name}
	for _, opt := range opts {
		opt(&p.rules)
	}
	return p
}

// Name returns the name the point was made with.
func (p *Point[Pre, Post]) Name() string { return p.name }

// Active reports whether anything in s is bound to the point. Use it to skip building a payload nobody will see.
func (p *Point[Pre, Post]) Active(s *Set) bool { return s.listens(p.id) }

// Reviewed reports whether a Review in s is bound to the point: a result must then be held back until End has returned.
func (p *Point[Pre, Post]) Reviewed(s *Set) bool {
	return s.listens(p.id) && len(p.chain(s).reviews) > 0
}

// Bracket binds a function that is called before the operation and returns the context for everything beneath it, and
// the function to call when the operation has ended. Either may be nil: the context is then the one it was given.
//
// The payload at the opening is the one the caller gave. That of the Outcome is the one the guards left, so content is
// best read there.
func (p *Point[Pre, Post]) Bracket(f func(context.Context, Pre) (context.Context, func(Outcome[Pre, Post])), opts ...Option) Binding {
	return bind(p, RoleBracket, f, opts)
}

// Guard binds a function that may rewrite the payload or reject the call, by [Reject] or any other error.
func (p *Point[Pre, Post]) Guard(f func(context.Context, Pre) (Pre, error), opts ...Option) Binding {
	return bind(p, RoleGuard, f, opts)
}

// Check binds a function that may reject the call. Checks of one operation run in parallel, each in a goroutine when
// there are several, and their context is cancelled by the first rejection: a Check is for work that waits, such as
// asking a model, and must honour its context. A quick one is better bound as a Guard that returns its payload.
func (p *Point[Pre, Post]) Check(f func(context.Context, Pre) error, opts ...Option) Binding {
	return bind(p, RoleCheck, f, opts)
}

// Observe binds a function that looks at the payload the body is about to be given.
func (p *Point[Pre, Post]) Observe(f func(context.Context, Pre), opts ...Option) Binding {
	return bind(p, RoleObserve, f, opts)
}

// Review binds a function that may rewrite the result of a body that succeeded, or reject it. Where a review rejects,
// the caller is given the zero Post.
func (p *Point[Pre, Post]) Review(f func(context.Context, Pre, Post) (Post, error), opts ...Option) Binding {
	return bind(p, RoleReview, f, opts)
}

// OnError binds a function that looks at the outcome of an operation that has an error, whatever its [Ending].
func (p *Point[Pre, Post]) OnError(f func(context.Context, Outcome[Pre, Post]), opts ...Option) Binding {
	return bind(p, RoleOnError, f, opts)
}

// Async binds a function that looks at the outcome of every operation in the background. It is called for one operation
// at a time, in the order the operations ended. Its queue is bounded ([QueueSize]); what does not fit is dropped, counted
// and reported. The context carries the operation's values but not its cancellation.
func (p *Point[Pre, Post]) Async(f func(context.Context, Outcome[Pre, Post]), opts ...Option) Binding {
	return bind(p, RoleAsync, f, opts)
}

// Do fires the point around body. It returns what body returned, as changed by reviews, or a [*Rejection] and the zero
// Post. The body is given the brackets' context and the payload the guards left.
func (p *Point[Pre, Post]) Do(ctx context.Context, s *Set, pre Pre, body func(context.Context, Pre) (Post, error)) (Post, error) {
	if s.listens(p.id) {
		return p.do(ctx, s, pre, body)
	}
	return body(ctx, pre)
}

func (p *Point[Pre, Post]) do(ctx context.Context, s *Set, pre Pre, body func(context.Context, Pre) (Post, error)) (Post, error) {
	var post Post
	o, err := p.open(ctx, s, pre)
	if err != nil {
		return post, err
	}
	returned := false
	defer func() {
		if !returned { // body panicked or exited; recovering here would cost the panic its stack
			_, _ = o.finish(noTime, post, ErrPanicked)
		}
	}()
	post, err = body(o.ctx, o.pre)
	returned = true
	return o.finish(noTime, post, err)
}

// Begin fires the point for an operation that ends later than the function that begins it, such as a stream. Unless it
// returns an error, the caller must call End on every path; once an error is returned the operation has already ended,
// and the context returned is the one given.
//
// The context returned is for everything beneath the operation.
func (p *Point[Pre, Post]) Begin(ctx context.Context, s *Set, pre Pre) (context.Context, Op[Pre, Post], error) {
	if s.listens(p.id) {
		return p.begin(ctx, s, pre)
	}
	return ctx, Op[Pre, Post]{Pre: pre}, nil
}

func (p *Point[Pre, Post]) begin(ctx context.Context, s *Set, pre Pre) (context.Context, Op[Pre, Post], error) {
	o, err := p.open(ctx, s, pre)
	if err == nil {
		ctx = o.ctx
	}
	return ctx, Op[Pre, Post]{Pre: o.pre, operation: o}, err
}

// A chain is what a Set has bound to one point, by role and in firing order.
type chain[Pre, Post any] struct {
	brackets  []subscriber[func(context.Context, Pre) (context.Context, func(Outcome[Pre, Post]))]
	guards    []subscriber[func(context.Context, Pre) (Pre, error)]
	checks    []subscriber[func(context.Context, Pre) error]
	observers []subscriber[func(context.Context, Pre)]
	reviews   []subscriber[func(context.Context, Pre, Post) (Post, error)]
	onErrors  []subscriber[func(context.Context, Outcome[Pre, Post])]
	asyncs    []subscriber[func(context.Context, Outcome[Pre, Post])]
	timed     bool // somebody will see an Outcome, so the clock is worth reading
}

// chain must be called only when s listens to p.
func (p *Point[Pre, Post]) chain(s *Set) *chain[Pre, Post] {
	return s.table[p.id].(*chain[Pre, Post])
}

func (p *Point[Pre, Post]) ident() (int, string) { return p.id, p.name }

func (p *Point[Pre, Post]) compile(in []*installation) any {
	c := &chain[Pre, Post]{}
	for _, who := range in {
		switch who.role {
		case RoleBracket:
			c.brackets = subscribe(c.brackets, who)
		case RoleGuard:
			c.guards = subscribe(c.guards, who)
		case RoleCheck:
			c.checks = subscribe(c.checks, who)
		case RoleObserve:
			c.observers = subscribe(c.observers, who)
		case RoleReview:
			c.reviews = subscribe(c.reviews, who)
		case RoleOnError:
			c.onErrors = subscribe(c.onErrors, who)
		case RoleAsync:
			c.asyncs = subscribe(c.asyncs, who)
		}
	}
	c.timed = len(c.brackets)+len(c.onErrors)+len(c.asyncs) > 0
	return c
}
