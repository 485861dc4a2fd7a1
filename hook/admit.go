package hook

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
)

// errTimedOut is the cause of the context of a guard that outlived its timeout.
var errTimedOut = errors.New("hook: timed out")

// A crash is the error of a guard, check or review that panicked or, with a nil value, exited its goroutine.
type crash struct {
	value any
	stack []byte
}

func (*crash) Error() string { return ErrPanicked.Error() }

// A forbiddenEdit is the error of a point's Accept function.
type forbiddenEdit struct{ err error }

func (e *forbiddenEdit) Error() string { return "hook: forbidden edit" }

// catch, deferred, turns a panic into an error.
func catch(err *error) {
	if v := recover(); v != nil {
		*err = &crash{v, debug.Stack()}
	}
}

// admit runs guards and checks.
func (o *operation[Pre, Post]) admit() error {
	for i := range o.chain.guards {
		g := &o.chain.guards[i]
		edited, err := o.guard(g)
		if err == nil {
			o.pre = edited
		} else if err = o.judge(o.ctx, g.who, err); err != nil {
			return err
		}
	}
	switch checks := o.chain.checks; len(checks) {
	case 0:
		return nil
	case 1: // no goroutine needed to wait for it
		return o.judge(o.ctx, checks[0].who, o.check(o.ctx, &checks[0]))
	default:
		return o.checkAll(checks)
	}
}

func (o *operation[Pre, Post]) guard(g *subscriber[func(context.Context, Pre) (Pre, error)]) (Pre, error) {
	if g.who.timeout > 0 {
		pre := o.pre
		return within(o.ctx, g.who, o.set, func(ctx context.Context) (Pre, error) { return o.point.callGuard(ctx, g.fn, pre) })
	}
	return o.point.callGuard(o.ctx, g.fn, o.pre)
}

func (p *Point[Pre, Post]) callGuard(ctx context.Context, fn func(context.Context, Pre) (Pre, error), pre Pre) (edited Pre, err error) {
	defer catch(&err)
	edited, err = fn(ctx, pre)
	if err == nil && p.rules.pre != nil {
		if edited, err = p.rules.pre(pre, edited); err != nil {
			err = &forbiddenEdit{err}
		}
	}
	return edited, err
}

// checkAll runs checks in parallel. The first that rejects decides and cancels the others. It returns when all have
// returned, but for those that outlived their timeout.
func (o *operation[Pre, Post]) checkAll(checks []subscriber[func(context.Context, Pre) error]) error {
	ctx, cancel := context.WithCancelCause(o.ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for i := range checks {
		wg.Go(func() {
			err := error(&crash{}) // stands if the check exits the goroutine
			defer func() {
				if err = o.judge(ctx, checks[i].who, err); err != nil {
					once.Do(func() { first = err })
					cancel(err)
				}
			}()
			err = o.check(ctx, &checks[i])
		})
	}
	wg.Wait()
	return first
}

func (o *operation[Pre, Post]) check(ctx context.Context, c *subscriber[func(context.Context, Pre) error]) error {
	if c.who.timeout > 0 {
		pre := o.pre
		_, err := within(ctx, c.who, o.set, func(ctx context.Context) (struct{}, error) { return struct{}{}, callCheck(ctx, c.fn, pre) })
		return err
	}
	return callCheck(ctx, c.fn, o.pre)
}

func callCheck[Pre any](ctx context.Context, fn func(context.Context, Pre) error, pre Pre) (err error) {
	defer catch(&err)
	return fn(ctx, pre)
}

// review runs the reviews over o.post.
func (o *operation[Pre, Post]) review() error {
	for i := range o.chain.reviews {
		r := &o.chain.reviews[i]
		edited, err := o.reviewOne(r)
		if err == nil {
			o.post = edited
		} else if err = o.judge(o.ctx, r.who, err); err != nil {
			o.withheld = true
			return err
		}
	}
	return nil
}

func (o *operation[Pre, Post]) reviewOne(r *subscriber[func(context.Context, Pre, Post) (Post, error)]) (Post, error) {
	if r.who.timeout > 0 {
		pre, post := o.pre, o.post
		return within(o.ctx, r.who, o.set, func(ctx context.Context) (Post, error) { return o.point.callReview(ctx, r.fn, pre, post) })
	}
	return o.point.callReview(o.ctx, r.fn, o.pre, o.post)
}

func (p *Point[Pre, Post]) callReview(ctx context.Context, fn func(context.Context, Pre, Post) (Post, error), pre Pre, post Post) (edited Post, err error) {
	defer catch(&err)
	edited, err = fn(ctx, pre, post)
	if err == nil && p.rules.post != nil {
		if edited, err = p.rules.post(post, edited); err != nil {
			err = &forbiddenEdit{err}
		}
	}
	return edited, err
}

// within calls f in a goroutine and returns its result, or why it did not wait for one: errTimedOut, or the error of ctx when
// that ended first. A call that is still running then is awaited when the Set that installed who or the
// Set the operation was fired with is closed.
func within[T any](ctx context.Context, who *installation, s *Set, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, who.timeout, errTimedOut)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	who.owner.add()
	s.owner.add()
	go func() {
		defer s.owner.done()
		defer who.owner.done()
		r := result{err: &crash{}} // stands if f exits the goroutine
		defer func() { results <- r }()
		r.value, r.err = f(ctx)
	}()
	var r result
	select {
	case r = <-results:
	case <-ctx.Done():
		select {
		case r = <-results: // both were ready
		default:
			r.err = ctx.Err()
		}
	}
	if context.Cause(ctx) == errTimedOut && plain(r.err) {
		r.err = errTimedOut // however f put it
	}
	return r.value, r.err
}

