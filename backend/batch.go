package backend

import (
	"context"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// BatchRequest is a list of raw completions to make. Each prompt is sent as it is, without a chat template, and stands
// alone: it sees neither a history nor the other prompts. It is an immutable value.
type BatchRequest struct {
	Prompts content.List[string]
	// Options is the call's over the session's; a backend lays them over its own with [Options.Merge]. A batch is never
	// streamed, whatever they say.
	Options Options
	// Format constrains each completion; the zero Schema leaves them free.
	Format schema.Schema
}

// BatchItem is what became of one prompt.
type BatchItem struct {
	// Text is the completion; after an error, what had arrived of it.
	Text string
	// FinishReason says why it ended, "" when the provider does not tell.
	FinishReason string
	// Usage counts this item's tokens; zero where the provider counts only the whole batch.
	Usage content.Usage
	// Err says that this item failed while others may not have. It is an *[Error] or the cause of a context.
	Err error
}

// BatchReply is what a batch gave.
type BatchReply struct {
	// Items has one element for each prompt, in their order.
	Items content.List[BatchItem]
	// Generation describes the batch as a whole: its usage is the sum, its finish reasons are those of the items that
	// did not fail, in their order, and its times span all of it.
	Generation Generation
}

// Failed counts the items that failed.
func (r BatchReply) Failed() int {
	n := 0
	for it := range r.Items.Values() {
		if it.Err != nil {
			n++
		}
	}
	return n
}

// Batcher is the part of a [Backend] that makes raw completions.
type Batcher interface {
	// GenerateBatch makes a completion of each prompt and returns when all have ended. An error is one of the whole
	// batch: nothing came of it, and the reply's Generation tells what is known. What failed for one prompt alone is
	// that item's Err, and the error is nil then. A backend whose [Capabilities] have no Batch returns an *[Error] with
	// [CodeUnsupported].
	GenerateBatch(ctx context.Context, req BatchRequest) (BatchReply, error)
}

// NoBatch is what GenerateBatch returns where a provider has no raw completions: an *[Error] with [CodeUnsupported].
func NoBatch(provider string) error {
	return &Error{Provider: provider, Op: "batch", Code: CodeUnsupported,
		Remedy: "the provider has no raw completions: use chat, one call for each prompt"}
}
