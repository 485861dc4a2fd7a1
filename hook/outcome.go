package hook

import (
	"context"
	"errors"
	"time"
)

// An Outcome is what an operation came to.
type Outcome[Pre, Post any] struct {
	// Pre is the payload the guards left: the one the body was given, or the last accepted when the call was rejected.
	Pre Pre
	// Post is the result. With an error it is whatever the body had by then; when a review rejected it, it is the
	// result that was reviewed, which the caller was not given.
	Post Post
	// Err is the final error: that of the body or a [*Rejection].
	Err error
	// Start is the time before the first bracket opened and End the time the operation ended, reviews not included.
	// Both have a monotonic reading.
	Start, End time.Time
	// Ending is the class of Err.
	Ending Ending
}

// An Ending is how an operation ended.
type Ending uint8

// The endings. Only Failed is a fault: Rejected is a policy at work, Cancelled the caller's doing and Abandoned the
// library's.
const (
	Completed Ending = iota // no error
	Failed                  // any other error, a deadline included
	Rejected                // a [*Rejection] is in the error's chain
	Cancelled               // the error is [context.Canceled]
	Abandoned               // the error is [ErrAbandoned]
)

// String returns "ok", "error", "rejected", "cancelled" or "abandoned".
func (e Ending) String() string {
	switch e {
	case Completed:
		return "ok"
	case Failed:
		return "error"
	case Rejected:
		return "rejected"
	case Cancelled:
		return "cancelled"
	case Abandoned:
		return "abandoned"
	}
	return "unknown"
}

var (
	// ErrAbandoned is the cause of an operation whose result the library itself no longer wants: a loser of parallel
	// attempts, or what still ran when its session was closed.
	ErrAbandoned = errors.New("hook: operation abandoned")
	// ErrPanicked is the error of an operation whose body panicked or exited its goroutine, and of a plugin that did.
	ErrPanicked = errors.New("hook: panicked or exited its goroutine")
	// ErrDropped is the error of a [Failure] that reports an outcome an Async never saw, as its queue was full or closed.
	ErrDropped = errors.New("hook: outcome dropped: the queue is full or closed")
)

// endingOf asks in the order of precedence: a rejection may wrap a cancelled judge, and the library abandons an operation
// by cancelling its context.
func endingOf(err error) Ending {
	if err == nil {
		return Completed
	}
	if _, ok := errors.AsType[*Rejection](err); ok {
		return Rejected
	}
	switch {
	case errors.Is(err, ErrAbandoned):
		return Abandoned
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Failed
}
