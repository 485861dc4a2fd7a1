package tool

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// NameError says that a tool cannot have its name.
type NameError struct{ Name, Reason string }

func (e *NameError) Error() string {
	return fmt.Sprintf("tool %q: not a usable name: %s", e.Name, e.Reason)
}

// DefinitionError says that a tool cannot be made.
type DefinitionError struct {
	Tool, Reason string
	Err          error // nil for none
}

func (e *DefinitionError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("tool %s: %s: %v", e.Tool, e.Reason, e.Err)
	}
	return fmt.Sprintf("tool %s: %s", e.Tool, e.Reason)
}

// Unwrap returns the cause.
func (e *DefinitionError) Unwrap() error { return e.Err }

// ArgumentError says that the arguments of a call are not what the tool takes. Problems say what is wrong, in words for
// the model that wrote them; they quote the arguments, so they are content and Error leaves them out.
type ArgumentError struct {
	Tool     string
	Problems []string
	Err      error // the cause, nil for none
}

func (e *ArgumentError) Error() string {
	if len(e.Problems) == 1 {
		return "tool " + e.Tool + ": the arguments do not fit its schema"
	}
	return fmt.Sprintf("tool %s: the arguments do not fit its schema: %d problems", e.Tool, len(e.Problems))
}

// Unwrap returns the cause.
func (e *ArgumentError) Unwrap() error { return e.Err }

// UnknownError says that a model asked for a tool that it was not offered. Name is what the model wrote, so it is content
// and Error leaves it out.
type UnknownError struct {
	Name string
	// Known are the tools that there are.
	Known []string
}

func (e *UnknownError) Error() string { return "tool: a call for a tool that is not offered" }

// TimeoutError says that a tool did not return in time.
type TimeoutError struct {
	Tool  string
	After time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("tool %s: no result within %v: give it more time with tool.Timeout", e.Tool, e.After)
}

// Timeout returns true, as that of a net.Error does.
func (e *TimeoutError) Timeout() bool { return true }

// Unwrap returns [context.DeadlineExceeded].
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// BudgetError says that a model asked for tools again when it had had all the turns of them that it was given.
type BudgetError struct {
	// Turns is how many it had.
	Turns int
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("mellea: the model asks for tools again after %d turns of them: give it more with MaxToolTurns, or ask for less", e.Turns)
}

// PanicError is a panic of a tool's function, or of the code that shows its result. Its text holds neither value nor stack.
type PanicError struct {
	Tool  string
	Value any // nil when the function exited its goroutine
	Stack []byte
}

func newPanicError(name string, value any) *PanicError {
	return &PanicError{Tool: name, Value: value, Stack: debug.Stack()}
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "tool " + e.Tool + ": exited its goroutine"
	}
	return fmt.Sprintf("tool %s: panic with a %T", e.Tool, e.Value)
}

// Unwrap returns the value when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Error is the failure of a tool's function. Its text leaves out that of the cause, which may be content.
type Error struct {
	Tool string
	Err  error
}

func (e *Error) Error() string { return "tool " + e.Tool + " failed" }

// Unwrap returns what the function returned.
func (e *Error) Unwrap() error { return e.Err }

// FatalError is made by [Fatal].
type FatalError struct{ Err error }

func (e *FatalError) Error() string { return e.Err.Error() }

// Unwrap returns the error that Fatal was given.
func (e *FatalError) Unwrap() error { return e.Err }

// Fatal marks an error that a tool returns as one that ends the program's call instead of being told to the model. It
// returns nil for nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &FatalError{Err: err}
}

// MaxExplanation bounds what a model is told of an error, in bytes.
const MaxExplanation = 4 << 10

// Explain returns what a model is told of an error of a call: what is wrong with its arguments, what the tool's function
// says, or that it failed. It never holds a stack or the value of a panic.
func Explain(err error) string {
	text, _ := cut(strings.ToValidUTF8(explain(err), "\uFFFD"), MaxExplanation)
	return text
}

func explain(err error) string {
	switch e := err.(type) { //nolint:errorlint // the error of this call, not that of one beneath it
	case nil:
		return ""
	case *ArgumentError:
		return "Error: the arguments do not fit. " + strings.Join(e.Problems, " ") + " Call the tool again with arguments that fit."
	case *UnknownError:
		if len(e.Known) == 0 {
			return fmt.Sprintf("Error: there is no tool %q. No tools are available: answer without them.", short(e.Name))
		}
		return fmt.Sprintf("Error: there is no tool %q. The tools are: %s.", short(e.Name), strings.Join(e.Known, ", "))
	case *TimeoutError:
		return fmt.Sprintf("Error: the tool gave no result within %v.", e.After)
	case *PanicError:
		return "Error: the tool broke down."
	case *Error:
		return "Error: " + e.Err.Error()
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return explain(e)
	}
	return "Error: the tool failed."
}

// short bounds what a model wrote and is told again.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
