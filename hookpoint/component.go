package hookpoint

import (
	"math"
	"reflect"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// Component is open while one component is executed: rendered, generated, validated, repaired, parsed. A guard may
// change Requirements, Options, Format, Strategy and Tools, clearing included; a review may change Value, keeping its type.
// Where Value is the reply's text, or the reply, the reply follows the change and so does the history; the attempts stay as
// they were made.
//
// A lazy call validates nothing: a guard that gives it a strategy, or a requirement that is not shown to the model, is
// in error.
var Component = hook.NewPoint("component", hook.Accept[ComponentStart, ComponentEnd](func(old, edited ComponentStart) (ComponentStart, error) {
	switch {
	case edited.Session != old.Session:
		return old, forbidden("component", "Session")
	case edited.Kind != old.Kind:
		return old, forbidden("component", "Kind")
	case edited.Prompt != old.Prompt:
		return old, forbidden("component", "Prompt")
	case edited.Available != old.Available:
		return old, forbidden("component", "Available")
	case edited.Tools && edited.Available.Len() == 0:
		return old, forbidden("component", "Tools, of a call that has none")
	case edited.Lazy != old.Lazy:
		return old, forbidden("component", "Lazy")
	case old.Lazy && edited.Strategy != nil:
		return old, forbidden("component", "Strategy, of a lazy call")
	case old.Lazy && unseen(edited.Requirements):
		return old, forbidden("component", "Requirements, of a lazy call, to some that are not shown")
	}
	edited.Component = old.Component
	return edited, nil
}), hook.AcceptPost[ComponentStart, ComponentEnd](acceptValue))

func unseen(reqs requirement.Requirements) bool {
	for r := range reqs.Values() {
		if !r.Shown() {
			return true
		}
	}
	return false
}

func acceptValue(old, edited ComponentEnd) (ComponentEnd, error) {
	if reflect.TypeOf(edited.Value) != reflect.TypeOf(old.Value) {
		return old, forbidden("component", "the type of Value")
	}
	value, rest := edited.Value, old
	rest.Value, edited.Value = nil, nil // a value may hold what cannot be compared
	if !unchanged(rest, edited) {
		return old, forbidden("component", "more of the result than Value")
	}
	old.Value = value
	return old, nil
}

// Prompt names the prompt template a call uses, when the program gave it a name.
type Prompt struct{ Name, Version string }

// ComponentStart is what [Component] announces before.
type ComponentStart struct {
	Session SessionRef
	// Component is what is executed. It is not writable: an edit is ignored, because components need not be comparable.
	Component component.Component
	// Kind is the component's, such as "instruction".
	Kind   string
	Prompt Prompt
	// Requirements are what the result must meet. Writable.
	Requirements requirement.Requirements
	// Options are the call's over the session's. Writable.
	Options backend.Options
	// Format constrains the reply. Writable.
	Format schema.Schema
	// Strategy decides about further attempts; nil makes one generation without validation. A guard that adds
	// requirements to a call that had none, and no strategy, need not name one: the default takes effect. Writable.
	Strategy sampling.Strategy
	// Tools says whether the call offers tools to the model. Writable, where there are any Available.
	Tools bool
	// Available are the tools that the call has.
	Available tool.Set
	// Lazy says that the caller does not wait: the operation ends with its generation.
	Lazy bool
}

// ComponentEnd is what [Component] announces after.
type ComponentEnd struct {
	// Value is the parsed result. Writable.
	Value any
	// Reply is the message that Value was parsed from.
	Reply content.Message
	// Attempts are all attempts made, in order of completion; empty without a strategy.
	Attempts sampling.Attempts
	// Generations counts the generations made for the component, judges not included.
	Generations int
	// Sampled says that a strategy ran, Success that its result met all requirements.
	Sampled, Success bool
	// Usage is the sum over Generations.
	Usage content.Usage
}

// Format is open while a component is rendered into messages, and again while a reply is parsed into a value. Nothing
// is writable.
var Format = hook.NewPoint("format", hook.Accept[FormatStart, FormatEnd](func(old, edited FormatStart) (FormatStart, error) {
	if edited != old {
		return old, forbidden("format", "the payload")
	}
	return old, nil
}), hook.AcceptPost[FormatStart, FormatEnd](func(old, edited FormatEnd) (FormatEnd, error) {
	if !unchanged(old, edited) {
		return old, forbidden("format", "the result")
	}
	return old, nil
}))

// FormatPhase says which way a [Format] operation goes.
type FormatPhase uint8

// The two ways.
const (
	Render FormatPhase = iota + 1 // component → messages
	Parse                         // reply → value
)

func (p FormatPhase) String() string {
	if p == Parse {
		return "parse"
	}
	return "render"
}

// FormatStart is what [Format] announces before.
type FormatStart struct {
	Session SessionRef
	Phase   FormatPhase
	Kind    string
	Model   string
	// Iteration is the number of the attempt, 0 outside sampling.
	Iteration int
}

// FormatEnd is what [Format] announces after.
type FormatEnd struct {
	// Messages is what the component became.
	Messages content.Messages
	// Template is the name of the template used, "" for none.
	Template string
	// Length is the rendered text's or the parsed reply's, in bytes.
	Length int
}

// Sampling is open while a strategy makes attempts. A guard may change Budget; it stays at least 1.
var Sampling = hook.NewPoint("sampling", hook.Accept[SamplingStart, SamplingEnd](func(old, edited SamplingStart) (SamplingStart, error) {
	budget := edited.Budget
	edited.Budget = old.Budget
	if edited != old {
		return old, forbidden("sampling", "more than Budget")
	}
	if budget < 1 {
		return old, &sampling.BudgetError{Budget: budget}
	}
	edited.Budget = budget
	return edited, nil
}), hook.AcceptPost[SamplingStart, SamplingEnd](func(old, edited SamplingEnd) (SamplingEnd, error) {
	if !unchanged(old, edited) {
		return old, forbidden("sampling", "the result")
	}
	return old, nil
}))

// SamplingStart is what [Sampling] announces before.
type SamplingStart struct {
	Session      SessionRef
	Kind         string
	Strategy     string
	Budget       int // generations in total; writable
	Parallel     int // generations in flight
	Requirements int
}

// SamplingEnd is what [Sampling] announces after.
type SamplingEnd struct {
	Success  bool
	Attempts sampling.Attempts
	// Selected is the index in Attempts of the result, -1 when there is none.
	Selected int
	// FailureReason says in words why no attempt passed. It quotes requirements: treat it as content.
	FailureReason string
}

// SamplingIteration is fired after each attempt that gave a reply, passed or not.
var SamplingIteration = hook.NewSignal[Iteration]("sampling_iteration")

// Iteration is what [SamplingIteration] announces.
type Iteration struct {
	Session  SessionRef
	Strategy string
	// Number counts the attempts from 1, in the order they were started.
	Number      int
	Passed      bool
	PassedCount int
	// Requirements is how many there were to check, those that guards of the validation added included.
	Requirements  int
	ParseFailed   bool
	At            time.Time
	FailedResults requirement.Results
}

// SamplingRepair is fired when a strategy has changed the component for the next attempt.
var SamplingRepair = hook.NewSignal[Repair]("sampling_repair")

// Repair is what [SamplingRepair] announces.
type Repair struct {
	Session  SessionRef
	Strategy string
	// Number is that of the attempt that failed.
	Number int
	// Type says how the component was changed: "reasons" or "turn".
	Type   string
	Failed int
	At     time.Time
}

// SamplingSelect is fired when a strategy has settled on an attempt.
var SamplingSelect = hook.NewSignal[Selection]("sampling_select")

// Selection is what [SamplingSelect] announces.
type Selection struct {
	Session  SessionRef
	Strategy string
	// Number is that of the selected attempt.
	Number  int
	Success bool
	At      time.Time
}

// Validation is open while the requirements of one result are checked. A guard may change Requirements and Options, a
// review the results.
var Validation = hook.NewPoint("validation", hook.Accept[ValidationStart, ValidationEnd](func(old, edited ValidationStart) (ValidationStart, error) {
	switch {
	case edited.Session != old.Session:
		return old, forbidden("validation", "Session")
	case edited.Iteration != old.Iteration:
		return old, forbidden("validation", "Iteration")
	case !edited.Target.Equal(old.Target):
		return old, forbidden("validation", "Target")
	}
	return edited, nil
}))

// ValidationStart is what [Validation] announces before.
type ValidationStart struct {
	Session SessionRef
	// Requirements are what is checked. Writable.
	Requirements requirement.Requirements
	// Options are those of judges. Writable.
	Options backend.Options
	// Target is the message under validation.
	Target content.Message
	// Iteration is the number of the attempt, 0 outside sampling.
	Iteration int
}

// ValidationEnd is what [Validation] announces after.
type ValidationEnd struct {
	// Results pairs every requirement checked with its verdict, in the order of Requirements. Writable.
	Results requirement.Results
}

// Requirement is open while one requirement is checked. Nothing is writable.
var Requirement = hook.NewPoint("requirement", hook.Accept[RequirementStart, RequirementEnd](func(old, edited RequirementStart) (RequirementStart, error) {
	if edited.Session != old.Session || edited.Iteration != old.Iteration || edited.Index != old.Index ||
		!sameRequirement(old.Requirement, edited.Requirement) {
		return old, forbidden("requirement", "the payload")
	}
	return old, nil
}), hook.AcceptPost[RequirementStart, RequirementEnd](func(old, edited RequirementEnd) (RequirementEnd, error) {
	if !sameVerdict(old.Verdict, edited.Verdict) {
		return old, forbidden("requirement", "the verdict; change it at validation")
	}
	return old, nil
}))

func sameVerdict(a, b requirement.Verdict) bool {
	score := math.Float64bits(a.Score) == math.Float64bits(b.Score) // a score that is not a number is the same one, too
	a.Score, b.Score = 0, 0
	return score && a == b
}

// sameRequirement compares what can be compared of two requirements; their checkers cannot.
func sameRequirement(a, b requirement.Requirement) bool {
	return a.Kind() == b.Kind() && a.Name() == b.Name() && a.Description() == b.Description() && a.Shown() == b.Shown() &&
		a.Concurrent() == b.Concurrent() && a.IsJudge() == b.IsJudge()
}

// RequirementStart is what [Requirement] announces before.
type RequirementStart struct {
	Session     SessionRef
	Requirement requirement.Requirement
	// Index is the requirement's place in the validation.
	Index     int
	Iteration int
}

// RequirementEnd is what [Requirement] announces after.
type RequirementEnd struct{ Verdict requirement.Verdict }
