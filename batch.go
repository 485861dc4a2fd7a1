package mellea

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// BatchResult is what [GenerateBatch] gave.
type BatchResult struct {
	// Items has one element for each prompt, in their order.
	Items []backend.BatchItem
	// Generation describes the batch as a whole.
	Generation backend.Generation
	// Usage is the sum over all items, as the provider counted.
	Usage content.Usage
}

// Texts returns the completions, in the order of the prompts; of an item that failed, what had arrived.
func (r *BatchResult) Texts() []string {
	texts := make([]string, len(r.Items))
	for i, it := range r.Items {
		texts[i] = it.Text
	}
	return texts
}

// Failed counts the items that failed.
func (r *BatchResult) Failed() int {
	return backend.BatchReply{Items: content.ListOf(r.Items...)}.Failed()
}

// GenerateBatch makes a raw completion of each prompt. Prompts are sent as they are: no template, no chat, no system
// message and no history, and the history is not changed. The options of the call that set parameters of a generation
// and [Format] apply to each; any other is a *[UsageError], as nothing is rendered or validated.
//
// An item that failed has its own Err. The error is nil unless the batch failed as a whole, or every item did. A backend
// that has no raw completions returns a *[backend.Error] with [backend.CodeUnsupported].
func GenerateBatch(ctx context.Context, r Runner, prompts []string, opts ...CallOption) (*BatchResult, error) {
	c := configure(opts)
	if name := c.beyondParameters(); name != "" {
		return &BatchResult{}, &UsageError{Option: name, Reason: "GenerateBatch sends prompts as they are and validates nothing: use Instruct"}
	}
	if len(prompts) == 0 {
		return &BatchResult{}, &UsageError{Option: "prompts", Reason: "there is none: a batch needs at least one"}
	}
	on := r.on()
	if on.err != nil {
		return &BatchResult{}, on.err
	}
	reply, err := c.scope(on.scope).Batch(ctx, prompts, c.options, c.format)
	return &BatchResult{Items: reply.Items.Slice(), Generation: reply.Generation, Usage: reply.Generation.Usage}, err
}

// GenerateBatch makes a raw completion of each prompt; see the function [GenerateBatch].
func (s *Session) GenerateBatch(ctx context.Context, prompts []string, opts ...CallOption) (*BatchResult, error) {
	return GenerateBatch(ctx, s, prompts, opts...)
}

// beyondParameters names an option that says more than how to generate, "" when there is none.
func (c callConfig) beyondParameters() string {
	for _, o := range []struct {
		name string
		set  bool
	}{
		{"Require and Check", len(c.requirements) > 0}, {"Strategy", c.strategy != nil}, {"Vars", c.vars != nil},
		{"System", c.setSystem}, {"Examples", len(c.examples) > 0}, {"Ground", len(c.grounding) > 0},
		{"Prefix", c.prefix != ""}, {"OutputPrefix", c.outputPrefix != ""}, {"Media", len(c.media) > 0},
		{"Stream", c.sink != nil}, {"PromptName", c.prompt.Name != ""},
	} {
		if o.set {
			return o.name
		}
	}
	return ""
}
