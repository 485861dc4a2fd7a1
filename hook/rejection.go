package hook

import (
	"errors"
	"strings"
)

// Codes of rejections that no plugin chose.
const (
	CodeError         = "error"          // a guard, check or review returned an error that is not from [Reject]
	CodePanic         = "panic"          // it panicked or exited its goroutine
	CodeTimeout       = "timeout"        // it outlived its [Timeout]
	CodeForbiddenEdit = "forbidden_edit" // it edited what the point does not let it edit
)

// A Rejection is the error of an operation that a guard, a check or a review denied.
type Rejection struct {
	// Point is the name of the point, Plugin the name of what was bound there.
	Point, Plugin string
	// Code is a short, stable, lower-case word for the reason. It may become a metric label: no free text.
	Code string
	// Reason is for people. It may quote a prompt or a reply, so it is content and Error leaves it out.
	Reason string
	// Err is the cause; nil for a plain [Reject].
	Err error
}

// Error names point, plugin and code, and neither Reason nor the text of Err, as those may be content.
func (r *Rejection) Error() string {
	var b strings.Builder
	b.WriteString("hook: ")
	if r.Point != "" {
		b.WriteString(r.Point + " ")
	}
	b.WriteString("rejected")
	if r.Plugin != "" {
		b.WriteString(" by " + r.Plugin)
	}
	if r.Code != "" {
		b.WriteString(" (" + r.Code + ")")
	}
	return b.String()
}

// Unwrap returns Err.
func (r *Rejection) Unwrap() error { return r.Err }

// Reject returns the error by which a guard, a check or a review denies a call. The code is a short, stable, lower-case
// word such as "over_budget"; the reason is for people. Point and plugin are filled in as the error is handed on. To keep
// a cause, wrap the error: fmt.Errorf("%w: %w", hook.Reject("unsafe", ""), err).
func Reject(code, reason string) error { return &Rejection{Code: code, Reason: reason} }

// rejected finds the Rejection that a plugin made by Reject. One that names a point is that of another operation, such as
// the call of a judge: an error like any other here.
func rejected(err error) (*Rejection, bool) {
	r, ok := errors.AsType[*Rejection](err)
	if !ok || r.Point != "" {
		return nil, false
	}
	return r, true
}
