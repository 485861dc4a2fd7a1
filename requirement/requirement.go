package requirement

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/mellea-go/mellea/content"
)

// Verdict is what a check found.
type Verdict struct {
	Passed bool
	// Reason says why, in words that help a model to do better. It is content: it may quote the reply.
	Reason string
	// Score is a grade on the checker's own scale; it counts only when HasScore is true.
	Score    float64
	HasScore bool
}

// Pass returns the verdict that the requirement is met.
func Pass() Verdict { return Verdict{Passed: true} }

// Fail returns the verdict that the requirement is not met, and why.
func Fail(reason string) Verdict { return Verdict{Reason: reason} }

// Scored returns a verdict with a grade.
func Scored(passed bool, score float64, reason string) Verdict {
	return Verdict{Passed: passed, Reason: reason, Score: score, HasScore: true}
}

// Checker checks one reply. An error means that it could not tell; a reply that is not good enough is a [Verdict]. A
// Checker is called by several goroutines at once: for different calls always, and for one call when the requirement
// is marked with [Requirement.AsConcurrent].
type Checker func(ctx context.Context, env Env) (Verdict, error)

// Requirement is something a reply must meet. It is an immutable value; each method that changes something returns a
// changed copy. The zero Requirement checks nothing: validating it is an error.
type Requirement struct {
	kind, name, description string
	check                   Checker // nil for a judge
	judge                   *judge  // nil for a check by code
	hidden, concurrent      bool
}

// Requirements is an immutable list of requirements.
type Requirements = content.List[Requirement]

// New returns a requirement that check decides. The kind is one of few fixed words such as "max_words": it labels
// telemetry, so it must hold nothing of a prompt. "" becomes "custom".
func New(kind string, check Checker) Requirement {
	if kind == "" {
		kind = "custom"
	}
	return Requirement{kind: kind, check: check}
}

// Named returns r under a name of the program's own, by which telemetry tells it from others of its kind. The name is
// a fixed word, not content.
func Named(name string, r Requirement) Requirement {
	r.name = name
	return r
}

// Kind returns the kind, for example "max_words" or "llm_judge".
func (r Requirement) Kind() string { return r.kind }

// Name returns the name that [Named] gave, "" when none did.
func (r Requirement) Name() string { return r.name }

// Label returns the name, or else the kind. It is safe for telemetry.
func (r Requirement) Label() string {
	if r.name != "" {
		return r.name
	}
	return r.kind
}

// Description returns the requirement in words, as the model reads it. It is content.
func (r Requirement) Description() string { return r.description }

// Shown reports whether the description is part of the prompt: it is unless Show(false) said otherwise, or there is no
// description.
func (r Requirement) Shown() bool { return !r.hidden && r.description != "" }

// Concurrent reports whether the check may run at the same time as others of the same reply.
func (r Requirement) Concurrent() bool { return r.concurrent }

// IsJudge reports whether a model decides.
func (r Requirement) IsJudge() bool { return r.judge != nil }

// Describe returns r with another description. It is what a judge judges by.
func (r Requirement) Describe(text string) Requirement {
	r.description = text
	return r
}

// Show returns r with its description shown to the model, or kept from it.
func (r Requirement) Show(shown bool) Requirement {
	r.hidden = !shown
	return r
}

// AsConcurrent marks r as safe to run at the same time as others of the same reply.
func (r Requirement) AsConcurrent() Requirement {
	r.concurrent = true
	return r
}

// Validate checks the reply in env. A failed verdict without a reason gets the description as its reason. An error,
// always a *[CheckError], means that no verdict could be given; a panic of the checker is one.
func (r Requirement) Validate(ctx context.Context, env Env) (v Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = Verdict{}, &CheckError{Label: r.Label(), Err: &PanicError{Value: p, Stack: debug.Stack()}}
		}
	}()
	switch {
	case r.judge != nil:
		v, err = r.judge.check(ctx, env, r.description)
	case r.check != nil:
		v, err = r.check(ctx, env)
	default:
		err = errNoChecker
	}
	if err != nil {
		return Verdict{}, &CheckError{Label: r.Label(), Err: err}
	}
	if !v.Passed && v.Reason == "" {
		v.Reason = r.description
		if v.Reason == "" {
			v.Reason = fmt.Sprintf("the requirement %q is not met", r.Label())
		}
	}
	return v, nil
}
