package mellea_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

func guardComponent(f func(*hookpoint.ComponentStart)) hook.Binding {
	return hookpoint.Component.Guard(func(_ context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
		f(&p)
		return p, nil
	})
}

// A requirement that a guard adds is checked, whatever the call.
func TestGuardAddsARequirement(t *testing.T) {
	t.Parallel()
	short := requirement.MaxWords(1)
	atComponent := guardComponent(func(p *hookpoint.ComponentStart) { p.Requirements = p.Requirements.Append(short) })
	atValidation := hookpoint.Validation.Guard(func(_ context.Context, p hookpoint.ValidationStart) (hookpoint.ValidationStart, error) {
		p.Requirements = p.Requirements.Append(short)
		return p, nil
	})
	for _, tc := range []struct {
		name  string
		guard hook.Binding
		opts  []mellea.CallOption
	}{
		{"at the component, to a call without any", atComponent, nil},
		{"at the component, to others", atComponent, []mellea.CallOption{mellea.Check(requirement.Contains("words"))}},
		{"at the validation, to others", atValidation, []mellea.CallOption{mellea.Check(requirement.Contains("words"))}},
		{"at the validation, to none", atValidation, []mellea.CallOption{mellea.Strategy(sampling.Repair(3))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var iteration hookpoint.Iteration
			note := hookpoint.SamplingIteration.On(func(_ context.Context, i hookpoint.Iteration) { iteration = i })
			s, _ := start(t, melleatest.NewBackend(melleatest.Say("too many words")), mellea.WithHooks(tc.guard, note))
			res, err := s.Instruct(t.Context(), "Say.", tc.opts...)
			var unmet *mellea.UnmetError
			if !errors.As(err, &unmet) || len(res.Attempts) != mellea.DefaultBudget {
				t.Fatalf("error %v after %d attempts, want *mellea.UnmetError after %d", err, len(res.Attempts), mellea.DefaultBudget)
			}
			if got, want := iteration.Requirements, iteration.PassedCount+iteration.FailedResults.Len(); got != want {
				t.Errorf("the iteration tells of %d requirements, %d verdicts", got, want)
			}
		})
	}
}

// A guard that takes the strategy away gets one generation, checked by nobody.
func TestGuardClearsTheStrategy(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("too many words"))
	s, _ := start(t, b, mellea.WithHooks(guardComponent(func(p *hookpoint.ComponentStart) { p.Strategy = nil })))
	if _, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(1))); err != nil || len(b.Requests()) != 1 {
		t.Errorf("error %v after %d requests, want none after 1", err, len(b.Requests()))
	}
}

// What a guard or a review may not change is an error, and never silently dropped.
func TestForbiddenEdits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		binding hook.Binding
	}{
		{"component: Lazy", guardComponent(func(p *hookpoint.ComponentStart) { p.Lazy = true })},
		{"component: Kind", guardComponent(func(p *hookpoint.ComponentStart) { p.Kind = "x" })},
		{"component: the reply", hookpoint.Component.Review(func(_ context.Context, _ hookpoint.ComponentStart, p hookpoint.ComponentEnd) (hookpoint.ComponentEnd, error) {
			p.Reply = content.Assistant("y")
			return p, nil
		})},
		{"component: the type of the value", reviewValue(func(any) (any, error) { return 1, nil })},
		{"format: the messages", hookpoint.Format.Review(func(_ context.Context, _ hookpoint.FormatStart, p hookpoint.FormatEnd) (hookpoint.FormatEnd, error) {
			p.Messages = content.NewMessages(content.User("x"))
			return p, nil
		})},
		{"generation: the variables", hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			p.Variables = content.ListOf(hookpoint.Variable{Name: "x"})
			return p, nil
		})},
		{"generation: the metadata", reviewReply(func(p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			p.Generation.Usage.InputTokens = 1
			return p, nil
		})},
		{"sampling: the attempts", hookpoint.Sampling.Review(func(_ context.Context, _ hookpoint.SamplingStart, p hookpoint.SamplingEnd) (hookpoint.SamplingEnd, error) {
			p.Attempts = content.ListOf(sampling.Attempt{Number: 7})
			return p, nil
		})},
		{"sampling: a budget of nothing", hookpoint.Sampling.Guard(func(_ context.Context, p hookpoint.SamplingStart) (hookpoint.SamplingStart, error) {
			p.Budget = 0
			return p, nil
		})},
		{"requirement: the requirement", hookpoint.Requirement.Guard(func(_ context.Context, p hookpoint.RequirementStart) (hookpoint.RequirementStart, error) {
			p.Requirement = requirement.MinWords(1)
			return p, nil
		})},
		{"requirement: the verdict", hookpoint.Requirement.Review(func(_ context.Context, _ hookpoint.RequirementStart, p hookpoint.RequirementEnd) (hookpoint.RequirementEnd, error) {
			p.Verdict.Passed = !p.Verdict.Passed
			return p, nil
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")), mellea.WithHooks(tc.binding))
			_, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(1)))
			var rejected *hook.Rejection
			if !errors.As(err, &rejected) || rejected.Code != hook.CodeForbiddenEdit {
				t.Errorf("error %v, want a rejection for a forbidden edit", err)
			}
		})
	}
	for _, tc := range []struct {
		name string
		edit func(*hookpoint.ComponentStart)
	}{
		{"lazy: a strategy", func(p *hookpoint.ComponentStart) { p.Strategy = sampling.None() }},
		{"lazy: a requirement that is not shown", func(p *hookpoint.ComponentStart) {
			p.Requirements = content.ListOf(requirement.MaxWords(1).Show(false))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")), mellea.WithHooks(guardComponent(tc.edit)))
			_, err := s.StartInstruct(t.Context(), "Say.")
			var rejected *hook.Rejection
			if !errors.As(err, &rejected) || rejected.Code != hook.CodeForbiddenEdit {
				t.Errorf("error %v, want a rejection for a forbidden edit", err)
			}
		})
	}
}