// plain reports whether err is an error that f returned for no reason this package knows.
func plain(err error) bool {
	switch err.(type) { //nolint:errorlint // this package's own value, by identity
	case nil, *crash, *forbiddenEdit:
		return false
	}
	_, deliberate := rejected(err)
	return !deliberate
}

// judge turns what a guard, check or review returned into what the call is to end with, nil to go on.
func (o *operation[Pre, Post]) judge(ctx context.Context, who *installation, err error) error {
	if err == nil {
		return nil
	}
	r := &Rejection{Point: o.point.name, Plugin: who.Plugin()}
	open := false
	switch e := err.(type) { //nolint:errorlint // this package's own value, by identity
	case *crash:
		r.Code, r.Err, open = CodePanic, ErrPanicked, who.failOpen
		o.set.failed(ctx, who, Failure{Err: ErrPanicked, Panic: e.value, Stack: e.stack})
	case *forbiddenEdit:
		r.Code, r.Err = CodeForbiddenEdit, e.err
		o.set.failed(ctx, who, Failure{Err: e.err})
	default:
		if err == errTimedOut {
			r.Code, r.Err, open = CodeTimeout, context.DeadlineExceeded, who.failOpen
			o.set.failed(ctx, who, Failure{Err: context.DeadlineExceeded})
			break
		}
		if reject, ok := rejected(err); ok {
			r.Code, r.Reason, r.Err = reject.Code, reject.Reason, reject.Err
			if err != error(reject) {
				r.Err = err
			}
			break
		}
		if ended := interrupted(o.ctx, err); ended != nil {
			return ended
		}
		r.Code, r.Err = CodeError, err
	}
	if open {
		return nil
	}
	return r
}

// interrupted returns the error to end the operation with when err says that the operation's own context has ended, and nil
// when it does not. It has both the context's error and its cause in its chain: a plugin returns either, and only together
// do they tell Abandoned from Cancelled from Failed.
func interrupted(ctx context.Context, err error) error {
	ended, cause := ctx.Err(), context.Cause(ctx)
	if ended == nil || !errors.Is(err, ended) && !errors.Is(err, cause) {
		return nil
	}
	for _, e := range []error{ended, cause} {
		if !errors.Is(err, e) {
			err = errors.Join(err, e)
		}
	}
	return err
}
