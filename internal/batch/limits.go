package batch

import (
	"context"
	"math"
	"sync"
	"time"
)

// A Bucket bounds a rate: it fills steadily, and what is to happen takes from it first. It is safe for concurrent use.
type Bucket struct {
	rate, burst float64 // a second; at most

	mu    sync.Mutex
	level float64 // below 0 when more was used than was taken
	at    time.Time
	wake  chan struct{} // closes when something is given back
}

// NewBucket returns a full bucket for perMinute a minute. It holds what fills it in a second, and at least 1, so that
// in no minute more is taken than perMinute and this.
func NewBucket(perMinute int) *Bucket {
	rate := float64(perMinute) / 60
	return &Bucket{rate: rate, burst: max(rate, 1), level: max(rate, 1), at: time.Now(), wake: make(chan struct{})}
}

// Take waits until the bucket holds n and takes it out. Of an n that is more than the bucket ever holds it waits for a
// full one, and those who come next for the rest. It returns the cause of ctx when that ends first.
func (b *Bucket) Take(ctx context.Context, n float64) error {
	if b == nil {
		return nil
	}
	for {
		wait, wake := b.try(n)
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// try takes n out when it can, and else returns how long that will take if nobody gives anything back.
func (b *Bucket) try(n float64) (time.Duration, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	if missing := min(n, b.burst) - b.level; missing > 0 {
		return time.Duration(math.Ceil(missing / b.rate * float64(time.Second))), b.wake
	}
	b.level -= n
	return 0, nil
}

// fill adds what has come in since the last time.
func (b *Bucket) fill() {
	now := time.Now()
	b.level = min(b.burst, b.level+b.rate*now.Sub(b.at).Seconds())
	b.at = now
}

// Give gives back n of what was taken and not used. A negative n was used beyond what was taken: others wait for it.
func (b *Bucket) Give(n float64) {
	if b == nil || n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	b.level = min(b.burst, b.level+n)
	if n > 0 {
		close(b.wake)
		b.wake = make(chan struct{})
	}
}

// Limits are the rates that a run keeps to. The zero Limits bound nothing.
type Limits struct {
	Requests *Bucket // nil for no bound
	Tokens   *Bucket // nil for no bound
}

// take waits for one request of about so many tokens.
func (l Limits) take(ctx context.Context, tokens int) error {
	if err := l.Requests.Take(ctx, 1); err != nil {
		return err
	}
	if err := l.Tokens.Take(ctx, float64(tokens)); err != nil {
		l.Requests.Give(1)
		return err
	}
	return nil
}

// settle puts what was used in the place of what was taken.
func (l Limits) settle(taken int, used Result) {
	l.Requests.Give(float64(1 - used.Requests))
	l.Tokens.Give(float64(taken - used.Tokens))
}
