package requirement_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/requirement"
)

// scripted is a model that gives one answer and keeps what it was asked.
type scripted struct {
	answer  string
	asked   requirement.Question
	prompt  string
	problem error
}

func (s *scripted) ask(_ context.Context, q requirement.Question) (content.Message, error) {
	s.asked = q
	r, err := component.DefaultFormatter().Render(q.Component, "")
	if err != nil {
		return content.Message{}, err
	}
	s.prompt = r.Messages.At(0).Text()
	return content.Assistant(s.answer), s.problem
}

func (s *scripted) env(reply string) requirement.Env {
	return requirement.NewEnv(requirement.EnvConfig{
		Message: content.Assistant(reply), Input: content.NewMessages(content.User("Write a mail.")), Ask: s.ask,
	})
}

func TestJudgeAsksYesOrNo(t *testing.T) {
	t.Parallel()
	s := &scripted{answer: "No. It says {{hi}}."}
	v, err := requirement.Judge("be {{.formal}}").Validate(t.Context(), s.env("hi {{.there}}"))
	if err != nil {
		t.Fatal(err)
	}
	want := `Decide whether a reply meets a requirement.

<requirement>
be {{.formal}}
</requirement>

<reply>
hi {{.there}}
</reply>

Does the reply meet the requirement? Answer with "yes" or "no". If it does not, say why in one sentence after that.`
	if diff := cmp.Diff(want, s.prompt); diff != "" {
		t.Errorf("prompt (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(requirement.Fail("It says {{hi}}."), v); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
	if got := s.asked.Component.Kind(); got != "judge" {
		t.Errorf("asked by a component of kind %q, want judge", got)
	}
	typed, ok := s.asked.Component.(component.Typed[content.Message])
	if !ok {
		t.Fatal("the question has no reply of a type")
	}
	if m, err := typed.Parse(content.Assistant("x")); m.Text() != "x" || err != nil {
		t.Errorf("Parse = %v, %v; want the reply", m, err)
	}
	if s.asked.Component.Pending() != nil {
		t.Error("the question waits for something")
	}
}

func TestJudgeVerdicts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		opts         []requirement.JudgeOption
		want         requirement.Verdict
	}{
		{"yes", "Yes.", nil, requirement.Pass()},
		{"no without a reason gives the description", "no", nil, requirement.Fail("be formal")},
		{"no with a reason", "no, it says hi", nil, requirement.Fail("it says hi")},
		{"unclear", "Perhaps.", nil, requirement.Fail("the judge's answer is neither yes nor no")},
		{"empty", "", nil, requirement.Fail("the judge's answer is neither yes nor no")},
		{"grade that passes", "8", []requirement.JudgeOption{requirement.JudgeScore(7)}, requirement.Scored(true, 8, "")},
		{"grade at the threshold", "7", []requirement.JudgeOption{requirement.JudgeScore(7)}, requirement.Scored(true, 7, "")},
		{"grade that fails", "4", []requirement.JudgeOption{requirement.JudgeScore(7)},
			requirement.Scored(false, 4, "graded 4, at least 7 is needed")},
		{"grade with a reason", "4. It is curt.", []requirement.JudgeOption{requirement.JudgeScore(7)},
			requirement.Scored(false, 4, "It is curt.")},
		{"grade from 0 to 1", "0.9", []requirement.JudgeOption{requirement.JudgeScore(0.5)}, requirement.Scored(true, 0.9, "")},
		{"no grade", "fine", []requirement.JudgeOption{requirement.JudgeScore(7)},
			requirement.Fail("the judge's answer holds no grade from 0 to 10")},
		{"grade out of range", "12", []requirement.JudgeOption{requirement.JudgeScore(7)},
			requirement.Fail("the judge's answer holds no grade from 0 to 10")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v, err := requirement.Judge("be formal", tc.opts...).Validate(t.Context(), (&scripted{answer: tc.answer}).env("x"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, v); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudgeOptions(t *testing.T) {
	t.Parallel()
	b := silent{}
	s := &scripted{answer: "yes"}
	r := requirement.Judge("be formal",
		requirement.JudgeWith(b), requirement.JudgeOptions(backend.Options{}.WithModel("big")), requirement.JudgeTemplate("judge_score"))
	if _, err := r.Validate(t.Context(), s.env("x")); err != nil {
		t.Fatal(err)
	}
	p, err := s.asked.Component.Prompt()
	if err != nil {
		t.Fatal(err)
	}
	if s.asked.Backend != b || s.asked.Options.Model() != "big" || p.Template != "judge_score" {
		t.Errorf("asked %v with model %q by template %q", s.asked.Backend, s.asked.Options.Model(), p.Template)
	}
	if diff := cmp.Diff(requirement.JudgeData{Requirement: "be formal", Reply: "x", Task: "Write a mail."}, p.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestJudgeJudgesByItsDescription(t *testing.T) {
	t.Parallel()
	s := &scripted{answer: "no"}
	v, err := requirement.Judge("be about {{.topic}}").Describe("be about Go").Validate(t.Context(), s.env("x"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.asked.Component.Prompt()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Data.(requirement.JudgeData).Requirement; got != "be about Go" || v.Reason != got {
		t.Errorf("judged by %q with reason %q, want the description that was set last", got, v.Reason)
	}
}

func TestJudgePassesOnTheErrorOfItsModel(t *testing.T) {
	t.Parallel()
	failure := &backend.Error{Provider: "test", Status: 500}
	_, err := requirement.Judge("x").Validate(t.Context(), (&scripted{problem: failure}).env("x"))
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want %v inside", err, failure)
	}
}

func ExampleJudge() {
	// In a program the engine makes the Env, and Ask calls a model.
	env := requirement.NewEnv(requirement.EnvConfig{
		Message: content.Assistant("hey, ship it ASAP"),
		Ask: func(context.Context, requirement.Question) (content.Message, error) {
			return content.Assistant("**No**. \"hey\" is not formal."), nil
		},
	})
	v, err := requirement.Judge("be formal").Validate(context.Background(), env)
	fmt.Println(v.Passed, v.Reason, err)
	// Output: false "hey" is not formal. <nil>
}

func ExampleJudgeScore() {
	env := requirement.NewEnv(requirement.EnvConfig{
		Message: content.Assistant("Dear Alice, …"),
		Ask: func(context.Context, requirement.Question) (content.Message, error) {
			return content.Assistant("8/10, the close could be warmer"), nil
		},
	})
	v, err := requirement.Judge("be polite", requirement.JudgeScore(7)).Validate(context.Background(), env)
	fmt.Println(v.Passed, v.Score, v.Reason, err)
	// Output: true 8 the close could be warmer <nil>
}
