package requirement

import (
	"errors"
	"fmt"
)

// CheckError says that a requirement could not be checked.
type CheckError struct {
	// Label is the requirement's name or kind.
	Label string
	// Err is the cause.
	Err error
}

func (e *CheckError) Error() string {
	label := e.Label
	if label == "" {
		label = "(zero)"
	}
	return fmt.Sprintf("requirement %s: could not be checked: %v", label, e.Err)
}

// Unwrap returns the cause.
func (e *CheckError) Unwrap() error { return e.Err }

// PanicError is a panic of a checker, caught so that it fails one check and not the program. Its text does not hold
// the value, which may quote anything.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic with a %T", e.Value) }

// Unwrap returns the value when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

var errNoChecker = errors.New("it has no checker: make it with requirement.New")

// ErrNoModel says that a requirement asked a question where there is no model to answer it.
var ErrNoModel = errors.New("no model to ask: validate it through a session or another runner")
