package mellea_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

func planOf(budget int) sampling.Plan { return sampling.Plan{Name: "test", Budget: budget} }

// What is missing or does not fit is said, before anything runs.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	s, _ := start(t, b)
	ctx := t.Context()
	for _, tc := range []struct {
		option string
		call   func() error
	}{
		{"backend", func() error { _, err := mellea.Start(ctx, nil); return err }},
		{"backend", func() error { _, err := mellea.Chat(ctx, mellea.On(nil), "Say."); return err }},
		{"WithHistory", func() error { _, err := mellea.Start(ctx, b, mellea.WithHistory(nil)); return err }},
		{"component", func() error { _, err := s.Act(ctx, nil); return err }},
		{"component", func() error { _, err := mellea.Act[string](ctx, s, nil); return err }},
		{"Strategy", func() error { _, err := s.StartInstruct(ctx, "Say.", mellea.Strategy(sampling.None())); return err }},
		{"Check", func() error {
			_, err := s.StartInstruct(ctx, "Say.", mellea.Check(requirement.MaxWords(1)))
			return err
		}},
		{"Stream", func() error {
			_, err := s.StartInstruct(ctx, "Say.", mellea.Stream(func(int, backend.Chunk) {}))
			return err
		}},
	} {
		err := tc.call()
		var usage *mellea.UsageError
		if !errors.As(err, &usage) || usage.Option != tc.option || !strings.HasPrefix(err.Error(), "mellea: "+tc.option+": ") {
			t.Errorf("error %v, want a *mellea.UsageError that names %s", err, tc.option)
		}
	}
	if n := len(b.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// A nil strategy, no hooks and no options are as if they had not been given.
func TestZeroOptions(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	s, _ := start(t, b, mellea.WithHooks(), mellea.WithHooks(nil), mellea.WithOptions(backend.Options{}), mellea.WithTemplates(nil))
	res, err := s.Instruct(t.Context(), "Say.", mellea.Strategy(nil), mellea.Options(backend.Options{}), mellea.Stream(nil), mellea.Vars(nil), mellea.Check())
	if err != nil || res.Text() != "x" {
		t.Errorf("text %q, error %v", res.Text(), err)
	}
	_, err = s.Instruct(t.Context(), "Say.", mellea.Strategy(nil), mellea.Check(requirement.MaxWords(0)))
	var unmet *mellea.UnmetError
	if !errors.As(err, &unmet) || unmet.Attempts != mellea.DefaultBudget {
		t.Errorf("error %v, want *mellea.UnmetError after %d attempts", err, mellea.DefaultBudget)
	}
}

// The strategy's plan is checked; what else it leaves open is taken from the call.
func TestOddStrategies(t *testing.T) {
	t.Parallel()
	t.Run("no budget", func(t *testing.T) {
		t.Parallel()
		for _, strategy := range []sampling.Strategy{sampling.Repair(0), sampling.Reject(-1), sampling.MultiTurn(0), strategist{}} {
			b := melleatest.NewBackend(melleatest.Say("x"))
			s, _ := start(t, b)
			_, err := s.Instruct(t.Context(), "Say.", mellea.Strategy(strategy))
			var budget *sampling.BudgetError
			if !errors.As(err, &budget) || len(b.Requests()) != 0 {
				t.Errorf("error %v after %d requests, want *sampling.BudgetError after none", err, len(b.Requests()))
			}
		}
	})
	t.Run("an empty step", func(t *testing.T) {
		t.Parallel()
		b := melleatest.NewBackend(melleatest.Say("x"))
		s, _ := start(t, b, mellea.WithHistory(history.Chat()))
		for range 2 {
			if _, err := s.Chat(t.Context(), "Say.", mellea.Strategy(strategist{plan: planOf(1)})); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := strings.Join(b.Prompt(1), "; "), "user: Say.; assistant: x; user: Say."; got != want {
			t.Errorf("prompt %q, want %q", got, want)
		}
	})
	t.Run("a select out of range", func(t *testing.T) {
		t.Parallel()
		for _, i := range []int{-1, 2, 99} {
			s, _ := start(t, melleatest.NewBackend(melleatest.Say("first"), melleatest.Say("last")))
			res, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(0)),
				mellea.Strategy(strategist{plan: planOf(2), pick: func(sampling.Attempts) int { return i }}))
			if res.Text() != "last" || !errors.As(err, new(*mellea.UnmetError)) {
				t.Errorf("select %d: text %q, error %v, want the last attempt and *mellea.UnmetError", i, res.Text(), err)
			}
		}
	})
	t.Run("an error of next", func(t *testing.T) {
		t.Parallel()
		cause := errors.New("no more")
		s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")))
		res, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(0)), mellea.Strategy(strategist{plan: planOf(3),
			next: func(st sampling.State) (sampling.Step, error) {
				if st.Attempts.Len() == 1 {
					return sampling.Step{}, cause
				}
				return sampling.Step{}, nil
			}}))
		if !errors.Is(err, cause) || len(res.Attempts) != 1 {
			t.Errorf("error %v after %d attempts, want the strategy's after 1", err, len(res.Attempts))
		}
	})
	t.Run("another backend", func(t *testing.T) {
		t.Parallel()
		strong := melleatest.NewBackend(melleatest.Say("x"))
		s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")))
		_, err := s.Instruct(t.Context(), "Say.", mellea.Model("small"), mellea.Seed(7), mellea.Strategy(strategist{plan: planOf(1),
			next: func(sampling.State) (sampling.Step, error) { return sampling.Step{Backend: strong}, nil }}))
		if err != nil {
			t.Fatal(err)
		}
		o := strong.Requests()[0].Options
		if seed, _ := o.Seed(); o.Has(backend.NeutralModel) || seed != 7 {
			t.Errorf("the other backend is asked for model %q, seed %d; want its own, and 7", o.Model(), seed)
		}
	})
}

