package telemetry

import (
	"context"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// validationPlugin traces validation and, beneath it, requirement.
type validationPlugin struct{ t *tracer }

func (p validationPlugin) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Validation.Bracket(p.validation, outermost(p.t, "validation")...),
		hookpoint.Requirement.Bracket(p.requirement, outermost(p.t, "validation")...),
	}
}

func (p validationPlugin) validation(ctx context.Context, pre hookpoint.ValidationStart) (context.Context, func(hookpoint.ValidationOutcome)) {
	o := p.t.open(p.t.place(ctx, pre.Session), p.t.application, familyValidation, pre.Session.ID,
		semconv.SpanValidation, internal)
	return o, o.validated
}

func (o *operation) validated(out hookpoint.ValidationOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	a := s.attrs
	a = append(a, semconv.MelleaValidationRequirementCountKey.Int(out.Pre.Requirements.Len()))
	if out.Pre.Iteration > 0 {
		a = append(a, semconv.MelleaSamplingIterationKey.Int(out.Pre.Iteration))
	}
	verdicts := out.Ending == hook.Completed
	failed := requirement.Failed(out.Post.Results)
	if verdicts {
		a = append(a,
			semconv.MelleaValidationPassedKey.Bool(failed.Len() == 0),
			semconv.MelleaValidationPassedCountKey.Int(out.Post.Results.Len()-failed.Len()),
			semconv.MelleaValidationFailedCountKey.Int(failed.Len()))
	}
	s.attrs = o.outcome(o.membership(a), out.Ending, out.Err)
	o.set(s.attrs)
	if verdicts && failed.Len() > 0 {
		o.tracer.capture.texts(o.span, semconv.MelleaValidationFailureReasonsKey, requirement.Reasons(out.Post.Results))
	}
}

func (p validationPlugin) requirement(ctx context.Context, pre hookpoint.RequirementStart) (context.Context, func(hookpoint.RequirementOutcome)) {
	o := p.t.open(p.t.place(ctx, pre.Session), p.t.application, familyRequirement, pre.Session.ID,
		semconv.SpanRequirement, internal)
	return o, o.checked
}

func (o *operation) checked(out hookpoint.RequirementOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	r, v := out.Pre.Requirement, out.Post.Verdict
	a := s.attrs
	a = append(a,
		semconv.MelleaRequirementTypeKey.String(r.Kind()),
		semconv.MelleaRequirementNameKey.String(r.Label()))
	if out.Ending == hook.Completed {
		a = append(a, semconv.MelleaRequirementPassedKey.Bool(v.Passed))
		if v.HasScore {
			a = append(a, semconv.MelleaRequirementScoreKey.Float64(v.Score))
		}
	}
	s.attrs = o.outcome(o.membership(a), out.Ending, out.Err)
	o.set(s.attrs)
	if out.Ending == hook.Rejected {
		return
	}
	if r.Name() == "" {
		o.tracer.capture.text(o.span, semconv.MelleaRequirementNameKey, r.Description())
	}
	o.tracer.capture.text(o.span, semconv.MelleaRequirementReasonKey, v.Reason)
}
