package telemetry

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// componentPlugin traces action, and tells on it how the component was rendered and parsed.
type componentPlugin struct{ t *tracer }

func (p componentPlugin) Bindings() []hook.Binding {
	return []hook.Binding{
		hookpoint.Component.Bracket(p.action, outermost(p.t, "component")...),
		hookpoint.Format.Bracket(p.format, outermost(p.t, "component")...),
	}
}

func (p componentPlugin) action(ctx context.Context, pre hookpoint.ComponentStart) (context.Context, func(hookpoint.ComponentOutcome)) {
	o := p.t.open(p.t.place(ctx, pre.Session), p.t.application, familyComponent, pre.Session.ID,
		semconv.SpanAction, internal)
	return o, o.acted
}

func (o *operation) acted(out hookpoint.ComponentOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	pre, post := &out.Pre, &out.Post
	a := s.attrs
	a = append(a,
		semconv.MelleaComponentTypeKey.String(pre.Kind),
		semconv.MelleaActionHasRequirementsKey.Bool(pre.Requirements.Len() > 0),
		semconv.MelleaActionHasStrategyKey.Bool(pre.Strategy != nil),
		semconv.MelleaActionHasFormatKey.Bool(!pre.Format.IsZero()),
		semconv.MelleaActionToolCallsKey.Bool(pre.Tools))
	if pre.Strategy != nil {
		a = append(a, semconv.MelleaSamplingStrategyTypeKey.String(pre.Strategy.Plan().Name))
	}
	if out.Ending == hook.Completed {
		a = append(a, semconv.MelleaActionNumGenerateLogsKey.Int(post.Generations))
		if post.Sampled {
			a = append(a, semconv.MelleaSamplingSuccessKey.Bool(post.Success))
		}
	}
	if !post.Reply.IsZero() {
		a = append(a, semconv.MelleaActionResponseLengthKey.Int(len(post.Reply.Text())))
	}
	o.mu.Lock()
	if o.format != nil && o.rendered >= 0 {
		if o.template != "" {
			a = append(a, semconv.MelleaFormatterTemplateKey.String(o.template))
		}
		a = append(a, semconv.MelleaFormatterRenderedLengthKey.Int(o.rendered))
	}
	o.mu.Unlock()
	s.attrs = o.outcome(o.membership(a), out.Ending, out.Err)
	o.set(s.attrs)
	if out.Ending != hook.Rejected && !post.Reply.IsZero() {
		o.tracer.capture.text(o.span, semconv.MelleaActionResponseKey, post.Reply.Text())
	}
}

// format follows the rendering and parsing of the action's own component. What a judge renders is its own business.
func (p componentPlugin) format(ctx context.Context, _ hookpoint.FormatStart) (context.Context, func(hookpoint.FormatOutcome)) {
	o := p.t.below(ctx, familyComponent, familyValidation, familyRequirement)
	if o == nil {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.format == nil {
		o.format = o.formatted
		o.rendered = -1
	}
	return nil, o.format
}

func (o *operation) formatted(out hookpoint.FormatOutcome) {
	switch {
	case out.Pre.Phase == hookpoint.Render && out.Ending == hook.Completed:
		o.mu.Lock()
		if o.rendered < 0 {
			o.template, o.rendered = out.Post.Template, out.Post.Length
		}
		o.mu.Unlock()
	case out.Pre.Phase == hookpoint.Parse && out.Ending == hook.Failed && o.span.IsRecording():
		o.parseError(out)
	}
}

func (o *operation) parseError(out hookpoint.FormatOutcome) {
	attrs := []attribute.KeyValue{
		semconv.ErrorTypeKey.String(ErrorType(out.Err)),
		semconv.MelleaActionResponseLengthKey.Int(out.Post.Length),
	}
	if out.Pre.Iteration > 0 {
		attrs = append(attrs, semconv.MelleaSamplingIterationKey.Int(out.Pre.Iteration))
	}
	if pe, ok := errors.AsType[*component.ParseError](out.Err); ok {
		attrs = o.tracer.capture.appendText(attrs, semconv.MelleaParseExcerptKey, pe.Reason)
	}
	o.span.AddEvent(semconv.EventParseError, trace.WithTimestamp(out.End), trace.WithAttributes(attrs...))
}
