package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// batch traces text_completion: one span, whatever the number of prompts.
func (p backendPlugin) batch(ctx context.Context, pre hookpoint.BatchStart) (context.Context, func(hookpoint.BatchOutcome)) {
	o, beneath := p.t.inference(ctx, semconv.GenAIOperationNameTextCompletion, pre.Session, &pre.Info, valid(pre.Model()))
	return beneath, o.completed
}

func (o *operation) completed(out hookpoint.BatchOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	pre, post := &out.Pre, &out.Post
	g := &post.Generation
	a := o.outcome(s.attrs, out.Ending, out.Err)
	a = usage(a, g)
	a = response(a, perPrompt(g, post), out.Ending)
	a = o.asked(a, semconv.GenAIOperationNameTextCompletion, &pre.Info, pre.Model(), g)
	if pre.Conversation != "" {
		a = append(a, semconv.GenAIConversationIDKey.String(pre.Conversation))
	}
	a = formatted(parameters(a, sentOptions(g, pre.Options)), pre.Format)
	if pre.Info.Provider == semconv.GenAIProviderNameOpenAI {
		a = openAI(a, g) // openai.api.type has no value for the API of completions
	}
	a = retries(append(a, semconv.MelleaRequestNumActionsKey.Int(pre.Prompts.Len())), g)
	if n := post.Failed(); n > 0 && out.Ending == hook.Completed {
		a = append(a, semconv.MelleaBatchFailedCountKey.Int(n))
	}
	s.attrs = a
	o.set(a)
	for i, r := range g.Retries.All() {
		o.event(semconv.EventRetry, r.At, retry(i+1, r)...)
	}
	if out.Ending != hook.Rejected {
		o.tracer.capture.completions(o.span, pre.Prompts, post.Items)
	}
}

// perPrompt returns what is known of a batch with a finish reason for each prompt, in their order: that of a prompt of
// which nothing came is "error".
func perPrompt(g *backend.Generation, post *hookpoint.BatchEnd) *backend.Generation {
	if post.Failed() == 0 || post.Failed() == post.Items.Len() {
		return g
	}
	whole := *g
	whole.FinishReasons = content.List[string]{}
	for it := range post.Items.Values() {
		reason := it.FinishReason
		if reason == "" {
			reason = "error"
		}
		whole.FinishReasons = whole.FinishReasons.Append(reason)
	}
	return &whole
}

// completions records the prompts of a batch and what came of them, in the same order. An item of which nothing came is
// not recorded.
func (c capture) completions(span trace.Span, prompts content.List[string], items content.List[backend.BatchItem]) {
	if !c.documents() || !span.IsRecording() {
		return
	}
	var input, output []node
	for it := range items.Values() {
		if it.Text != "" || it.Err == nil {
			output = append(output, c.message(semconv.GenAIOutputMessagesKey, content.Assistant(it.Text)))
		}
	}
	for prompt := range prompts.Values() {
		input = append(input, c.message(semconv.GenAIInputMessagesKey, content.User(prompt)))
	}
	d := documents{capture: c, span: span}
	d.record(semconv.GenAIOutputMessagesKey, fit, output...)
	d.record(semconv.GenAIInputMessagesKey, fit, input...)
	d.close()
}
