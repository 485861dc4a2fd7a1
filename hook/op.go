package hook

import (
	"context"
	"sync"
	"time"
)

// noTime asks finish to read the clock itself, and only if somebody will see the time.
var noTime time.Time

// An Op is an operation that [Point.Begin] opened. It may be copied: the copies are the same operation. Its zero value is
// an operation nobody listens to.
type Op[Pre, Post any] struct {
	// Pre is the payload the guards left.
	Pre       Pre
	operation *operation[Pre, Post]
}

// End ends the operation now: reviews run, brackets close. It returns the final result, which the caller must use
// instead of its own: a review may have changed or rejected it.
//
// End may be called several times and from several goroutines. The first call ends the operation; the others wait for it
// and return its result, their arguments are ignored. (With nobody listening there is nothing to end, and each call
// returns its arguments.) A subscriber of an operation must not end that operation.
func (op *Op[Pre, Post]) End(post Post, err error) (Post, error) {
	if op.operation == nil {
		return post, err
	}
	return op.operation.finish(noTime, post, err)
}

// EndAt is [Op.End] for an operation that ended earlier than now: when the last byte arrived, say. A time before the
// operation's Start counts as Start, the zero time as now.
func (op *Op[Pre, Post]) EndAt(at time.Time, post Post, err error) (Post, error) {
	if op.operation == nil {
		return post, err
	}
	return op.operation.finish(at, post, err)
}

// inlineClosers is the number of brackets an operation can hold in its own allocation: traces, metrics, logs and one more.
const inlineClosers = 4

// An operation is the state of one firing that somebody listens to.
type operation[Pre, Post any] struct {
	point *Point[Pre, Post]
	set   *Set
	chain *chain[Pre, Post]
	start time.Time
	// started carries start to the brackets, see [Started].
	started startedContext

	// ctx and pre change while the operation opens and not after that.
	ctx context.Context
	pre Pre

	// closers holds the finishers of the brackets that opened and have not closed, outermost first. It belongs to the
	// goroutine that opens and then to the one that ends the operation.
	closers []closer[Pre, Post]
	inline  [inlineClosers]closer[Pre, Post]

	// What the end came to. Written by the goroutine that ends the operation, before it hands the operation to others.
	post     Post
	err      error
	end      time.Time
	withheld bool // a review rejected post, so callers are not given it

	mu    sync.Mutex
	phase phase
	wait  chan struct{} // made by the first caller that has to wait for the end; closed at the end
}

// A closer is the finisher of a bracket that opened.
type closer[Pre, Post any] struct {
	fn  func(Outcome[Pre, Post])
	who *installation
}

type phase uint8

const (
	phaseOpen phase = iota
	phaseEnding
	phaseEnded
)

// open runs everything that comes before the body. When it returns an error the operation has ended with it.
func (p *Point[Pre, Post]) open(ctx context.Context, s *Set, pre Pre) (*operation[Pre, Post], error) {
	o := &operation[Pre, Post]{point: p, set: s, chain: p.chain(s), ctx: ctx, pre: pre}
	o.closers = o.inline[:0]
	if o.chain.timed {
		o.start = time.Now()
		if len(o.chain.brackets) > 0 {
			o.started = startedContext{ctx, o.start}
			o.ctx = &o.started
		}
	}
	s.family.open.Add(1)
	returned := false
	defer func() {
		if !returned { // a plugin exited the goroutine: panics are recovered where they happen
			_, _ = o.finish(noTime, o.post, ErrPanicked)
		}
	}()
	for i := range o.chain.brackets {
		o.openBracket(&o.chain.brackets[i])
	}
	err := o.admit()
	if err == nil {
		for i := range o.chain.observers {
			o.observe(&o.chain.observers[i])
		}
	}
	returned = true
	if err != nil {
		_, err = o.finish(noTime, o.post, err)
	}
	return o, err
}

func (o *operation[Pre, Post]) openBracket(b *subscriber[func(context.Context, Pre) (context.Context, func(Outcome[Pre, Post]))]) {
	defer o.set.isolate(o.ctx, b.who)
	ctx, fn := b.fn(o.ctx, o.pre)
	if ctx != nil {
		o.ctx = ctx
	}
	if fn != nil {
		o.closers = append(o.closers, closer[Pre, Post]{fn, b.who})
	}
}

