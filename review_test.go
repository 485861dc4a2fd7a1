package mellea_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

func countGenerations(n *int) hook.Binding {
	return hookpoint.Component.Bracket(func(context.Context, hookpoint.ComponentStart) (context.Context, func(hookpoint.ComponentOutcome)) {
		return nil, func(o hookpoint.ComponentOutcome) { *n = o.Post.Generations }
	})
}

func reviewReply(f func(hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error)) hook.Binding {
	return hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
		return f(p)
	})
}

func reviewValue(f func(any) (any, error)) hook.Binding {
	return hookpoint.Component.Review(func(_ context.Context, _ hookpoint.ComponentStart, p hookpoint.ComponentEnd) (hookpoint.ComponentEnd, error) {
		v, err := f(p.Value)
		p.Value = v
		return p, err
	})
}

// A reply that a review rejected, or never got to see because the generation failed, reaches nobody.
func TestUnreviewedReplyReachesNobody(t *testing.T) {
	t.Parallel()
	reject := reviewReply(func(p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) { return p, hook.Reject("no", "") })
	accept := reviewReply(func(p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) { return p, nil })
	rejectValue := reviewValue(func(v any) (any, error) { return v, hook.Reject("no", "") })
	rejectSampling := hookpoint.Sampling.Review(func(_ context.Context, _ hookpoint.SamplingStart, p hookpoint.SamplingEnd) (hookpoint.SamplingEnd, error) {
		return p, hook.Reject("no", "")
	})
	said := melleatest.Reply{Pieces: []string{"SEC", "RET"}}
	broken := melleatest.Reply{Pieces: []string{"SEC", "RET"}, Err: errors.New("cut off")}
	for _, tc := range []struct {
		name   string
		reply  melleatest.Reply
		review hook.Binding
	}{
		{"the reply is rejected", said, reject},
		{"the generation fails", broken, accept},
		{"the value is rejected", said, rejectValue},
		{"the sampling is rejected", said, rejectSampling},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			seen := &strings.Builder{}
			s, _ := start(t, melleatest.NewBackend(tc.reply), mellea.WithHistory(history.Chat()), mellea.WithHooks(tc.review))
			res, err := s.Instruct(t.Context(), "Say.", mellea.Strategy(sampling.Repair(1)), mellea.Stream(func(_ int, c backend.Chunk) {
				if tc.name != "the value is rejected" && tc.name != "the sampling is rejected" { // those hold no chunk back
					seen.WriteString(c.Text)
				}
			}))
			if err == nil {
				t.Fatal("no error")
			}
			seen.WriteString(res.Text() + res.Value)
			for _, a := range res.Attempts {
				seen.WriteString(a.Text())
			}
			if tc.name != "the sampling is rejected" { // a lazy call has none
				out, err := s.StartInstruct(t.Context(), "Say.")
				if err != nil {
					t.Fatal(err)
				}
				for c := range out.Chunks(t.Context()) {
					seen.WriteString(c.Text)
				}
				text, err := out.Text(t.Context())
				if err == nil {
					t.Error("no error of the output")
				}
				seen.WriteString(text)
			}
			if seen.String() != "" {
				t.Errorf("somebody saw %q", seen)
			}
		})
	}
}

// What a review makes of a value that is the reply itself is what everybody gets: the caller, the history, and who reads
// an output.
func TestReviewedValueIsTheReply(t *testing.T) {
	t.Parallel()
	text := reviewValue(func(v any) (any, error) { return strings.ReplaceAll(v.(string), "secret", "***"), nil })
	message := reviewValue(func(v any) (any, error) {
		m := v.(content.Message)
		return m.WithText(strings.ReplaceAll(m.Text(), "secret", "***")), nil
	})
	last := func(s *mellea.Session) string { m, _ := s.History().View().Last(); return m.Text() }
	b := func() *melleatest.Backend { return melleatest.NewBackend(melleatest.Say("a secret")) }
	t.Run("instruct", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, b(), mellea.WithHistory(history.Chat()), mellea.WithHooks(text))
		res, err := s.Instruct(t.Context(), "Say.")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := []string{res.Value, res.Text(), last(s)}, []string{"a ***", "a ***", "a ***"}; !cmp.Equal(got, want) {
			t.Errorf("value, text and history are %q, want %q", got, want)
		}
	})
	t.Run("chat", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, b(), mellea.WithHistory(history.Chat()), mellea.WithHooks(message))
		res, err := s.Chat(t.Context(), "Say.")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := []string{res.Value.Text(), res.Text(), last(s)}, []string{"a ***", "a ***", "a ***"}; !cmp.Equal(got, want) {
			t.Errorf("value, text and history are %q, want %q", got, want)
		}
	})
	t.Run("a lazy call", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, b(), mellea.WithHistory(history.Chat()), mellea.WithHooks(text))
		out, err := s.StartInstruct(t.Context(), "Say.")
		if err != nil {
			t.Fatal(err)
		}
		var chunks string
		for c := range out.Chunks(t.Context()) {
			chunks += c.Text
		}
		got, err := out.Text(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := []string{chunks, got, last(s)}, []string{"a ***", "a ***", "a ***"}; !cmp.Equal(got, want) {
			t.Errorf("chunks, text and history are %q, want %q", got, want)
		}
	})
	t.Run("a value made of the reply", func(t *testing.T) {
		t.Parallel()
		double := reviewValue(func(v any) (any, error) { return 2 * v.(number), nil })
		s, _ := start(t, melleatest.NewBackend(melleatest.Say("1")), mellea.WithHooks(double))
		res, err := mellea.Act[number](t.Context(), s, numberComponent{component.Text("Say a number.")})
		if err != nil || res.Value != 2 || res.Text() != "1" {
			t.Errorf("value %v, text %q, error %v, want 2, the reply as it was, and none", res.Value, res.Text(), err)
		}
	})
}

// A review of the results decides, both ways.
func TestReviewedResultsDecide(t *testing.T) {
	t.Parallel()
	all := func(passed bool) hook.Binding {
		return hookpoint.Validation.Review(func(_ context.Context, _ hookpoint.ValidationStart, p hookpoint.ValidationEnd) (hookpoint.ValidationEnd, error) {
			rs := p.Results.Slice()
			for i := range rs {
				rs[i].Verdict = requirement.Verdict{Passed: passed, Reason: "reviewed"}
			}
			p.Results = content.ListOf(rs...)
			return p, nil
		})
	}
	for _, tc := range []struct {
		name     string
		reply    string
		passed   bool
		attempts int
	}{
		{"to passed", "too many words", true, 1},
		{"to failed", "few", false, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Say(tc.reply))
			s, _ := start(t, b, mellea.WithHooks(all(tc.passed)))
			res, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(1)), mellea.Strategy(sampling.Repair(2)))
			var unmet *mellea.UnmetError
			if got := !errors.As(err, &unmet); got != tc.passed {
				t.Errorf("error %v, want passed = %v", err, tc.passed)
			}
			if got := len(res.Attempts); got != tc.attempts {
				t.Errorf("%d attempts, want %d", got, tc.attempts)
			}
			if !tc.passed && !strings.Contains(b.Prompt(1)[0], "reviewed") {
				t.Errorf("the repair does not give the review's reason: %q", b.Prompt(1))
			}
		})
	}
}
