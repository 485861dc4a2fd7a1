package engine

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/schema"
)

// Batch makes a raw completion of each prompt, under one GenerationBatch operation. What failed for one prompt is in its
// item; when all of them failed, the first failure is the error too. A batch that a review rejected gives nothing but its
// metadata.
func (s Scope) Batch(ctx context.Context, prompts []string, options backend.Options, format schema.Schema) (backend.BatchReply, error) {
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return backend.BatchReply{}, err
	}
	defer entry.leave()
	info, err := s.info(ctx, s.Backend)
	if err != nil {
		return backend.BatchReply{}, ending(ctx, err)
	}
	ctx, op, err := hookpoint.GenerationBatch.Begin(ctx, s.Set, hookpoint.BatchStart{Session: s.Session, Info: info,
		Conversation: s.Conversation, Prompts: content.ListOf(prompts...), Options: s.Options.Merge(options), Format: format})
	if err != nil {
		return backend.BatchReply{}, err
	}
	var reply backend.BatchReply
	err = hook.ErrPanicked // stands when the backend exits the goroutine
	defer func() {
		_, _ = op.End(hookpoint.BatchEnd{}, err) // ended by now, but for an exit
	}()
	err = caught(func() (err error) {
		reply, err = s.Backend.GenerateBatch(ctx, backend.BatchRequest{Prompts: op.Pre.Prompts, Options: op.Pre.Options, Format: op.Pre.Format})
		return err
	})
	if err = checkBatch(reply, err, op.Pre); err == nil {
		err = firstFailure(reply)
	}
	known := &reply.Generation
	if known.Provider == "" {
		known.Provider = info.Provider
	}
	if known.Model == "" {
		known.Model = op.Pre.Model()
	}
	body := err
	_, err = op.EndAt(known.Ended, hookpoint.BatchEnd{Items: reply.Items, Generation: reply.Generation}, ending(ctx, body))
	if err != nil && body == nil { // a review rejected it
		reply.Items = content.List[backend.BatchItem]{}
	}
	return reply, err
}

// checkBatch holds a backend to its contract, and makes a panic of it an error like any other.
func checkBatch(reply backend.BatchReply, err error, pre hookpoint.BatchStart) error {
	fault := func(code, remedy string, cause error) error {
		return &backend.Error{Provider: pre.Info.Provider, Op: "batch", Code: code, Remedy: remedy, Err: cause}
	}
	if p, ok := err.(*backend.PanicError); ok { //nolint:errorlint // of caught itself, not one that a backend wrapped
		return fault(backend.CodePanic, "", p)
	}
	if err == nil && reply.Items.Len() != pre.Prompts.Len() {
		return fault(backend.CodeInvalidResponse, "the backend did not answer each prompt once: mend its GenerateBatch", nil)
	}
	return err
}

// firstFailure returns the error of the first item when every item failed, nil when one did not.
func firstFailure(reply backend.BatchReply) error {
	if n := reply.Items.Len(); n == 0 || reply.Failed() < n {
		return nil
	}
	return reply.Items.At(0).Err
}
