package requirement

import (
	"context"
	"errors"
	"strconv"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
)

// JudgeOption configures [Judge].
type JudgeOption func(*judge)

// JudgeWith names the model server that judges. Without it the call's own does.
func JudgeWith(b backend.Backend) JudgeOption { return func(j *judge) { j.backend = b } }

// JudgeOptions sets options of the judging call, over those of the validation.
func JudgeOptions(o backend.Options) JudgeOption { return func(j *judge) { j.options = o } }

// JudgeTemplate names the template that asks the judge; it sees a [JudgeData]. The default is "judge", or "judge_score"
// for a grade.
func JudgeTemplate(name string) JudgeOption { return func(j *judge) { j.template = name } }

// JudgeScore asks for a grade in place of yes or no, and passes from threshold on. A threshold of at most 1 asks for a
// grade from 0 to 1, a greater one for a grade from 0 to 10; it must be above 0 and at most 10.
func JudgeScore(threshold float64) JudgeOption {
	return func(j *judge) { j.scored, j.threshold = true, threshold }
}

// JudgeData is what the templates "judge" and "judge_score" see.
type JudgeData struct {
	// Requirement is the description to judge by, and Reply the text to judge.
	Requirement, Reply string
	// Task is the text of the last message that led to the reply. The templates of this project leave it out.
	Task string
	// Max is the best grade, 0 when the question is for yes or no.
	Max int
}

// Judge returns a requirement of kind "llm_judge": a model reads the description and the reply, and says yes or no, or
// gives a grade. The first of the words yes and no in its answer decides, in any case; what stands around it is the
// reason. An answer that holds neither fails the requirement, with a reason that says so; only an answer that did not
// come is an error.
//
// The reply stands in the judge's prompt, so a reply may try to talk its judge round: where that matters, check by code
// too.
func Judge(description string, opts ...JudgeOption) Requirement {
	j := &judge{}
	for _, o := range opts {
		o(j)
	}
	return Requirement{kind: "llm_judge", description: description, judge: j}
}

type judge struct {
	backend   backend.Backend
	options   backend.Options
	template  string
	scored    bool
	threshold float64
}

var (
	errNoDescription = errors.New("a judge needs a description to judge by")
	errThreshold     = errors.New("the threshold of a judge's score must be above 0 and at most 10")
)

func (j *judge) check(ctx context.Context, env Env, description string) (Verdict, error) {
	if description == "" {
		return Verdict{}, errNoDescription
	}
	q := question{template: "judge", data: JudgeData{Requirement: description, Reply: env.Text()}}
	if m, ok := env.Input().Last(); ok {
		q.data.Task = m.Text()
	}
	if j.scored {
		if !(j.threshold > 0 && j.threshold <= 10) {
			return Verdict{}, errThreshold
		}
		q.template, q.data.Max = "judge_score", 10
		if j.threshold <= 1 {
			q.data.Max = 1
		}
	}
	if j.template != "" {
		q.template = j.template
	}
	answer, err := env.Ask(ctx, Question{Component: q, Backend: j.backend, Options: j.options})
	if err != nil {
		return Verdict{}, err
	}
	if j.scored {
		return j.grade(answer.Text(), float64(q.data.Max)), nil
	}
	return yesOrNo(answer.Text()), nil
}

func yesOrNo(answer string) Verdict {
	a, ok := parseYesNo(answer)
	if !ok {
		return Fail("the judge's answer is neither yes nor no")
	}
	return Verdict{Passed: a.yes, Reason: a.reason}
}

func (j *judge) grade(answer string, most float64) Verdict {
	score, reason, ok := parseScore(answer, most)
	if !ok {
		return Fail("the judge's answer holds no grade from 0 to " + number(most))
	}
	passed := score >= j.threshold
	if reason == "" && !passed {
		reason = "graded " + number(score) + ", at least " + number(j.threshold) + " is needed"
	}
	return Scored(passed, score, reason)
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// question is the component that asks a judge.
type question struct {
	template string
	data     JudgeData
}

var _ component.Typed[content.Message] = question{}

func (question) Kind() string               { return "judge" }
func (question) Pending() []*backend.Output { return nil }

func (q question) Prompt() (component.Prompt, error) {
	return component.Prompt{Template: q.template, Data: q.data}, nil
}

func (question) Parse(reply content.Message) (content.Message, error) { return reply, nil }
