package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
)

// ErrClosed is the error of a call on a session, or another runner, that has been closed.
var ErrClosed = errors.New("mellea: the session is closed: start a new one")

// calls knows what runs under a session, so that closing can give it up and wait for its ends.
type calls struct {
	mu     sync.Mutex
	closed bool
	active map[*call]struct{}
	idle   chan struct{} // closes when the last call has ended after close; nil before
}

// call is one entry of calls.
type call struct {
	of     *calls
	cancel context.CancelCauseFunc
}

func newCalls() *calls { return &calls{active: map[*call]struct{}{}} }

// begin enters a call. The context it returns ends when the session is closed; leave must be called exactly once.
func (c *calls) begin(ctx context.Context) (context.Context, *call, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	entry := &call{of: c, cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		cancel(ErrClosed)
		return nil, nil, ErrClosed
	}
	c.active[entry] = struct{}{}
	return ctx, entry, nil
}

func (e *call) leave() {
	e.of.mu.Lock()
	delete(e.of.active, e)
	if e.of.idle != nil && len(e.of.active) == 0 {
		close(e.of.idle)
		e.of.idle = nil
	}
	e.of.mu.Unlock()
	e.cancel(nil)
}

// close refuses further calls, abandons those that run and waits for their ends, or for ctx.
func (c *calls) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	if len(c.active) == 0 {
		c.mu.Unlock()
		return nil
	}
	for e := range c.active {
		e.cancel(backend.ErrAbandoned)
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abandoned makes hook see an abandoned generation as such, whatever package gave it up.
type abandoned struct{ error }

func (e abandoned) Is(target error) bool { return target == hook.ErrAbandoned }
func (e abandoned) Unwrap() error        { return e.error }

// ending prepares an error for the end of an operation: why a context ended takes the place of the errors that its end
// made others return, and abandonment is marked. A rejection stays one, whatever it wraps.
func ending(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// What the caller gave up stays so when the library gives up the call around it a moment later.
	explicit := errors.As(err, new(*backend.CancelledError)) && !errors.Is(err, backend.ErrAbandoned)
	if ctx.Err() != nil && !explicit && !errors.As(err, new(*hook.Rejection)) {
		told, cause := errors.Is(err, ctx.Err()), errors.Is(err, context.Cause(ctx))
		whole := cause && (told || errors.Is(err, backend.ErrAbandoned))
		if !whole && (told || cause || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
			err = givenUp(ctx)
		}
	}
	if errors.Is(err, backend.ErrAbandoned) && !errors.Is(err, hook.ErrAbandoned) {
		return abandoned{err}
	}
	return err
}

// givenUp returns why a context ended, as an error that tells whose doing it was: the caller's, whatever cause it named,
// the library's, or that of a deadline.
func givenUp(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case errors.Is(cause, err), errors.Is(cause, backend.ErrAbandoned):
		return cause
	case errors.Is(err, context.Canceled):
		return &backend.CancelledError{Cause: cause}
	}
	return fmt.Errorf("%w: %w", err, cause)
}
