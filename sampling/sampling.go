package sampling

import (
	"errors"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/requirement"
)

// Strategy says what to try and what to keep. Implementations are pure functions of their arguments: the same state
// gives an equal step, nothing is called that does I/O, and all methods are safe for concurrent use.
type Strategy interface {
	// Plan describes the strategy. It is the same at every call.
	Plan() Plan
	// Next returns the attempt to make after those in s. It is called before every attempt, the first included, and
	// only while budget is left.
	Next(s State) (Step, error)
	// Select returns the index of the attempt to keep when the budget is spent, -1 when there is none.
	Select(as Attempts) int
}

// Plan describes a strategy.
type Plan struct {
	// Name names the strategy for telemetry, for example "repair". It is one of few values.
	Name string
	// Budget bounds the generations of one call, the first included. It is at least 1.
	Budget int
	// Parallel is how many generations may be in flight, at least 1.
	Parallel int
}

// State is what a strategy decides by.
type State struct {
	// Component and History are those of the call.
	Component component.Component
	History   history.History
	// Attempts are those that ended so far, in the order of their ends.
	Attempts Attempts
}

// Step is one attempt to make.
type Step struct {
	// Component and History are what this attempt generates from.
	Component component.Component
	History   history.History
	// Options lie over those of the call.
	Options backend.Options
	// Backend makes the attempt; nil leaves it to the one of the call.
	Backend backend.Backend
	// Repair says how the model is told what was wrong: [RepairNone], [RepairReasons] or [RepairTurn].
	Repair string
}

// The values of Step.Repair.
const (
	RepairNone    = ""        // it is not told: the first attempt, or a plain retry
	RepairReasons = "reasons" // the reasons stand in the prompt
	RepairTurn    = "turn"    // the reasons are a turn after its own reply
)

// Attempt is one generation and what became of it.
type Attempt struct {
	// Number counts the attempts of a call from 1.
	Number int
	// Component is that of the attempt's step, and Input its messages as rendered, without the history.
	Component component.Component
	Input     content.Messages
	// Steps is what was said between Input and Reply: the model's calls of tools, and their results.
	Steps content.Messages
	Reply backend.Reply
	// Results are the verdicts on the reply, empty when there was none to judge.
	Results requirement.Results
	// ParseErr says that the reply is not the value asked for.
	ParseErr error
	// Err says that the attempt broke off: there is no reply, or it could not be checked.
	Err error
}

// Attempts is an immutable list of attempts, in the order of their ends.
type Attempts = content.List[Attempt]

// Passed reports whether there is a reply, it is the value asked for and meets every requirement.
func (a Attempt) Passed() bool {
	return a.Err == nil && a.ParseErr == nil && requirement.Passed(a.Results)
}

// Reasons returns why the reply is not good enough: the reason it could not be read, then those of the failed
// requirements in order. They are content.
func (a Attempt) Reasons() []string {
	reasons := requirement.Reasons(a.Results)
	if a.ParseErr == nil {
		return reasons
	}
	reason := a.ParseErr.Error()
	if pe, ok := errors.AsType[*component.ParseError](a.ParseErr); ok && pe.Reason != "" {
		reason = pe.Reason
	}
	return append([]string{reason}, reasons...)
}

// Text returns the text of the reply.
func (a Attempt) Text() string { return a.Reply.Message.Text() }
