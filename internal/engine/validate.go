package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// validation is one message to hold against requirements.
type validation struct {
	requirements requirement.Requirements
	options      backend.Options
	message      content.Message
	input, steps content.Messages
	history      history.History
	iteration    int
}

// Validate holds a message against requirements, outside sampling. The results are in the order of the requirements.
func (s Scope) Validate(ctx context.Context, reqs requirement.Requirements, m content.Message, h history.History, o backend.Options) (requirement.Results, error) {
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return requirement.Results{}, err
	}
	defer entry.leave()
	return s.validate(ctx, validation{requirements: reqs, options: s.Options.Merge(o), message: m, history: h})
}

// validate checks every requirement, even when one fails, under a Validation operation. The error joins those of all
// requirements that could not be checked.
func (s Scope) validate(ctx context.Context, v validation) (requirement.Results, error) {
	if v.requirements.Len() == 0 && !hookpoint.Validation.Active(s.Set) {
		return requirement.Results{}, nil
	}
	end, err := hookpoint.Validation.Do(ctx, s.Set, hookpoint.ValidationStart{Session: s.Session, Requirements: v.requirements,
		Options: v.options, Target: v.message, Iteration: v.iteration},
		func(ctx context.Context, start hookpoint.ValidationStart) (hookpoint.ValidationEnd, error) {
			v.requirements, v.options = start.Requirements, start.Options
			results, err := s.checkAll(ctx, v)
			return hookpoint.ValidationEnd{Results: results}, ending(ctx, err)
		})
	return end.Results, err
}

// judging returns the options of the judges of a call: those of the scope, with the call's model, seed and context window
// (a local server would load the model anew for another). What else a call sets is for its own generation: a high temperature or a short limit makes a poor judge.
func (s Scope) judging(call backend.Options) backend.Options {
	o := s.Options
	if m := call.Model(); m != o.Model() {
		o = o.WithModel(m)
	}
	if seed, ok := call.Seed(); ok {
		o = o.WithSeed(seed)
	}
	if n, ok := call.ContextWindow(); ok {
		o = o.WithContextWindow(n)
	}
	return o
}

// checkAll runs the checks in order, but those marked safe for it beside the others. Every goroutine has ended when it
// returns.
func (s Scope) checkAll(ctx context.Context, v validation) (requirement.Results, error) {
	results := make([]requirement.Result, v.requirements.Len())
	errs := make([]error, len(results))
	check := func(i int) {
		r := v.requirements.At(i)
		errs[i] = &requirement.CheckError{Label: r.Label(), Err: hook.ErrPanicked} // stands when it exits the goroutine
		verdict, err := s.check(ctx, v, i, r)
		results[i], errs[i] = requirement.Result{Requirement: r, Verdict: verdict}, err
	}
	beside := 0
	for r := range v.requirements.Values() {
		if r.Concurrent() {
			beside++
		}
	}
	var wg sync.WaitGroup
	for i, r := range v.requirements.All() {
		// One check alone gains nothing from a goroutine.
		if r.Concurrent() && beside > 1 {
			wg.Go(func() { check(i) })
		} else {
			check(i)
		}
	}
	wg.Wait()
	return content.ListOf(results...), errors.Join(errs...)
}

func (s Scope) check(ctx context.Context, v validation, index int, r requirement.Requirement) (requirement.Verdict, error) {
	end, err := hookpoint.Requirement.Do(ctx, s.Set, hookpoint.RequirementStart{Session: s.Session, Requirement: r, Index: index, Iteration: v.iteration},
		func(ctx context.Context, _ hookpoint.RequirementStart) (hookpoint.RequirementEnd, error) {
			env := requirement.NewEnv(requirement.EnvConfig{Message: v.message, Input: v.input, Steps: v.steps, History: v.history, Options: v.options,
				Ask: func(ctx context.Context, q requirement.Question) (content.Message, error) {
					return s.question(ctx, v, q)
				}})
			verdict, err := r.Validate(ctx, env)
			return hookpoint.RequirementEnd{Verdict: verdict}, ending(ctx, err)
		})
	return end.Verdict, err
}

// question makes the generation that a requirement asks for. It sees neither the history nor the scope's system message.
func (s Scope) question(ctx context.Context, v validation, q requirement.Question) (content.Message, error) {
	s.System = ""
	options := v.options
	if q.Backend != nil && !same(q.Backend, s.Backend) {
		// The call's options name a model and parameters of another backend.
		options = backend.Options{}
	}
	var input content.Messages
	a, err := s.prepare(ctx, Call{Component: q.Component, Options: options, Format: q.Format},
		sampling.Step{Component: q.Component, Options: q.Options, Backend: q.Backend}, v.iteration, &input)
	if err != nil {
		return content.Message{}, err
	}
	out, err := s.generate(ctx, a)
	if err != nil {
		return content.Message{}, err
	}
	r, err := wait(ctx, out)
	return r.Message, err
}
