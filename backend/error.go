package backend

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Error is a failure that a backend reports. Its text is a summary that holds no prompt, no reply, no key and none of
// the provider's own words: those are in Message.
type Error struct {
	// Provider is the gen_ai.provider.name of the backend.
	Provider string
	// Op is what was tried, for example "chat" or "info".
	Op string
	// Status is the HTTP status, 0 when no reply came.
	Status int
	// Code is the provider's code, or one of this package's for failures a provider does not number.
	Code string
	// Message is the provider's text. It may quote the prompt: treat it as content.
	Message string
	// RetryAfter is how long the provider asks to wait, 0 when it does not say.
	RetryAfter time.Duration
	// RequestID is the id the server gave the exchange.
	RequestID string
	// Remedy says what to do about it.
	Remedy string
	// Err is the cause.
	Err error
}

// Codes for failures that a provider does not number.
const (
	CodeInvalidResponse = "invalid_response" // the reply is malformed, cut off or empty
	CodeConfiguration   = "configuration"    // a setting is missing or wrong
	CodeUnsupported     = "unsupported"      // the provider cannot do what was asked
	CodeUnreachable     = "unreachable"      // no connection
	CodeRedirect        = "redirect"         // the server points elsewhere
	CodeAuthentication  = "authentication"   // whoever checks keys for the server does not accept this one
	CodeTimeout         = "timeout"          // a deadline passed, or the server fell silent
	CodePanic           = "panic"            // the backend panicked
)

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Provider)
	if e.Op != "" {
		b.WriteString(" " + e.Op)
	}
	b.WriteString(": ")
	switch {
	case e.Status != 0 && e.Code != "" && e.Code != strconv.Itoa(e.Status):
		fmt.Fprintf(&b, "HTTP %d (%s)", e.Status, safeCode(e.Code))
	case e.Status != 0:
		fmt.Fprintf(&b, "HTTP %d", e.Status)
	case e.Code != "":
		b.WriteString(strings.ReplaceAll(safeCode(e.Code), "_", " "))
	default:
		b.WriteString("failed")
	}
	if e.RequestID != "" {
		b.WriteString(", request " + safeCode(e.RequestID))
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %s", e.RetryAfter)
	}
	if e.Remedy != "" {
		b.WriteString(": " + e.Remedy)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// safeCode keeps a provider's code only where it is one: short and without spaces. Some servers put sentences there.
func safeCode(s string) string {
	if len(s) > 64 {
		return "unnamed"
	}
	for _, r := range s {
		if r != '_' && r != '-' && r != '.' && r != ':' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "unnamed"
		}
	}
	return s
}

// ErrAbandoned is the cause of a generation that the library gave up: a loser of parallel sampling, or one that still
// ran when its session was closed.
var ErrAbandoned = errors.New("backend: generation abandoned")

// CancelledError says that the caller gave a generation up. errors.Is finds context.Canceled in it, and Cause.
type CancelledError struct{ Cause error }

func (e *CancelledError) Error() string {
	if e.Cause == nil {
		return "generation cancelled"
	}
	return "generation cancelled: " + e.Cause.Error()
}

// Unwrap returns context.Canceled and the cause.
func (e *CancelledError) Unwrap() []error { return []error{context.Canceled, e.Cause} }

// Ended returns why ctx is done, as the error of what a backend did under it: one that says whose doing it was, whatever
// cause the context was given. A deadline that passed is an *[Error] with [CodeTimeout], [ErrAbandoned] stays what it
// is, and for anything else errors.Is finds context.Canceled. An [Output] does so itself; a batch calls it.
func Ended(ctx context.Context, provider, op string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrAbandoned):
		return cause
	case errors.Is(err, context.DeadlineExceeded):
		if !errors.Is(cause, err) {
			cause = fmt.Errorf("%w: %w", err, cause)
		}
		return &Error{Provider: provider, Op: op, Code: CodeTimeout, Err: cause,
			Remedy: "the deadline of the context passed: give it more time or ask for a shorter reply"}
	case errors.Is(cause, err):
		return cause
	}
	return &CancelledError{Cause: cause}
}
