package mellea_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// start opens a session that is closed with the test, watched by a recorder that fails it for any operation left open.
func start(t *testing.T, b backend.Backend, opts ...mellea.StartOption) (*mellea.Session, *melleatest.Recorder) {
	t.Helper()
	rec := melleatest.NewRecorder(t)
	s, err := mellea.Start(t.Context(), b, append(opts, mellea.WithHooks(rec))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.CloseContext(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
		if sb, ok := b.(*melleatest.Backend); ok && sb.Outside() != 0 {
			t.Errorf("%d requests were made outside a Generation operation", sb.Outside())
		}
	})
	return s, rec
}

func TestInstructRepairs(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(
		melleatest.Reply{Pieces: []string{"far ", "too ", "many words"}, Usage: content.Usage{InputTokens: 10, OutputTokens: 4}},
		melleatest.Reply{Pieces: []string{"short"}, Usage: content.Usage{InputTokens: 12, OutputTokens: 1}},
	)
	s, rec := start(t, b)
	res, err := s.Instruct(t.Context(), "Say something.", mellea.Require("at most 2 words", requirement.MaxWords(2)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Text(), "short"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if got, want := len(res.Attempts), 2; got != want {
		t.Fatalf("%d attempts, want %d", got, want)
	}
	if got, want := res.Usage, (content.Usage{InputTokens: 22, OutputTokens: 5}); got != want {
		t.Errorf("usage = %+v, want %+v", got, want)
	}
	if !strings.Contains(b.Prompt(0)[0], "at most 2 words") {
		t.Errorf("the requirement is not shown: %q", b.Prompt(0))
	}
	if got := b.Prompt(1)[0]; !strings.Contains(got, res.Attempts[0].Reasons()[0]) {
		t.Errorf("the repair prompt does not give the reason %q: %q", res.Attempts[0].Reasons()[0], got)
	}
	want := `session_start
session
component
  sampling
    generation
    validation
      requirement
    generation
    validation
      requirement
`
	if diff := cmp.Diff(want, rec.Tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestUnmetReturnsTheBestAttempt(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("a b c d"), melleatest.Say("a b ASAP"), melleatest.Say("a b c d ASAP"))
	s, _ := start(t, b)
	res, err := s.Instruct(t.Context(), "Say something.", mellea.Check(requirement.MaxWords(3), requirement.Excludes("ASAP")))
	var unmet *mellea.UnmetError
	if !errors.As(err, &unmet) {
		t.Fatalf("error = %v, want *mellea.UnmetError", err)
	}
	if got, want := unmet.Attempts, 3; got != want {
		t.Errorf("attempts = %d, want %d", got, want)
	}
	if got, want := res.Text(), "a b ASAP"; got != want {
		t.Errorf("text = %q, want the best attempt %q", got, want)
	}
	if strings.Contains(err.Error(), "ASAP") {
		t.Errorf("the error quotes content: %v", err)
	}
}

func TestJudgeDecides(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("hey"), melleatest.Say("No"), melleatest.Say("Dear Sir"), melleatest.Say("Yes"))
	s, rec := start(t, b)
	res, err := s.Instruct(t.Context(), "Greet.", mellea.Require("be formal"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Text(), "Dear Sir"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	if !strings.Contains(rec.Tree(), "requirement\n        generation") {
		t.Errorf("the judge's generation is not below its requirement:\n%s", rec.Tree())
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("one"), melleatest.Say("two"), melleatest.Fail(errors.New("down")), melleatest.Say("three"))
	s, _ := start(t, b, mellea.WithHistory(history.Chat()))
	for i, ask := range []string{"1?", "2?", "3?", "4?"} {
		_, err := s.Chat(t.Context(), ask)
		if got, want := err != nil, i == 2; got != want {
			t.Fatalf("call %d: error %v", i, err)
		}
	}
	want := []string{"user: 1?", "assistant: one", "user: 2?", "assistant: two", "user: 4?"}
	if diff := cmp.Diff(want, b.Prompt(3)); diff != "" {
		t.Errorf("a failed call left its turn in the history (-want +got):\n%s", diff)
	}
}

func TestStrategyNoneValidatesOnce(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("a b c"))
	s, _ := start(t, b)
	_, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(2)), mellea.Strategy(sampling.None()))
	var unmet *mellea.UnmetError
	if !errors.As(err, &unmet) || len(b.Requests()) != 1 {
		t.Errorf("got %v after %d requests, want *mellea.UnmetError after 1", err, len(b.Requests()))
	}
}
