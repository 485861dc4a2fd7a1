package hookpoint

import (
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/schema"
)

// GenerationBatch is open while a backend makes raw completions. A guard may change Options and Format. What it gave
// cannot be changed: a review may only reject it.
var GenerationBatch = hook.NewPoint("generation_batch", hook.Accept[BatchStart, BatchEnd](func(old, edited BatchStart) (BatchStart, error) {
	switch {
	case edited.Session != old.Session:
		return old, forbidden("generation_batch", "Session")
	case edited.Info != old.Info:
		return old, forbidden("generation_batch", "Info")
	case edited.Conversation != old.Conversation:
		return old, forbidden("generation_batch", "Conversation")
	case !unchanged(old.Prompts, edited.Prompts):
		return old, forbidden("generation_batch", "Prompts")
	}
	return edited, nil
}), hook.AcceptPost[BatchStart, BatchEnd](func(old, edited BatchEnd) (BatchEnd, error) {
	if !unchanged(old, edited) {
		return old, forbidden("generation_batch", "the result")
	}
	return old, nil
}))

// BatchStart is what [GenerationBatch] announces before.
type BatchStart struct {
	Session SessionRef
	// Info is what the backend says of itself.
	Info backend.Info
	// Conversation is the id that the program gave, "" when it gave none.
	Conversation string
	// Prompts are sent as they are, each for a completion of its own.
	Prompts content.List[string]
	// Options are as the engine passes them on; what is sent in the end is in [backend.Generation]. Writable.
	Options backend.Options
	// Format constrains each completion. Writable.
	Format schema.Schema
}

// Model returns the model that is asked for.
func (b BatchStart) Model() string {
	if m := b.Options.Model(); m != "" {
		return m
	}
	return b.Info.Model
}

// BatchEnd is what [GenerationBatch] announces after. After a failure it holds what is known.
type BatchEnd struct {
	// Items are what became of the prompts, in their order.
	Items content.List[backend.BatchItem]
	// Generation describes the batch as a whole.
	Generation backend.Generation
}

// Failed counts the items that failed while others did not.
func (b BatchEnd) Failed() int { return backend.BatchReply{Items: b.Items}.Failed() }
