package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/mellea-go/mellea/backend"
)

// failure is a recorded error.
type failure struct {
	Kind       string `json:"kind"`
	Provider   string `json:"provider,omitzero"`
	Op         string `json:"op,omitzero"`
	Status     int    `json:"status,omitzero"`
	Code       string `json:"code,omitzero"`
	Message    string `json:"message,omitzero"`
	RetryAfter int64  `json:"retry_after_us,omitzero"`
	RequestID  string `json:"request_id,omitzero"`
	Remedy     string `json:"remedy,omitzero"`
	Cause      string `json:"cause,omitzero"`
}

const (
	kindBackend   = "backend"
	kindCancelled = "cancelled"
	kindAbandoned = "abandoned"
	kindOther     = "other"
)

// causes are the errors that callers look for beneath a *backend.Error, so that a replayed one is classified as the
// recorded one was. The first that matches is recorded.
var causes = []struct {
	name string
	err  error
}{
	{"deadline_exceeded", context.DeadlineExceeded},
	{"io_timeout", os.ErrDeadlineExceeded},
	{"canceled", context.Canceled},
	{"unexpected_eof", io.ErrUnexpectedEOF},
	{"connection_refused", syscall.ECONNREFUSED},
	{"connection_reset", syscall.ECONNRESET},
}

func recordFailure(err error) *failure {
	if err == nil {
		return nil
	}
	var e *backend.Error
	switch {
	case errors.Is(err, backend.ErrAbandoned):
		return &failure{Kind: kindAbandoned}
	case errors.As(err, &e):
		f := &failure{Kind: kindBackend, Provider: e.Provider, Op: e.Op, Status: e.Status, Code: e.Code, Message: e.Message,
			RetryAfter: e.RetryAfter.Microseconds(), RequestID: e.RequestID, Remedy: e.Remedy}
		for _, c := range causes {
			if e.Err != nil && errors.Is(e.Err, c.err) {
				f.Cause = c.name
				break
			}
		}
		return f
	case errors.Is(err, context.Canceled):
		return &failure{Kind: kindCancelled}
	}
	return &failure{Kind: kindOther, Message: err.Error()}
}

// err returns the error that was recorded.
func (f *failure) err(provider string) error {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case kindCancelled:
		return &backend.CancelledError{}
	case kindAbandoned:
		return backend.ErrAbandoned
	case kindOther:
		return &backend.Error{Provider: provider, Op: "replay", Code: "recorded_error", Message: f.Message}
	}
	e := &backend.Error{Provider: f.Provider, Op: f.Op, Status: f.Status, Code: f.Code, Message: f.Message,
		RetryAfter: time.Duration(f.RetryAfter) * time.Microsecond, RequestID: f.RequestID, Remedy: f.Remedy}
	for _, c := range causes {
		if c.name == f.Cause {
			e.Err = c.err
		}
	}
	return e
}

func (f *failure) check() error {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case kindBackend, kindCancelled, kindAbandoned, kindOther:
	default:
		return errors.New("error: unknown kind")
	}
	if f.RetryAfter < 0 || f.RetryAfter > maxOffset {
		return fmt.Errorf("error: retry_after_us must be from 0 to %d", maxOffset)
	}
	return nil
}
