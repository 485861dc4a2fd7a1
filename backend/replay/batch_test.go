package replay_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
)

func batchOf(prompts ...string) backend.BatchRequest {
	return backend.BatchRequest{Prompts: content.ListOf(prompts...), Options: backend.Options{}.WithSeed(7)}
}

// A batch is given back as it was: items in order, failures of single ones, metadata, and the time it took.
func TestBatchRoundTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := play(
			script{steps: []step{{wait: time.Second, text: "one "}, {text: "two"}}},
			script{err: &backend.Error{Provider: "test", Op: "batch", Status: 400, Code: "bad", Message: "no"}},
			script{steps: []step{{text: "not \xff UTF-8"}}})
		var file bytes.Buffer
		r := replay.Record(inner, &file)
		want, wantErr := r.GenerateBatch(t.Context(), batchOf("a", "b", "c"))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		text := file.String()
		b := open(t, &file, replay.WithTiming(replay.Real))
		began := time.Now()
		got, err := b.GenerateBatch(t.Context(), batchOf("a", "b", "c"))
		if diff := cmp.Diff(observedBatch(got, err), observedBatch(want, wantErr), equal...); diff != "" {
			t.Errorf("batch (-got +want):\n%s\nrecording:\n%s", diff, text)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the batch took %v, want the second that the recorded one took", took)
		}
		if left := b.Unused(); len(left) != 0 {
			t.Errorf("got %v not replayed, want all of it", left)
		}
	})
}

// batchSeen is what a caller sees of a batch.
type batchSeen struct {
	Items      []backend.BatchItem
	Generation backend.Generation
	Err        error
}

func observedBatch(r backend.BatchReply, err error) batchSeen {
	return batchSeen{r.Items.Slice(), r.Generation, err}
}

// A batch that failed as a whole fails again, and so does one that was refused.
func TestBatchThatFailed(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	r := replay.Record(play(script{refuse: &backend.Error{Provider: "test", Op: "batch", Status: 503, Remedy: "wait"}}), &file)
	_, want := r.GenerateBatch(t.Context(), batchOf("a"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, &file).GenerateBatch(t.Context(), batchOf("a"))
	if diff := cmp.Diff(err, want, equal...); diff != "" {
		t.Errorf("error (-got +want):\n%s", diff)
	}
}

// A batch that is not in the recording is an error that says where it differs, and chat is no batch.
func TestUnexpectedBatch(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	r := replay.Record(play(script{steps: []step{{text: "x"}}}), &file)
	if _, err := r.GenerateBatch(t.Context(), batchOf("alpha", "beta")); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b := open(t, &file)
	for _, tc := range []struct {
		name string
		ask  func() error
		want string
	}{
		{"another prompt", func() error { _, err := b.GenerateBatch(t.Context(), batchOf("alpha", "bela")); return err }, "prompt 2 differs at byte 3"},
		{"fewer prompts", func() error { _, err := b.GenerateBatch(t.Context(), batchOf("alpha")); return err }, "it has 1 prompts, not 2"},
		{"chat", func() error { _, err := b.Generate(t.Context(), ask("alpha")); return err }, "it is not a batch"},
	} {
		e := new(backend.Error)
		if err := tc.ask(); !errors.As(err, &e) || e.Code != replay.CodeUnexpected || !strings.Contains(e.Remedy, tc.want) {
			t.Errorf("%s: got error %v, want one that says %q", tc.name, err, tc.want)
		}
	}
}
