package telemetry

import (
	"context"
	"slices"

	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// sessionLogs tells lines that are written while a session starts or ends which it is.
type sessionLogs struct{ j *journal }

func (p sessionLogs) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.SessionStart.Bracket(p.starting, third(p.j, "session")...),
		hookpoint.Session.Bracket(p.session, third(p.j, "session")...),
	}
}

func (p sessionLogs) starting(ctx context.Context, pre hookpoint.SessionStarting) (context.Context, func(hookpoint.SessionStartOutcome)) {
	return p.j.open(ctx, familyStartSession, pre.ID, 0), nil
}

func (p sessionLogs) session(ctx context.Context, pre hookpoint.SessionOpen) (context.Context, func(hookpoint.SessionOutcome)) {
	return p.j.open(ctx, familySession, pre.ID, 0), nil
}

// componentLogs tells lines which session's call they are written in.
type componentLogs struct{ j *journal }

func (p componentLogs) Bindings() []hook.Binding {
	return []hook.Binding{hookpoint.Component.Bracket(p.action, third(p.j, "component")...)}
}

func (p componentLogs) action(ctx context.Context, pre hookpoint.ComponentStart) (context.Context, func(hookpoint.ComponentOutcome)) {
	return p.j.open(ctx, familyComponent, pre.Session.ID, 0), nil
}

// validationLogs tells lines of checks which attempt they are about, and sends the results of evaluations.
type validationLogs struct{ j *journal }

func (p validationLogs) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Validation.Bracket(p.validation, third(p.j, "validation")...),
		hookpoint.Requirement.Bracket(p.requirement, third(p.j, "validation")...),
	}
}

func (p validationLogs) validation(ctx context.Context, pre hookpoint.ValidationStart) (context.Context, func(hookpoint.ValidationOutcome)) {
	return p.j.open(ctx, familyValidation, pre.Session.ID, pre.Iteration), nil
}

func (p validationLogs) requirement(ctx context.Context, pre hookpoint.RequirementStart) (context.Context, func(hookpoint.RequirementOutcome)) {
	e := p.j.open(ctx, familyRequirement, pre.Session.ID, pre.Iteration)
	if !p.j.events() {
		return e, nil
	}
	return e, e.checked
}

// Labels of a verdict.
const (
	labelPassed = "pass"
	labelFailed = "fail"
)

// checked sends the result of an evaluation, as part of the span whose reply was evaluated where that is known.
func (e *entry) checked(out hookpoint.RequirementOutcome) {
	if out.Ending != hook.Completed && out.Ending != hook.Failed {
		return // nobody gave a verdict, and nobody failed to
	}
	const name = semconv.EventGenAIEvaluationResult
	j := e.journal
	ctx := context.Context(e)
	about, known := e.evaluated(out.Pre.Iteration)
	if known && about.span.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, about.span)
	}
	if !wanted(ctx, j.program, name, otellog.SeverityUndefined) {
		return
	}
	s := newScratch()
	defer s.release()
	r, v := out.Pre.Requirement, out.Post.Verdict
	label := r.Label()
	if j.capture.on && r.Name() == "" && r.Description() != "" {
		label, _ = cut(j.capture.clean(semconv.GenAIEvaluationNameKey, r.Description()), j.capture.max)
	}
	a := s.attrs
	a = append(a, semconv.GenAIEvaluationNameKey.String(valid(label)))
	if failed(out.Ending) {
		a = append(a, semconv.ErrorTypeKey.String(ErrorType(out.Err)))
	} else {
		verdict := labelFailed
		if v.Passed {
			verdict = labelPassed
		}
		a = append(a, semconv.GenAIEvaluationScoreLabelKey.String(verdict))
		if v.HasScore {
			a = append(a, semconv.GenAIEvaluationScoreValueKey.Float64(v.Score))
		}
		a = j.capture.appendText(a, semconv.GenAIEvaluationExplanationKey, v.Reason)
	}
	if known && about.responseID != "" {
		a = append(a, semconv.GenAIResponseIDKey.String(valid(about.responseID)))
	}
	s.attrs = a
	emit(ctx, j.program, name, otellog.SeverityUndefined, out.End, slices.Clip(a))
}

// toolLogs tells lines of tools which call to a model asked for them.
type toolLogs struct{ j *journal }

func (p toolLogs) Bindings() []hook.Binding {
	return []hook.Binding{hookpoint.Tool.Bracket(p.execute, third(p.j, "tool")...)}
}

func (p toolLogs) execute(ctx context.Context, pre hookpoint.ToolStart) (context.Context, func(hookpoint.ToolOutcome)) {
	e := p.j.open(ctx, familyTool, pre.Session.ID, pre.Iteration)
	if pre.Call.Origin != nil {
		e.asked = p.j.within(pre.Call.Origin).call()
	}
	return e, nil
}
