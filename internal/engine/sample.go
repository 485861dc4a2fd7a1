package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// sample makes attempts under a Sampling operation until one passes or the budget is spent. The error is the first
// that ended an attempt, when none passed.
func (s Scope) sample(ctx context.Context, c Call) (Result, error) {
	plan := c.Strategy.Plan()
	if plan.Budget < 1 {
		return Result{Selected: -1, Sampled: true}, &sampling.BudgetError{Strategy: plan.Name, Budget: plan.Budget}
	}
	// What the model is shown are the texts as written, for the component to fill in; what is checked, and what a judge
	// reads, has its variables filled in here.
	checked, err := expanded(c.Component, c.Requirements)
	if err != nil {
		return Result{Selected: -1, Sampled: true}, err
	}
	var res Result
	var body error
	_, err = hookpoint.Sampling.Do(ctx, s.Set, hookpoint.SamplingStart{Session: s.Session, Kind: c.Component.Kind(),
		Strategy: plan.Name, Budget: plan.Budget, Parallel: max(plan.Parallel, 1), Requirements: c.Requirements.Len()},
		func(ctx context.Context, start hookpoint.SamplingStart) (hookpoint.SamplingEnd, error) {
			l := &loop{scope: s, call: c, checked: checked, name: plan.Name, budget: start.Budget,
				parallel: min(start.Parallel, start.Budget)}
			body = l.run(ctx)
			res = l.result()
			if body == nil && res.Selected >= 0 && hookpoint.SamplingSelect.Active(s.Set) {
				hookpoint.SamplingSelect.Emit(ctx, s.Set, hookpoint.Selection{Session: s.Session, Strategy: plan.Name,
					Number: res.Attempts.At(res.Selected).Number, Success: res.Success, At: time.Now()})
			}
			end := hookpoint.SamplingEnd{Success: res.Success, Attempts: res.Attempts, Selected: res.Selected}
			if !res.Success && body == nil {
				end.FailureReason = failureReason(res)
			}
			return end, ending(ctx, body)
		})
	if err != nil && body == nil {
		res = res.withheld()
	}
	return res, err
}

// errLost is the cause by which a loop gives up what it has in flight.
var errLost = fmt.Errorf("an attempt beside it decided: %w", backend.ErrAbandoned)

// loop is the state of one Sampling operation. Attempts of a parallel strategy share it.
type loop struct {
	scope    Scope
	call     Call
	checked  requirement.Requirements
	name     string
	budget   int
	parallel int // attempts in flight

	mu          sync.Mutex
	started     int
	generations int // those of attempts that lost included
	usage       content.Usage
	attempts    sampling.Attempts // in order of completion
	tries       []try             // beside attempts
	passed      int               // index of the first attempt that passed, plus one
	errs        []error
	stopped     bool
}

