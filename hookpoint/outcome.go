package hookpoint

import "github.com/mellea-go/mellea/hook"

// The outcomes of the points, by their short names: what brackets close with, and what Async and OnError subscribers see.
type (
	SessionStartOutcome = hook.Outcome[SessionStarting, SessionStarted]
	SessionOutcome      = hook.Outcome[SessionOpen, SessionEnd]
	ComponentOutcome    = hook.Outcome[ComponentStart, ComponentEnd]
	FormatOutcome       = hook.Outcome[FormatStart, FormatEnd]
	GenerationOutcome   = hook.Outcome[GenerationStart, GenerationEnd]
	BatchOutcome        = hook.Outcome[BatchStart, BatchEnd]
	SamplingOutcome     = hook.Outcome[SamplingStart, SamplingEnd]
	ValidationOutcome   = hook.Outcome[ValidationStart, ValidationEnd]
	RequirementOutcome  = hook.Outcome[RequirementStart, RequirementEnd]
	ToolOutcome         = hook.Outcome[ToolStart, ToolEnd]
)
