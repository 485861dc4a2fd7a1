package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/sampling"
)

// The exit codes of all commands. A command that a signal ended returns 128 and the signal's number: 130 or 143.
const (
	ExitDone     = 0 // it did what was asked
	ExitUnmet    = 1 // the result does not meet its requirements, lines of a batch failed, telemetry has violations, or parts of a file could not be read
	ExitUsage    = 2 // the command line or a setting cannot work
	ExitFailed   = 3 // the backend, the time or a file
	ExitRejected = 4 // a guard denied a call
)

// Interrupted is the cause of a context that a signal ended. Pass it to the cancel function of the context that [Run]
// is given.
type Interrupted struct {
	// Signal is the signal's number.
	Signal int
	name   string
}

func (e *Interrupted) Error() string {
	if e.name == "" {
		return "interrupted"
	}
	return e.name
}

// usageError is a command line that cannot work.
type usageError struct {
	text string
	err  error // may be nil
}

func (e *usageError) Error() string { return e.text }
func (e *usageError) Unwrap() error { return e.err }

// exitCode returns the exit code for the error of a command that ran under ctx.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return ExitDone
	}
	if signal, ok := errors.AsType[*Interrupted](context.Cause(ctx)); ok {
		return 128 + signal.Signal
	}
	var (
		unmet    *mellea.UnmetError
		rejected *hook.Rejection
		file     *fs.PathError
		lines    *failedLines
		found    *nonconforming
		broken   *brokenTrace
	)
	switch {
	case errors.As(err, &unmet), errors.As(err, &lines), errors.As(err, &found), errors.As(err, &broken):
		return ExitUnmet
	case errors.As(err, &rejected):
		return ExitRejected
	case errors.As(err, &file):
		return ExitFailed
	case isUsage(err):
		return ExitUsage
	default:
		return ExitFailed
	}
}

// isUsage reports whether the user can mend err by another command line or setting.
func isUsage(err error) bool {
	var (
		usage    *usageError
		option   *mellea.UsageError
		value    *backend.OptionError
		template *component.TemplateError
		budget   *sampling.BudgetError
		failure  *backend.Error
	)
	switch {
	case errors.As(err, &usage), errors.As(err, &option), errors.As(err, &value), errors.As(err, &budget):
		return true
	case errors.As(err, &failure):
		return failure.Code == backend.CodeConfiguration || failure.Code == backend.CodeUnsupported
	default:
		// Behind a backend's error, because a variable may be an output that failed.
		return errors.As(err, &template)
	}
}

// describe returns the one line that tells the user of err: what is wrong and what to do. secrets are kept out of what
// a server said.
func describe(err error, secrets ...string) string {
	var (
		unmet    *mellea.UnmetError
		template *component.TemplateError
		failure  *backend.Error
	)
	text := err.Error()
	switch {
	case errors.As(err, &unmet) && len(unmet.Failed) > 0:
		text = missed(unmet)
	case errors.As(err, &template) && template.Variable != "" && strings.HasSuffix(template.Reason, "is not set"):
		text = fmt.Sprintf("%s: give it with --var %s=VALUE%s", template.Reason, template.Variable, verbatim)
	case errors.As(err, &template):
		text = template.Error() + verbatim
	case errors.As(err, &failure) && failure.Message != "":
		text += "; the server says: " + shorten(failure.Message, 300)
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return oneLine(strings.TrimPrefix(text, "mellea: "))
}

// missed says which requirements the best attempt does not meet, and why.
func missed(e *mellea.UnmetError) string {
	reasons := make([]string, len(e.Failed))
	for i, f := range e.Failed {
		reasons[i] = strings.TrimSuffix(shorten(label(f.Requirement), 100), ".")
		if r := f.Verdict.Reason; r != "" && r != f.Requirement.Description() {
			reasons[i] += " (" + shorten(r, 200) + ")"
		}
	}
	tries := "attempts"
	if e.Attempts == 1 {
		tries = "attempt"
	}
	return fmt.Sprintf("requirements not met after %d %s: %s", e.Attempts, tries, strings.Join(reasons, "; "))
}

// verbatim is the way around templates.
const verbatim = ", or pipe the prompt to `mellea run -`, which takes it as it is"