// run works until nothing is left to do, and waits for all attempts. A panic in one of them goes on where the caller can
// see it, not in a goroutine of ours.
func (l *loop) run(ctx context.Context) error {
	if l.parallel <= 1 {
		l.work(ctx, func() {})
		return l.err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost := func() { cancel(errLost) }
	var (
		wg      sync.WaitGroup
		once    sync.Once
		crashed bool
		crash   any // nil when the goroutine was exited
	)
	for range l.parallel {
		wg.Go(func() {
			returned := false
			defer func() {
				if p := recover(); !returned {
					once.Do(func() { crashed, crash = true, p })
					lost()
				}
			}()
			l.work(ctx, lost)
			returned = true
		})
	}
	wg.Wait()
	switch {
	case crash != nil:
		panic(crash)
	case crashed:
		return hook.ErrPanicked
	}
	return l.err()
}

func (l *loop) err() error {
	if l.passed > 0 || len(l.errs) == 0 {
		return nil
	}
	return errors.Join(l.errs...)
}

// work makes attempts one after the other. The first that passes, or an error that must end the loop, calls lost so
// that attempts in flight are given up.
func (l *loop) work(ctx context.Context, lost func()) {
	for {
		step, n, ok := l.next(ctx)
		if !ok {
			return
		}
		t, results, err := l.attempt(ctx, step, n)
		if l.record(ctx, step, n, t, results, err) {
			lost()
			return
		}
	}
}

// next plans attempt n; ok is false when there is none to make.
func (l *loop) next(ctx context.Context) (step sampling.Step, n int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.started >= l.budget {
		return step, 0, false
	}
	step, err := l.call.Strategy.Next(sampling.State{Component: l.call.Component, History: l.call.History, Attempts: l.attempts})
	if err != nil {
		l.errs = append(l.errs, err)
		l.stopped = true
		return step, 0, false
	}
	if step.Component == nil {
		step.Component = l.call.Component
	}
	if step.History == nil {
		step.History = l.call.History
	}
	if last, any := l.attempts.Last(); any && step.Repair != "" {
		hookpoint.SamplingRepair.Emit(ctx, l.scope.Set, hookpoint.Repair{Session: l.scope.Session, Strategy: l.name,
			Number: last.Number, Type: step.Repair, Failed: len(last.Reasons()), At: time.Now()})
	}
	l.started++
	return step, l.started, true
}

func (l *loop) attempt(ctx context.Context, step sampling.Step, n int) (try, requirement.Results, error) {
	t, err := l.scope.try(ctx, l.call, step, n)
	if err != nil || t.parse != nil {
		return t, requirement.Results{}, err
	}
	results, err := l.scope.validate(ctx, validation{requirements: l.checked, options: l.scope.judging(l.call.Options),
		message: t.reply.Message, input: t.input, steps: t.steps, history: step.History, iteration: n})
	return t, results, err
}

// record takes an attempt in and reports whether the loop is over for the others too.
func (l *loop) record(ctx context.Context, step sampling.Step, n int, t try, results requirement.Results, err error) bool {
	a := sampling.Attempt{Number: n, Component: step.Component, Input: t.input, Steps: t.steps, Reply: t.reply, Results: results,
		ParseErr: t.parse, Err: err}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generations += t.generations
	l.usage = l.usage.Add(t.usage)
	if err != nil && (l.passed > 0 || errors.Is(err, errLost)) {
		return true // it lost: what this loop gave up is no attempt
	}
	l.attempts = l.attempts.Append(a)
	l.tries = append(l.tries, t)
	if err != nil {
		if ctx.Err() == nil || len(l.errs) == 0 { // the end of the context is one error, not one an attempt
			l.errs = append(l.errs, err)
		}
		// Alone, an error ends the loop. In parallel others may still pass, but what denies or cancels one denies all.
		var rejected *hook.Rejection
		l.stopped = l.stopped || l.parallel <= 1 || errors.As(err, &rejected) || ctx.Err() != nil
		return l.stopped
	}
	passed := a.Passed()
	if passed && l.passed == 0 {
		l.passed = l.attempts.Len()
		l.stopped = true
	}
	if hookpoint.SamplingIteration.Active(l.scope.Set) {
		failed, held := requirement.Failed(results), results.Len() // guards of the validation included
		if t.parse != nil {
			held = l.checked.Len()
		}
		hookpoint.SamplingIteration.Emit(ctx, l.scope.Set, hookpoint.Iteration{Session: l.scope.Session, Strategy: l.name,
			Number: n, Passed: passed, PassedCount: results.Len() - failed.Len(), Requirements: held,
			ParseFailed: t.parse != nil, FailedResults: failed, At: time.Now()})
	}
	return passed
}

// choose returns the index of the attempt the result is of, -1 when there is none. It runs under mu or alone.
func (l *loop) choose() int {
	if l.passed > 0 {
		return l.passed - 1
	}
	if l.attempts.Len() == 0 {
		return -1
	}
	if i := l.call.Strategy.Select(l.attempts); i >= 0 && i < l.attempts.Len() {
		return i
	}
	return l.attempts.Len() - 1
}

func (l *loop) result() Result {
	res := Result{Attempts: l.attempts, Selected: l.choose(), Sampled: true, Success: l.passed > 0,
		Generations: l.generations, Usage: l.usage}
	if res.Selected < 0 {
		return res
	}
	t := l.tries[res.Selected]
	res.Value, res.Reply, res.Runs, res.Pending = t.value, t.reply, t.runs, t.pending
	// The turn that goes into the history is the question as it was first put, and the answer that was chosen.
	first := l.tries[0].input
	for i, a := range l.attempts.All() {
		if a.Number == 1 {
			first = l.tries[i].input
		}
	}
	res.Turn = turn(first, t.steps, t.reply.Message)
	return res
}

func failureReason(res Result) string {
	reason := fmt.Sprintf("no attempt of %d met all requirements", res.Attempts.Len())
	if res.Selected < 0 {
		return reason
	}
	for _, r := range res.Attempts.At(res.Selected).Reasons() {
		reason += "; " + r
	}
	return reason
}

// expanded fills the variables of a component into the descriptions of requirements.
func expanded(c component.Component, reqs requirement.Requirements) (requirement.Requirements, error) {
	x, ok := c.(component.Expander)
	if !ok || reqs.Len() == 0 {
		return reqs, nil
	}
	all := reqs.Slice()
	for i, r := range all {
		if !r.Shown() && !r.IsJudge() {
			continue // no model reads it, and what code looks for may well be a brace
		}
		text, err := x.Expand(r.Description())
		if err != nil {
			return reqs, err
		}
		if text != r.Description() {
			all[i] = r.Describe(text)
		}
	}
	return content.ListOf(all...), nil
}