func (o *operation[Pre, Post]) observe(b *subscriber[func(context.Context, Pre)]) {
	defer o.set.isolate(o.ctx, b.who)
	b.fn(o.ctx, o.pre)
}

// finish ends the operation, or waits for whoever does, and returns the final result. What must happen is deferred, so
// that it does when a plugin exits the goroutine.
func (o *operation[Pre, Post]) finish(at time.Time, post Post, err error) (Post, error) {
	if !o.claim() {
		return o.result()
	}
	if o.chain.timed {
		o.end = o.endTime(at)
	}
	o.post, o.err = post, err
	defer o.settle()
	defer o.closeBrackets()
	defer o.enqueue()
	defer o.notifyError()
	if err == nil && len(o.chain.reviews) > 0 {
		o.err = ErrPanicked // stands if a review exits the goroutine
		o.err = o.review()
	}
	return o.result()
}

// claim reports whether the caller is the one to end the operation; for all others it waits until the operation has ended.
// They wait on a channel, not on the mutex, so that time goes on in a synctest bubble.
func (o *operation[Pre, Post]) claim() bool {
	o.mu.Lock()
	switch o.phase {
	case phaseOpen:
		o.phase = phaseEnding
		o.mu.Unlock()
		return true
	case phaseEnding:
		if o.wait == nil {
			o.wait = make(chan struct{})
		}
		wait := o.wait
		o.mu.Unlock()
		<-wait
		return false
	}
	o.mu.Unlock()
	return false
}

func (o *operation[Pre, Post]) settle() {
	o.mu.Lock()
	o.phase = phaseEnded
	if o.wait != nil {
		close(o.wait)
	}
	o.mu.Unlock()
	o.set.family.open.Add(-1)
}

func (o *operation[Pre, Post]) endTime(at time.Time) time.Time {
	switch {
	case at.IsZero():
		return time.Now()
	case at.Before(o.start):
		return o.start
	}
	return at
}

func (o *operation[Pre, Post]) result() (Post, error) {
	if o.withheld {
		var zero Post
		return zero, o.err
	}
	return o.post, o.err
}

func (o *operation[Pre, Post]) outcome() Outcome[Pre, Post] {
	return Outcome[Pre, Post]{Pre: o.pre, Post: o.post, Err: o.err, Start: o.start, End: o.end, Ending: endingOf(o.err)}
}

func (o *operation[Pre, Post]) notifyError() {
	if o.err == nil {
		return
	}
	for i := range o.chain.onErrors {
		o.onError(&o.chain.onErrors[i])
	}
}

func (o *operation[Pre, Post]) onError(b *subscriber[func(context.Context, Outcome[Pre, Post])]) {
	defer o.set.isolate(o.ctx, b.who)
	b.fn(o.ctx, o.outcome())
}

func (o *operation[Pre, Post]) enqueue() {
	for i := range o.chain.asyncs {
		who := o.chain.asyncs[i].who
		if !who.queue.put(task{o, i}) {
			o.set.dropped(o.ctx, who)
		}
	}
}

// deliver calls the i-th Async. It runs in that queue's goroutine, after the outcome has become final.
func (o *operation[Pre, Post]) deliver(i int) {
	b := &o.chain.asyncs[i]
	ctx := context.WithoutCancel(o.ctx)
	if b.who.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.who.timeout)
		defer cancel()
	}
	defer o.set.isolate(ctx, b.who)
	b.fn(ctx, o.outcome())
}

func (o *operation[Pre, Post]) closeBrackets() {
	if len(o.closers) == 0 {
		return
	}
	defer o.closeBrackets() // the rest, when a finisher exits the goroutine; otherwise there is none
	out := o.outcome()
	for len(o.closers) > 0 {
		last := len(o.closers) - 1
		c := o.closers[last]
		o.closers[last] = closer[Pre, Post]{}
		o.closers = o.closers[:last]
		o.closeBracket(c, out)
	}
}

func (o *operation[Pre, Post]) closeBracket(c closer[Pre, Post], out Outcome[Pre, Post]) {
	defer o.set.isolate(o.ctx, c.who)
	c.fn(out)
}
