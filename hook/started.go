package hook

import (
	"context"
	"time"
)

// Started returns when the operation began that ctx belongs to: the Start of its [Outcome]. A bracket calls it with the
// context it is given, so that what it opens begins at the time everybody else counts from. It is false for a context
// below no operation that somebody measures.
func Started(ctx context.Context) (time.Time, bool) {
	if at, ok := ctx.Value(startedKey{}).(*time.Time); ok {
		return *at, true
	}
	return time.Time{}, false
}

type startedKey struct{}

// startedContext is the context of an operation. It is part of the operation's own allocation.
type startedContext struct {
	context.Context
	at time.Time
}

func (c *startedContext) Value(key any) any {
	if key == (startedKey{}) {
		return &c.at
	}
	return c.Context.Value(key)
}
