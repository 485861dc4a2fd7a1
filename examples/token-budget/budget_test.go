package main

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/melleatest"
)

// ten is a reply that costs ten tokens.
func ten(text string) melleatest.Reply {
	return melleatest.Reply{Pieces: []string{text}, Usage: content.Usage{InputTokens: 6, OutputTokens: 4}}
}

func start(t *testing.T, b *melleatest.Backend, budget *Budget) *mellea.Session {
	t.Helper()
	s, err := mellea.Start(t.Context(), b, mellea.WithHooks(budget, melleatest.NewRecorder(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.CloseContext(context.WithoutCancel(t.Context())) })
	return s
}

func overBudget(err error) bool {
	r, ok := errors.AsType[*hook.Rejection](err)
	return ok && r.Code == CodeOverBudget && r.Plugin == "token-budget"
}

func TestASessionThatHasSpentItsTokensIsRejected(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(ten("a"))
	s := start(t, b, NewBudget(20))
	var got []bool
	for range 4 {
		_, err := s.Instruct(t.Context(), "Say a.")
		got = append(got, overBudget(err))
	}
	if diff := cmp.Diff([]bool{false, false, true, true}, got); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if got, want := len(b.Requests()), 2; got != want {
		t.Errorf("%d requests reached the backend, want %d", got, want)
	}
}

func TestSessionsHaveBudgetsOfTheirOwn(t *testing.T) {
	t.Parallel()
	budget := NewBudget(10)
	b := melleatest.NewBackend(ten("a"))
	one, two := start(t, b, budget), start(t, b, budget)
	if _, err := one.Instruct(t.Context(), "Say a."); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Instruct(t.Context(), "Say a."); !overBudget(err) {
		t.Errorf("error = %v, want a rejection", err)
	}
	if _, err := two.Instruct(t.Context(), "Say a."); err != nil {
		t.Errorf("the other session: %v", err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if got := budget.Spent(one.ID()); got != 0 {
		t.Errorf("%d tokens are still counted for a session that has ended", got)
	}
	if got, want := budget.Spent(two.ID()), 10; got != want {
		t.Errorf("spent = %d, want %d", got, want)
	}
}

// A judge spends tokens too, and the budget ends the loop that would repair.
func TestJudgesCount(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(ten("hey"), ten("no"), ten("Dear Sir"), ten("yes"))
	s := start(t, b, NewBudget(20))
	_, err := s.Instruct(t.Context(), "Greet.", mellea.Require("be formal"))
	if !overBudget(err) {
		t.Errorf("error = %v, want a rejection of the second attempt", err)
	}
	if got, want := len(b.Requests()), 2; got != want {
		t.Errorf("%d requests reached the backend, want %d", got, want)
	}
}

func TestFailedGenerationsCount(t *testing.T) {
	t.Parallel()
	budget := NewBudget(100)
	broken := ten("half a rep")
	broken.Err = errors.New("connection lost")
	s := start(t, melleatest.NewBackend(broken), budget)
	if _, err := s.Instruct(t.Context(), "Say a."); err == nil {
		t.Fatal("no error")
	}
	if got, want := budget.Spent(s.ID()), 10; got != want {
		t.Errorf("spent = %d, want %d", got, want)
	}
}

func TestNoTokenIsLostUnderConcurrency(t *testing.T) {
	t.Parallel()
	budget := NewBudget(1_000_000)
	s := start(t, melleatest.NewBackend(ten("a")), budget)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _, _ = s.Instruct(t.Context(), "Say a.") })
	}
	wg.Wait()
	if got, want := budget.Spent(s.ID()), 500; got != want {
		t.Errorf("spent = %d, want %d", got, want)
	}
}
