package mellea

import (
	"fmt"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/tool"
)

// Result is what a call gave.
type Result[T any] struct {
	// Value is the reply as the component parses it.
	Value T
	// Message is the model's reply.
	Message content.Message
	// Attempts are all attempts of a call with a strategy, with their verdicts, in order of completion. After an error
	// they are those made before it.
	Attempts []sampling.Attempt
	// Generation tells about the generation that the result is of.
	Generation backend.Generation
	// Usage is the sum over all attempts, judges not included.
	Usage content.Usage
	// ToolRuns are the calls of tools that led to the reply, in the order the model asked for them.
	ToolRuns []ToolRun

	pending []tool.Call
}

// Text returns the text of the reply.
func (r *Result[T]) Text() string { return r.Message.Text() }

func newResult[T any](res engine.Result) *Result[T] {
	out := &Result[T]{Message: res.Reply.Message, Generation: res.Reply.Generation, Attempts: res.Attempts.Slice(), Usage: res.Usage,
		ToolRuns: res.Runs, pending: res.Pending}
	// The engine keeps the type of a value that hooks replace, so this fails only for a value that was never made.
	out.Value, _ = res.Value.(T)
	return out
}

// UnmetError says that no attempt met all requirements. The call's result is that of the best attempt.
type UnmetError struct {
	// Attempts is how many attempts were made.
	Attempts int
	// Best is the attempt that came closest.
	Best sampling.Attempt
	// Failed are the requirements that it does not meet, with the reasons.
	Failed []requirement.Result
}

func (e *UnmetError) Error() string {
	if e.Best.ParseErr != nil {
		return fmt.Sprintf("mellea: requirements not met after %s: %v", attempts(e.Attempts), e.Best.ParseErr)
	}
	labels := make([]string, len(e.Failed))
	for i, f := range e.Failed {
		labels[i] = f.Requirement.Label()
	}
	return fmt.Sprintf("mellea: requirements not met after %s: %d of %d failed (%s)", attempts(e.Attempts), len(e.Failed),
		e.Best.Results.Len(), strings.Join(labels, ", "))
}

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}

// Unwrap returns the parse error of the best attempt, nil when it could be parsed.
func (e *UnmetError) Unwrap() error { return e.Best.ParseErr }

func unmet(res engine.Result) *UnmetError {
	e := &UnmetError{Attempts: res.Attempts.Len()}
	if res.Selected >= 0 {
		e.Best = res.Attempts.At(res.Selected)
		e.Failed = requirement.Failed(e.Best.Results).Slice()
	}
	return e
}

// UsageError says that an argument is missing, or that an option does not fit the call it was given to.
type UsageError struct {
	Option, Reason string
	// Err is the cause, nil for none. Reason tells it.
	Err error
}

func (e *UsageError) Error() string { return "mellea: " + e.Option + ": " + e.Reason }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// ErrClosed is the error of a call on a runner that has been closed.
var ErrClosed = engine.ErrClosed

// InputError says that a running output, which a call was to use as a variable or grounding, failed: the call did not
// start. It wraps the output's error.
type InputError = engine.InputError
