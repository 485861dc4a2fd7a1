package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// samplingPlugin traces sampling and its events.
type samplingPlugin struct{ t *tracer }

func (p samplingPlugin) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Sampling.Bracket(p.sampling, outermost(p.t, "sampling")...),
		hookpoint.SamplingIteration.On(p.iteration, outermost(p.t, "sampling")...),
		hookpoint.SamplingRepair.On(p.repair, outermost(p.t, "sampling")...),
		hookpoint.SamplingSelect.On(p.selected, outermost(p.t, "sampling")...),
	}
}

func (p samplingPlugin) sampling(ctx context.Context, pre hookpoint.SamplingStart) (context.Context, func(hookpoint.SamplingOutcome)) {
	o := p.t.open(p.t.place(ctx, pre.Session), p.t.application, familySampling, pre.Session.ID,
		semconv.SpanSampling, internal)
	return o, o.sampled
}

func (o *operation) sampled(out hookpoint.SamplingOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	a := s.attrs
	a = append(a,
		semconv.MelleaSamplingStrategyTypeKey.String(out.Pre.Strategy),
		semconv.MelleaSamplingLoopBudgetKey.Int(out.Pre.Budget),
		semconv.MelleaSamplingRequirementCountKey.Int(out.Pre.Requirements),
		semconv.MelleaSamplingIterationsUsedKey.Int(out.Post.Attempts.Len()))
	if out.Ending == hook.Completed {
		a = append(a, semconv.MelleaSamplingSuccessKey.Bool(out.Post.Success))
	}
	s.attrs = o.outcome(o.membership(a), out.Ending, out.Err)
	o.set(s.attrs)
	if out.Ending == hook.Completed && !out.Post.Success {
		o.tracer.capture.text(o.span, semconv.MelleaSamplingFailureReasonKey, out.Post.FailureReason)
	}
}

// recording returns the sampling operation that ctx runs in, when its span records.
func (p samplingPlugin) recording(ctx context.Context) *operation {
	o := p.t.below(ctx, familySampling)
	if o == nil || !o.span.IsRecording() {
		return nil
	}
	return o
}

func (p samplingPlugin) iteration(ctx context.Context, e hookpoint.Iteration) {
	if o := p.recording(ctx); o != nil {
		o.span.AddEvent(semconv.EventIteration, trace.WithTimestamp(e.At), trace.WithAttributes(
			semconv.MelleaSamplingIterationKey.Int(e.Number),
			semconv.MelleaSamplingAllValidationsPassedKey.Bool(e.Passed),
			semconv.MelleaValidationValidCountKey.Int(e.PassedCount),
			semconv.MelleaValidationRequirementCountKey.Int(e.Requirements)))
	}
}

func (p samplingPlugin) repair(ctx context.Context, e hookpoint.Repair) {
	if o := p.recording(ctx); o != nil {
		o.span.AddEvent(semconv.EventRepair, trace.WithTimestamp(e.At), trace.WithAttributes(
			semconv.MelleaSamplingRepairIterationKey.Int(e.Number),
			semconv.MelleaSamplingRepairTypeKey.String(e.Type),
			semconv.MelleaValidationFailedCountKey.Int(e.Failed)))
	}
}

func (p samplingPlugin) selected(ctx context.Context, e hookpoint.Selection) {
	if o := p.recording(ctx); o != nil {
		o.span.AddEvent(semconv.EventSelect, trace.WithTimestamp(e.At), trace.WithAttributes(
			semconv.MelleaSamplingIterationKey.Int(e.Number),
			semconv.MelleaSamplingSuccessKey.Bool(e.Success)))
	}
}
