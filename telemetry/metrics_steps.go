package telemetry

import (
	"context"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// sessionMetrics counts sessions that could not be started.
type sessionMetrics struct{ m *meter }

func (p sessionMetrics) Bindings() []hook.Binding {
	return []hook.Binding{hookpoint.SessionStart.Bracket(p.starting, second(p.m, "session")...)}
}

func (p sessionMetrics) starting(ctx context.Context, _ hookpoint.SessionStarting) (context.Context, func(hookpoint.SessionStartOutcome)) {
	x := p.m.open(ctx)
	return x, x.started
}

func (x *measurement) started(out hookpoint.SessionStartOutcome) { x.close(out.Ending, out.Err, nil) }

// componentMetrics counts what goes wrong with whole calls: a call is at fault only where nothing beneath it was.
type componentMetrics struct{ m *meter }

func (p componentMetrics) Bindings() []hook.Binding {
	return []hook.Binding{hookpoint.Component.Bracket(p.action, second(p.m, "component")...)}
}

func (p componentMetrics) action(ctx context.Context, _ hookpoint.ComponentStart) (context.Context, func(hookpoint.ComponentOutcome)) {
	x := p.m.open(ctx)
	return x, x.acted
}

func (x *measurement) acted(out hookpoint.ComponentOutcome) { x.close(out.Ending, out.Err, nil) }

// samplingMetrics counts attempts, and loops by what they came to.
type samplingMetrics struct{ m *meter }

func (p samplingMetrics) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Sampling.Bracket(p.sampling, second(p.m, "sampling")...),
		hookpoint.SamplingIteration.On(p.iteration, second(p.m, "sampling")...),
	}
}

func (p samplingMetrics) sampling(ctx context.Context, pre hookpoint.SamplingStart) (context.Context, func(hookpoint.SamplingOutcome)) {
	x := p.m.open(ctx)
	x.loop = p.m.labels.strategy(pre.Strategy)
	return x, x.sampled
}

// iteration counts an attempt of the nearest loop: it has been generated and validated.
func (p samplingMetrics) iteration(ctx context.Context, _ hookpoint.Iteration) {
	for x := p.m.within(ctx); x != nil; x = x.parent {
		if x.loop != nil {
			p.m.in.attempts.Add(ctx, 1, x.loop.add...)
			return
		}
	}
}

func (x *measurement) sampled(out hookpoint.SamplingOutcome) {
	if out.Ending == hook.Completed {
		in := &x.meter.in
		if out.Post.Success {
			in.successes.Add(x, 1, x.loop.add...)
		} else {
			in.exhausted.Add(x, 1, x.loop.add...)
		}
	}
	x.close(out.Ending, out.Err, nil)
}

// validationMetrics counts verdicts.
type validationMetrics struct{ m *meter }

func (p validationMetrics) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Validation.Bracket(p.validation, second(p.m, "validation")...),
		hookpoint.Requirement.Bracket(p.requirement, second(p.m, "validation")...),
	}
}

func (p validationMetrics) validation(ctx context.Context, _ hookpoint.ValidationStart) (context.Context, func(hookpoint.ValidationOutcome)) {
	x := p.m.open(ctx)
	return x, x.validated
}

func (x *measurement) validated(out hookpoint.ValidationOutcome) { x.close(out.Ending, out.Err, nil) }

func (p validationMetrics) requirement(ctx context.Context, _ hookpoint.RequirementStart) (context.Context, func(hookpoint.RequirementOutcome)) {
	x := p.m.open(ctx)
	return x, x.checked
}

func (x *measurement) checked(out hookpoint.RequirementOutcome) {
	if out.Ending == hook.Completed {
		in, s := &x.meter.in, x.meter.labels.requirement(out.Pre.Requirement.Kind())
		in.checks.Add(x, 1, s.add...)
		if !out.Post.Verdict.Passed {
			in.unmet.Add(x, 1, s.add...)
		}
	}
	x.close(out.Ending, out.Err, nil)
}
