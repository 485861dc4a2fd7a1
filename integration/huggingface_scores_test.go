//go:build llama

package integration_test

import (
	"math"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// likeliest returns the token with the highest score, and how many could be chosen.
func likeliest(s backend.Scores) (best, possible int) {
	for id, x := range s.All() {
		if x > s.At(best) {
			best = id
		}
		if !math.IsInf(float64(x), -1) {
			possible++
		}
	}
	return best, possible
}

// The scores of a real model in process lead to its reply: with temperature 0 each token is the likeliest of the model's own,
// a filter leaves as many as it says, and a schema those that continue a document.
func TestHuggingFaceLocalScores(t *testing.T) {
	b := inProcess(t)
	ask := func(change func(*backend.Request)) backend.Reply {
		req := question(capital)
		req.Options = req.Options.WithMaxTokens(6).WithLogits(true).WithRawLogits(true).WithStrict(true)
		change(&req)
		return generate(t, b, req)
	}
	same := func(a, b content.List[backend.Scores]) bool {
		if a.Len() != b.Len() || a.Len() == 0 {
			return false
		}
		for i := range a.Len() {
			x, _ := likeliest(a.At(i))
			y, _ := likeliest(b.At(i))
			if a.At(i).Len() != b.At(i).Len() || x != y {
				return false
			}
		}
		return true
	}

	greedy := ask(func(*backend.Request) {})
	g := greedy.Generation
	if g.RawLogits.Len() != 6 || !same(g.Logits, g.RawLogits) {
		t.Errorf("%d raw logits and %d that tokens are chosen by, want 6 with the same likeliest tokens", g.RawLogits.Len(), g.Logits.Len())
	}
	if again := ask(func(req *backend.Request) { req.Options = req.Options.WithStream(true) }); again.Message.Text() != greedy.Message.Text() || !same(again.Generation.RawLogits, g.RawLogits) {
		t.Errorf("in pieces the reply is %q with other logits, want %q with the same", again.Message.Text(), greedy.Message.Text())
	}
	without := question(capital)
	without.Options = without.Options.WithMaxTokens(6)
	if plain := generate(t, b, without); plain.Message.Text() != greedy.Message.Text() || plain.Generation.Logits.Len() != 0 {
		t.Errorf("without logits the reply is %q, want %q and no logits", plain.Message.Text(), greedy.Message.Text())
	}

	filtered := ask(func(req *backend.Request) {
		req.Options = req.Options.WithTemperature(0.7).WithTopK(3).WithTopP(1).WithExtra("min_p", 0)
	})
	for i, s := range filtered.Generation.Logits.All() {
		if _, possible := likeliest(s); possible != 3 {
			t.Errorf("token %d was chosen of %d, want 3 with top-k 3", i, possible)
		}
	}

	digits := ask(func(req *backend.Request) {
		s, err := schema.Parse("n", []byte(`{"type":"integer","minimum":10,"maximum":99}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Format = s
	})
	for i, s := range digits.Generation.Logits.All() {
		if _, possible := likeliest(s); possible == 0 || possible > 200 {
			t.Errorf("token %d was chosen of %d, want the few that the schema allows", i, possible)
		}
	}
	if text := strings.TrimSpace(digits.Message.Text()); len(text) != 2 {
		t.Errorf("the reply is %q, want a number of two digits", text)
	}
}