// A review that edits nothing is no edit, whatever the payload holds.
func TestReviewsThatOnlyLook(t *testing.T) {
	t.Parallel()
	s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")), mellea.WithHooks(
		reviewValue(func(v any) (any, error) { return v, nil }),
		reviewReply(func(p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) { return p, nil }),
		hookpoint.Format.Review(func(_ context.Context, _ hookpoint.FormatStart, p hookpoint.FormatEnd) (hookpoint.FormatEnd, error) {
			return p, nil
		}),
		hookpoint.Sampling.Review(func(_ context.Context, _ hookpoint.SamplingStart, p hookpoint.SamplingEnd) (hookpoint.SamplingEnd, error) {
			return p, nil
		}),
		hookpoint.Requirement.Review(func(_ context.Context, _ hookpoint.RequirementStart, p hookpoint.RequirementEnd) (hookpoint.RequirementEnd, error) {
			return p, nil
		})))
	notANumber := requirement.New("score", func(context.Context, requirement.Env) (requirement.Verdict, error) {
		zero := 0.0
		return requirement.Scored(true, zero/zero, ""), nil
	})
	if _, err := s.Instruct(t.Context(), "Say.", mellea.Vars{"x": 1}, mellea.Check(notANumber)); err != nil {
		t.Error(err)
	}
	if _, err := s.Chat(t.Context(), "Say."); err != nil {
		t.Error(err)
	}
}

// The guard of a session's start names the model, or leaves it to the backend.
func TestGuardOfTheSessionsModel(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		edit func(*hookpoint.SessionStarting)
		want string
	}{
		{"another", func(p *hookpoint.SessionStarting) { p.Model = "other" }, "other"},
		{"none", func(p *hookpoint.SessionStarting) { p.Model = "" }, ""},
		{"by the options", func(p *hookpoint.SessionStarting) { p.Options = p.Options.WithModel("third") }, "third"},
		{"none, by the options", func(p *hookpoint.SessionStarting) { p.Options = backend.Options{} }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var told string
			b := melleatest.NewBackend(melleatest.Say("x"))
			s, _ := start(t, b, mellea.WithModel("asked"), mellea.WithHooks(
				hookpoint.SessionStart.Guard(func(_ context.Context, p hookpoint.SessionStarting) (hookpoint.SessionStarting, error) {
					tc.edit(&p)
					return p, nil
				}),
				hookpoint.Session.Observe(func(_ context.Context, p hookpoint.SessionOpen) { told = p.Model })))
			if _, err := s.Chat(t.Context(), "Say."); err != nil {
				t.Fatal(err)
			}
			o := b.Requests()[0].Options
			if o.Model() != tc.want || o.Has(backend.NeutralModel) != (tc.want != "") {
				t.Errorf("asked for model %q, want %q", o.Model(), tc.want)
			}
			want := tc.want
			if want == "" {
				want = "script-1"
			}
			if told != want {
				t.Errorf("the session tells of model %q, want %q", told, want)
			}
		})
	}
}

func TestResetTellsTheHooksOfTheBlock(t *testing.T) {
	t.Parallel()
	n := 0
	s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")))
	view := s.With(mellea.WithHooks(hookpoint.SessionReset.On(func(context.Context, hookpoint.SessionResetting) { n++ })))
	s.Reset(t.Context())
	view.Reset(t.Context())
	if n != 1 {
		t.Errorf("the block's hook was told %d times, want once: of its own reset", n)
	}
}
