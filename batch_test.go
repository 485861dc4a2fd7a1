package mellea_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
)

// echo completes each prompt with itself in capitals; one that says fail fails.
func echo() *melleatest.Backend {
	return melleatest.NewBackendFunc(func(_ int, r backend.Request) melleatest.Reply {
		last, _ := r.Messages.Last()
		reply := melleatest.Say(strings.ToUpper(last.Text()))
		reply.Usage = content.Usage{InputTokens: 2, OutputTokens: 1}
		if last.Text() == "fail" {
			reply.Err = &backend.Error{Provider: "scripted", Op: "batch", Code: "bad_item"}
		}
		return reply
	})
}

// A batch keeps the order of its prompts, lets single items fail, and leaves history and chat out of it.
func TestGenerateBatch(t *testing.T) {
	t.Parallel()
	b := echo()
	s, rec := start(t, b, mellea.WithHistory(history.Chat(content.User("before"))), mellea.WithSystem("be brief"),
		mellea.WithOptions(backend.Options{}.WithTemperature(0.5).WithSeed(1)))
	res, err := s.GenerateBatch(t.Context(), []string{"a", "fail", "c"}, mellea.Seed(7))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(res.Texts(), []string{"A", "FAIL", "C"}); diff != "" {
		t.Errorf("texts (-got +want):\n%s", diff)
	}
	if got := res.Items[1].Err; res.Failed() != 1 || !errors.As(got, new(*backend.Error)) {
		t.Errorf("got %d failures, the second item's error %v, want one *backend.Error", res.Failed(), got)
	}
	if got, want := res.Usage, (content.Usage{InputTokens: 6, OutputTokens: 3}); got != want {
		t.Errorf("got usage %+v, want %+v", got, want)
	}
	sent := b.Batches()[0]
	seed, _ := sent.Options.Seed()
	temperature, _ := sent.Options.Temperature()
	if diff := cmp.Diff(sent.Prompts.Slice(), []string{"a", "fail", "c"}); diff != "" || seed != 7 || temperature != 0.5 {
		t.Errorf("got prompts, seed %d, temperature %v (-got +want):\n%s", seed, temperature, diff)
	}
	if got := s.History().Len(); got != 1 {
		t.Errorf("got a history of %d messages, want it as it was", got)
	}
	if got, want := rec.Tree(), "session_start\nsession\ngeneration_batch\n"; got != want {
		t.Errorf("got operations:\n%s\nwant:\n%s", got, want)
	}
	if n := b.Outside(); n != 0 {
		t.Errorf("got %d requests outside an operation, want none", n)
	}
}

