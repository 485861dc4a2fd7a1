package local

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Scores are those of each token of the reply and of the one that ends it, and are there when they are asked for.
func TestScores(t *testing.T) {
	t.Parallel()
	on := backend.Options{}
	raw := [][]float32{{0, 1, 2, 3}, {10, 11, 12, 13}, {20, 21, 22, 23}}
	tests := map[string]struct {
		options     backend.Options
		logits, raw int // how many there are
	}{
		"nobody asks":                   {on, 0, 0},
		"what tokens are chosen by":     {on.WithLogits(true), 3, 0},
		"what the model says":           {on.WithRawLogits(true), 0, 3},
		"both":                          {on.WithLogits(true).WithRawLogits(true), 3, 3},
		"by transformers' names":        {on.WithExtra("output_scores", true).WithExtra("output_logits", true), 3, 3},
		"switched off for the call":     {on.WithLogits(true).Merge(on.WithLogits(false)), 0, 0},
		"in pieces, under strict rules": {on.WithLogits(true).WithStream(true).WithStrict(true), 3, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFake(t, &fake{answer: says("ab"), sampling: func(s sampling) {
				if s.scored != (tt.logits > 0) {
					t.Errorf("the sampler is told that scores are wanted: %t, want %t", s.scored, tt.logits > 0)
				}
			}})
			req := ask("hi")
			req.Options = tt.options
			_, r := generated(t, b, req)
			if diff := cmp.Diff(rows(r.Generation.RawLogits), raw[:tt.raw], equateEmpty); diff != "" {
				t.Errorf("raw logits (-got +want):\n%s", diff)
			}
			halved := rows(r.Generation.Logits)
			if len(halved) != tt.logits {
				t.Fatalf("got %d logits, want %d", len(halved), tt.logits)
			}
			for i, row := range halved {
				// They are taken when the token has been chosen: those of the fake are of the next step then.
				if want := float32(min(i+1, 2)*10) / 2; row[0] != want {
					t.Errorf("logits %d begin with %v, want %v", i, row[0], want)
				}
			}
		})
	}
}

var equateEmpty = cmp.FilterValues(func(a, b [][]float32) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())

func rows(all content.List[backend.Scores]) (out [][]float32) {
	for s := range all.Values() {
		var row []float32
		for _, x := range s.All() {
			row = append(row, x)
		}
		if s.Len() != len(row) || !slices.Equal(row, []float32{s.At(0), s.At(1), s.At(2), s.At(3)}) {
			panic("scores differ from themselves")
		}
		out = append(out, row)
	}
	return out
}

// A batch has no place for scores: that is told once, and refused under strict options.
func TestScoresOfABatch(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := newFake(t, &fake{answer: says("x")}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	req := backend.BatchRequest{Prompts: content.ListOf("a", "b"), Options: backend.Options{}.WithLogits(true)}
	for range 2 {
		if _, err := b.GenerateBatch(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(log.String(), "level=WARN"); got != 1 || !strings.Contains(log.String(), "logits") {
		t.Errorf("got %d warnings, want one about logits:\n%s", got, log.String())
	}
	req.Options = req.Options.WithStrict(true)
	var e *backend.Error
	if _, err := b.GenerateBatch(t.Context(), req); !errors.As(err, &e) || e.Code != backend.CodeUnsupported {
		t.Errorf("got %v, want code %q", err, backend.CodeUnsupported)
	}
}
