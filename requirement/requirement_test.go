package requirement_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/requirement"
)

// env returns the Env of a reply of that text.
func env(text string) requirement.Env {
	return requirement.NewEnv(requirement.EnvConfig{Message: content.Assistant(text)})
}

func always(v requirement.Verdict) requirement.Checker {
	return func(context.Context, requirement.Env) (requirement.Verdict, error) { return v, nil }
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		r    requirement.Requirement
		want requirement.Verdict
	}{
		{"pass", requirement.New("k", always(requirement.Pass())), requirement.Verdict{Passed: true}},
		{"pass keeps its reason empty", requirement.New("k", always(requirement.Pass())).Describe("be kind"),
			requirement.Verdict{Passed: true}},
		{"fail with a reason", requirement.New("k", always(requirement.Fail("too long"))).Describe("be brief"),
			requirement.Verdict{Reason: "too long"}},
		{"fail without a reason gives the description", requirement.New("k", always(requirement.Fail(""))).Describe("be brief"),
			requirement.Verdict{Reason: "be brief"}},
		{"fail with nothing to say gives the label", requirement.Named("tone", requirement.New("k", always(requirement.Fail("")))),
			requirement.Verdict{Reason: `the requirement "tone" is not met`}},
		{"score", requirement.New("k", always(requirement.Scored(false, 0.25, "weak"))),
			requirement.Verdict{Reason: "weak", Score: 0.25, HasScore: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.r.Validate(t.Context(), env("x"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateErrors(t *testing.T) {
	t.Parallel()
	failure := errors.New("no connection")
	for _, tc := range []struct {
		name  string
		r     requirement.Requirement
		want  string
		cause error
	}{
		{"error", requirement.New("remote", func(context.Context, requirement.Env) (requirement.Verdict, error) {
			return requirement.Pass(), failure
		}), "requirement remote: could not be checked: no connection", failure},
		{"panic with an error", requirement.New("k", func(context.Context, requirement.Env) (requirement.Verdict, error) {
			panic(failure)
		}), "requirement k: could not be checked: panic with a *errors.errorString", failure},
		{"panic with a text", requirement.New("k", func(context.Context, requirement.Env) (requirement.Verdict, error) {
			panic("secret")
		}), "panic with a string", nil},
		{"zero", requirement.Requirement{}, "requirement (zero): could not be checked: it has no checker", nil},
		{"no checker", requirement.New("k", nil), "requirement k: could not be checked: it has no checker", nil},
		{"no model", requirement.Judge("be kind"), "requirement llm_judge: could not be checked: no model to ask", requirement.ErrNoModel},
		{"judge without a description", requirement.Judge(""), "needs a description", nil},
		{"judge without a usable threshold", requirement.Judge("x", requirement.JudgeScore(11)), "threshold", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, err := tc.r.Validate(t.Context(), env("x"))
			var ce *requirement.CheckError
			if !errors.As(err, &ce) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got %v, want a *CheckError that says %q", err, tc.want)
			}
			if tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("%v does not wrap its cause", err)
			}
			if v != (requirement.Verdict{}) {
				t.Errorf("got verdict %+v beside an error", v)
			}
		})
	}
}

func TestRequirementIsAValue(t *testing.T) {
	t.Parallel()
	base := requirement.New("", always(requirement.Pass()))
	if base.Kind() != "custom" || base.Label() != "custom" || base.Name() != "" || base.Shown() || base.Concurrent() || base.IsJudge() {
		t.Errorf("base: kind %q, label %q, name %q, shown %v, concurrent %v, judge %v",
			base.Kind(), base.Label(), base.Name(), base.Shown(), base.Concurrent(), base.IsJudge())
	}
	changed := requirement.Named("tone", base.Describe("be kind").AsConcurrent())
	if changed.Label() != "tone" || changed.Kind() != "custom" || changed.Description() != "be kind" || !changed.Shown() || !changed.Concurrent() {
		t.Errorf("changed: label %q, kind %q, description %q, shown %v, concurrent %v",
			changed.Label(), changed.Kind(), changed.Description(), changed.Shown(), changed.Concurrent())
	}
	if changed.Show(false).Shown() || !changed.Show(false).Show(true).Shown() {
		t.Error("Show does not decide what is shown")
	}
	if base.Description() != "" || base.Label() != "custom" || base.Concurrent() {
		t.Error("the changes show in the requirement they were made from")
	}
	if !requirement.Judge("x").IsJudge() || requirement.Judge("x").Kind() != "llm_judge" || requirement.Judge("x").Concurrent() {
		t.Error("Judge is not an llm_judge that runs alone")
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	r := requirement.New("k", nil)
	ok, a, b := requirement.Result{Requirement: r, Verdict: requirement.Pass()},
		requirement.Result{Requirement: r, Verdict: requirement.Fail("a")}, requirement.Result{Requirement: r, Verdict: requirement.Fail("b")}
	for _, tc := range []struct {
		name    string
		rs      requirement.Results
		passed  bool
		reasons []string
	}{
		{"none", requirement.Results{}, true, nil},
		{"all pass", content.ListOf(ok, ok), true, nil},
		{"some fail, in order", content.ListOf(a, ok, b), false, []string{"a", "b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := requirement.Passed(tc.rs); got != tc.passed {
				t.Errorf("Passed = %v, want %v", got, tc.passed)
			}
			if diff := cmp.Diff(tc.reasons, requirement.Reasons(tc.rs)); diff != "" {
				t.Errorf("Reasons (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.reasons, requirement.Reasons(requirement.Failed(tc.rs))); diff != "" {
				t.Errorf("Reasons of Failed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	own, validation := backend.Options{}.WithSeed(1), backend.Options{}.WithModel("m").WithSeed(2)
	var got requirement.Question
	e := requirement.NewEnv(requirement.EnvConfig{
		Message: content.Assistant("reply"),
		Input:   content.NewMessages(content.User("task")),
		History: history.Chat(content.User("before")),
		Options: validation,
		Ask: func(_ context.Context, q requirement.Question) (content.Message, error) {
			got = q
			return content.Assistant("answer"), nil
		},
	})
	if e.Options().Model() != "m" {
		t.Errorf("Options() names model %q, want that of the validation", e.Options().Model())
	}
	if e.Text() != "reply" || e.Message().Role() != content.RoleAssistant || e.Input().At(0).Text() != "task" || e.History().Len() != 1 {
		t.Errorf("got %q, %v, %v, %v; want what the Env was made of", e.Text(), e.Message(), e.Input(), e.History())
	}
	if h := env("x").History(); h == nil || h.Len() != 0 {
		t.Errorf("History() = %v without one, want an empty one", h)
	}
	var zero requirement.Env
	if zero.Text() != "" || zero.History() == nil {
		t.Error("the zero Env is not usable")
	}

	answer, err := e.Ask(t.Context(), requirement.Question{Component: component.Text("?"), Options: own})
	if err != nil || answer.Text() != "answer" {
		t.Fatalf("Ask = %v, %v", answer, err)
	}
	if seed, _ := got.Options.Seed(); got.Options.Model() != "m" || seed != 1 {
		t.Errorf("asked with model %q and seed %d, want those of the validation under those of the question", got.Options.Model(), seed)
	}
	if _, err := e.Ask(t.Context(), requirement.Question{Component: component.Text("?"), Backend: silent{}, Options: own}); err != nil {
		t.Fatal(err)
	}
	if got.Options.Model() != "" {
		t.Error("a question to another backend took the model of this one")
	}
}

// silent is a backend that is never called.
type silent struct{ backend.Backend }

func ExampleNew() {
	even := requirement.New("even_length", func(_ context.Context, env requirement.Env) (requirement.Verdict, error) {
		if n := len([]rune(env.Text())); n%2 != 0 {
			return requirement.Fail(fmt.Sprintf("has %d letters, an even number is wanted", n)), nil
		}
		return requirement.Pass(), nil
	}).Describe("Use an even number of letters.").AsConcurrent()

	v, err := even.Validate(context.Background(), requirement.NewEnv(requirement.EnvConfig{Message: content.Assistant("odd")}))
	fmt.Println(v.Passed, v.Reason, err)
	// Output: false has 3 letters, an even number is wanted <nil>
}

func ExampleNamed() {
	r := requirement.Named("formal_tone", requirement.Judge("Be formal."))
	fmt.Println(r.Kind(), r.Label(), r.Shown(), r.Show(false).Shown())
	// Output: llm_judge formal_tone true false
}

func ExampleFunc() {
	r := requirement.Func("End with a full stop.", func(text string) (bool, string) {
		return strings.HasSuffix(text, "."), "does not end with a full stop"
	})
	v, err := r.Validate(context.Background(), requirement.NewEnv(requirement.EnvConfig{Message: content.Assistant("Hi")}))
	fmt.Println(v.Passed, v.Reason, err)
	// Output: false does not end with a full stop <nil>
}