// What says more than how to generate is refused before anything is sent.
func TestGenerateBatchRefusesWhatItWouldIgnore(t *testing.T) {
	t.Parallel()
	for option, opt := range map[string]mellea.CallOption{
		"Require and Check": mellea.Check(requirement.MaxWords(3)),
		"Strategy":          mellea.Strategy(sampling.None()),
		"Vars":              mellea.Vars{"a": 1},
		"System":            mellea.System("x"),
		"Examples":          mellea.Examples("x"),
		"Ground":            mellea.Ground("x", "y"),
		"Prefix":            mellea.Prefix("x"),
		"OutputPrefix":      mellea.OutputPrefix("x"),
		"Stream":            mellea.Stream(func(int, backend.Chunk) {}),
		"PromptName":        mellea.PromptName("x", "1"),
	} {
		b := echo()
		_, err := mellea.GenerateBatch(t.Context(), mellea.On(b), []string{"a"}, opt)
		usage := new(mellea.UsageError)
		if !errors.As(err, &usage) || usage.Option != option || len(b.Batches()) != 0 {
			t.Errorf("%s: got error %v and %d batches, want a *UsageError that names it and none", option, err, len(b.Batches()))
		}
	}
	for name, opt := range map[string]mellea.CallOption{"Model": mellea.Model("m"), "Format": mellea.Format(mustSchema(t))} {
		if _, err := mellea.GenerateBatch(t.Context(), mellea.On(echo()), []string{"a"}, opt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := mellea.GenerateBatch(t.Context(), mellea.On(echo()), nil); !errors.As(err, new(*mellea.UsageError)) {
		t.Errorf("without prompts: got error %v, want a *UsageError", err)
	}
}

// batching is a backend whose GenerateBatch a test replaces.
type batching struct {
	*melleatest.Backend

	batch func(context.Context, backend.BatchRequest) (backend.BatchReply, error)
}

func (b batching) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	return b.batch(ctx, req)
}

// However a batch ends, its operation ends once and as it should, and the error says what happened.
func TestEndingsOfBatches(t *testing.T) {
	t.Parallel()
	failed := &backend.Error{Provider: "scripted", Op: "batch", Status: 500}
	ok := func(_ context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
		return backend.BatchReply{Items: content.ListOf(make([]backend.BatchItem, req.Prompts.Len())...)}, nil
	}
	for _, tc := range []struct {
		name   string
		batch  func(context.Context, backend.BatchRequest) (backend.BatchReply, error)
		hooks  []hook.Source
		ending string
		check  func(error) bool
	}{
		{name: "it fails", batch: func(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
			return backend.BatchReply{}, failed
		}, ending: "error", check: func(err error) bool { return errors.Is(err, failed) }},
		{name: "every item fails", batch: func(_ context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
			return backend.BatchReply{Items: content.ListOf(backend.BatchItem{Err: failed}, backend.BatchItem{Err: failed})}, nil
		}, ending: "error", check: func(err error) bool { return errors.Is(err, failed) }},
		{name: "it loses an item", batch: func(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
			return backend.BatchReply{Items: content.ListOf(backend.BatchItem{})}, nil
		}, ending: "error", check: hasCode(backend.CodeInvalidResponse)},
		{name: "it panics", batch: func(context.Context, backend.BatchRequest) (backend.BatchReply, error) { panic("SECRET") },
			ending: "error", check: hasCode(backend.CodePanic)},
		{name: "it cannot", batch: func(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
			return backend.BatchReply{}, backend.NoBatch("scripted")
		}, ending: "error", check: hasCode(backend.CodeUnsupported)},
		{name: "the caller gives up", batch: func(ctx context.Context, _ backend.BatchRequest) (backend.BatchReply, error) {
			<-ctx.Done()
			return backend.BatchReply{}, context.Cause(ctx)
		}, ending: "cancelled", check: func(err error) bool { return errors.Is(err, context.Canceled) }},
		{name: "a guard denies it", batch: ok, ending: "rejected", check: rejectedAt("generation_batch"), hooks: []hook.Source{
			hookpoint.GenerationBatch.Check(func(context.Context, hookpoint.BatchStart) error { return hook.Reject("no", "") })}},
		{name: "a review denies it", batch: ok, ending: "rejected", check: rejectedAt("generation_batch"), hooks: []hook.Source{
			hookpoint.GenerationBatch.Review(func(_ context.Context, _ hookpoint.BatchStart, e hookpoint.BatchEnd) (hookpoint.BatchEnd, error) {
				return e, hook.Reject("no", "")
			})}},
		{name: "a guard edits the prompts", batch: ok, ending: "rejected", check: rejectedAt("generation_batch"), hooks: []hook.Source{
			hookpoint.GenerationBatch.Guard(func(_ context.Context, b hookpoint.BatchStart) (hookpoint.BatchStart, error) {
				b.Prompts = content.ListOf("other")
				return b, nil
			})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, rec := start(t, batching{melleatest.NewBackend(), tc.batch}, mellea.WithHooks(tc.hooks...))
			ctx, cancel := context.WithCancel(t.Context())
			if tc.ending == "cancelled" {
				cancel()
			}
			defer cancel()
			res, err := s.GenerateBatch(ctx, []string{"a", "b"})
			if !tc.check(err) {
				t.Errorf("got error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error quotes the panic: %v", err)
			}
			if tc.ending == "rejected" && len(res.Items) != 0 {
				t.Errorf("got %d items of a rejected batch, want none", len(res.Items))
			}
			if diff := cmp.Diff(endings(rec, "generation_batch"), []string{tc.ending}); diff != "" {
				t.Errorf("endings (-got +want):\n%s", diff)
			}
		})
	}
}

// A backend that exits the goroutine leaves no operation open; the recorder fails the test if it does.
func TestBatchThatExitsTheGoroutine(t *testing.T) {
	t.Parallel()
	s, rec := start(t, batching{melleatest.NewBackend(), func(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
		runtime.Goexit()
		return backend.BatchReply{}, nil
	}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.GenerateBatch(context.Background(), []string{"a"})
	}()
	<-done
	if diff := cmp.Diff(endings(rec, "generation_batch"), []string{"error"}); diff != "" {
		t.Errorf("endings (-got +want):\n%s", diff)
	}
}

func hasCode(code string) func(error) bool {
	return func(err error) bool {
		e := new(backend.Error)
		return errors.As(err, &e) && e.Code == code
	}
}

func rejectedAt(point string) func(error) bool {
	return func(err error) bool {
		r := new(hook.Rejection)
		return errors.As(err, &r) && r.Point == point
	}
}

func mustSchema(t *testing.T) schema.Schema {
	t.Helper()
	s, err := schema.Parse("any", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
