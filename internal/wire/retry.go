package wire

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryPolicy bounds the retries of one call. Tried again are statuses 429 and 5xx other than 501, and a
// connection that was reset or closed before the reply began. A refused connection, an unknown host or a
// TLS failure is not: it is a setting to correct, and the caller should hear of it at once.
type RetryPolicy struct {
	Max      int           // retries after the first try; 0 is 2, negative is none
	Base     time.Duration // delay before the first retry, doubled for each further one; 0 is 250 ms
	Cap      time.Duration // longest delay of our own; 0 is 8 s
	MaxAfter time.Duration // longest Retry-After obeyed, a longer one fails the call at once; 0 is 60 s
}

// Times returns the policy with n retries; below 1 there are none.
func (p RetryPolicy) Times(n int) RetryPolicy {
	if p.Max = n; n <= 0 {
		p.Max = -1
	}
	return p
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.Max == 0 {
		p.Max = 2
	}
	if p.Base <= 0 {
		p.Base = 250 * time.Millisecond
	}
	if p.Cap <= 0 {
		p.Cap = 8 * time.Second
	}
	if p.MaxAfter <= 0 {
		p.MaxAfter = time.Minute
	}
	return p
}

// Retry reports one retry of a call.
type Retry struct {
	Attempt int           // 1 for the first retry
	Delay   time.Duration // wait before it
	Status  int           // HTTP status of the try that failed; 0 when there was no reply
	Err     error         // *StatusError or *TransportError
	At      time.Time     // when the try failed
}

// next decides what follows failed try number try (from 0): a retry after a delay, or the end.
func (p RetryPolicy) next(ctx context.Context, try int, err error) (Retry, bool) {
	if try >= p.Max {
		return Retry{}, false
	}
	r := Retry{Attempt: try + 1, Delay: p.backoff(try), Err: err, At: time.Now()}
	var status *StatusError
	var broken *TransportError
	switch {
	case errors.As(err, &status):
		r.Status = status.Status
		if !status.retryable || status.RetryAfter > p.MaxAfter {
			return Retry{}, false
		}
		r.Delay = max(r.Delay, status.RetryAfter)
	case errors.As(err, &broken):
		if !broken.retryable {
			return Retry{}, false
		}
	default:
		return Retry{}, false
	}
	// A delay that outlives the caller would only turn a telling error into a deadline.
	if deadline, ok := ctx.Deadline(); ok && r.At.Add(r.Delay).After(deadline) {
		return Retry{}, false
	}
	return r, true
}

// backoff returns the delay after try, uniformly between half of it and the whole.
func (p RetryPolicy) backoff(try int) time.Duration {
	d := p.Cap
	if try < 32 && p.Base<<try > 0 {
		d = min(p.Base<<try, p.Cap)
	}
	return d/2 + rand.N(d/2+1)
}

// sleep waits for d or for the end of ctx, whose cause it returns.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func retryableStatus(status int, h http.Header) bool {
	if h.Get("X-Should-Retry") == "false" { // OpenAI says so for a spent quota
		return false
	}
	return status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// retryAfter returns the wait a server asks for, 0 when it asks for none: Retry-After in seconds or as a
// date (RFC 9110, section 10.2.3), or retry-after-ms of OpenAI and Azure.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour // keeps the arithmetic far from overflow
	clamp := func(n float64, unit time.Duration) time.Duration {
		if !(n > 0) { // NaN too
			return 0
		}
		return time.Duration(min(n*float64(unit), float64(most)))
	}
	if ms, err := strconv.ParseFloat(strings.TrimSpace(h.Get("Retry-After-Ms")), 64); err == nil {
		return clamp(ms, time.Millisecond)
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		return clamp(s, time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), most)
	}
	return 0
}
