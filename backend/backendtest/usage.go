package backendtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
)

func runUsage(t *testing.T, s Suite) Outcome {
	if s.Usage.Total() == 0 {
		return s.cannot(t, "usage")
	}
	s.wantUsage(t, func(u content.Usage) any { return u })
	return Pass
}

func runCachedUsage(t *testing.T, s Suite) Outcome {
	if s.Usage.CacheReadTokens == 0 {
		return s.cannot(t, "cached_usage")
	}
	s.wantUsage(t, func(u content.Usage) any { return [2]int{u.CacheReadTokens, u.CacheWriteTokens} })
	return Pass
}

func runReasoningUsage(t *testing.T, s Suite) Outcome {
	if s.Usage.ReasoningTokens == 0 {
		return s.cannot(t, "reasoning_usage")
	}
	s.wantUsage(t, func(u content.Usage) any { return u.ReasoningTokens })
	return Pass
}

// wantUsage compares counts of what the server reports with those of the generation.
func (s Suite) wantUsage(t *testing.T, counts func(content.Usage) any) {
	both(t, func(t *testing.T, stream bool) {
		_, b := s.serve(t, always(script{reply: s.reply()}))
		r, err := generate(t, b, ask(stream))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(counts(r.Generation.Usage), counts(s.Usage)); diff != "" {
			t.Errorf("usage (-got +want):\n%s", diff)
		}
	})
}