// A backend of a type that cannot be compared works, as one of a call and as a judge's.
func TestBackendThatIsNotComparable(t *testing.T) {
	t.Parallel()
	script := melleatest.NewBackend(melleatest.Say("x"), melleatest.Say("Yes"))
	odd := decorated{script, []string{"a slice"}}
	s, _ := start(t, odd)
	if _, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.Judge("be good", requirement.JudgeWith(odd)))); err != nil {
		t.Error(err)
	}
}

type decorated struct {
	backend.Backend

	notes []string
}

// A variable that is not set, or an input that failed, is an error before any call.
func TestInputError(t *testing.T) {
	t.Parallel()
	cause := errors.New("no luck")
	b := melleatest.NewBackend(melleatest.Fail(cause))
	s, _ := start(t, b)
	failed, err := s.StartInstruct(t.Context(), "Name somebody.")
	if err != nil {
		t.Fatal(err)
	}
	var input *mellea.InputError
	for name, call := range map[string]func() error{
		"instruct": func() error { _, err := s.Instruct(t.Context(), "Use {{x}}.", mellea.Vars{"x": failed}); return err },
		"a lazy call": func() error {
			_, err := s.StartInstruct(t.Context(), "Use it.", mellea.Ground("x", failed))
			return err
		},
	} {
		if err := call(); !errors.As(err, &input) || !errors.Is(err, cause) || input.Kind != "instruction" {
			t.Errorf("%s: error %v, want *mellea.InputError of the cause", name, err)
		}
	}
	var template *component.TemplateError
	if _, err := s.Instruct(context.Background(), "Use {{y}}.", mellea.Vars{"x": 1}); !errors.As(err, &template) || template.Variable != "y" {
		t.Errorf("error %v, want *component.TemplateError of y", err)
	}
	if n := len(b.Requests()); n != 1 {
		t.Errorf("%d requests, want only the input's", n)
	}
}
