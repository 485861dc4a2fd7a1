package sampling

import (
	"fmt"

	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/history"
)

// BudgetError says that a strategy has no generation to make.
type BudgetError struct {
	Strategy string // the plan's name, "" when unknown
	Budget   int
}

func (e *BudgetError) Error() string {
	name := "sampling"
	if e.Strategy != "" {
		name += " strategy " + e.Strategy
	}
	return fmt.Sprintf("%s: a budget of %d allows no generation: give it at least 1, as the first one counts", name, e.Budget)
}

// Option configures a strategy.
type Option func(*Plan)

// Parallel keeps up to n generations in flight; the first reply that passes ends the others. Fewer than 1 counts as 1,
// more than the budget as the budget.
func Parallel(n int) Option { return func(p *Plan) { p.Parallel = n } }

// None returns the strategy of one generation, whatever becomes of it.
func None() Strategy { return loop{plan: Plan{Name: "none", Budget: 1, Parallel: 1}, next: again} }

// Reject returns the strategy that makes the same attempt again, up to budget generations. The model is not told what
// was wrong: it is for replies that vary, and for several at once.
func Reject(budget int, opts ...Option) Strategy {
	p := Plan{Name: "reject", Budget: budget, Parallel: 1}
	for _, o := range opts {
		o(&p)
	}
	p.Parallel = max(1, min(p.Parallel, budget))
	return loop{plan: p, next: again}
}

// Repair returns the strategy that asks again with the reasons of the last attempt in the prompt, up to budget
// generations. A component that is no [component.Repairer] is tried again as it is.
func Repair(budget int) Strategy {
	return loop{plan: Plan{Name: "repair", Budget: budget, Parallel: 1}, next: withReasons}
}

// MultiTurn returns the strategy that keeps talking: each attempt sees the ones before, its prompt and reply, and then
// a turn that names the reasons and asks again, up to budget generations. It works with any history: the talk is laid
// over what the call's history shows. The turn is the template "repair_turn", which sees a [TurnData].
func MultiTurn(budget int) Strategy {
	return loop{plan: Plan{Name: "multi_turn", Budget: budget, Parallel: 1}, next: asTurn}
}

// loop is a strategy whose steps depend on what was tried.
type loop struct {
	plan Plan
	next func(State) Step
}

func (l loop) Plan() Plan { return l.plan }

// Next returns a *[BudgetError] for a budget below 1.
func (l loop) Next(s State) (Step, error) {
	if l.plan.Budget < 1 {
		return Step{}, &BudgetError{Strategy: l.plan.Name, Budget: l.plan.Budget}
	}
	return l.next(s), nil
}

func (loop) Select(as Attempts) int { return Best(as) }

// again makes the same attempt once more.
func again(s State) Step { return Step{Component: s.Component, History: s.History} }

// withReasons puts the reasons of the last attempt into the prompt.
func withReasons(s State) Step {
	step := again(s)
	last, ok := s.Attempts.Last()
	if !ok {
		return step
	}
	reasons := last.Reasons()
	if r, ok := s.Component.(component.Repairer); ok && len(reasons) > 0 {
		step.Component, step.Repair = r.WithRepair(reasons...), RepairReasons
	}
	return step
}

// asTurn answers the last reply with its reasons. The talk is rebuilt from the attempts, so that the strategy needs no
// memory; an attempt without a reply left nothing to talk about.
func asTurn(s State) Step {
	step := again(s)
	var talk history.History
	for a := range s.Attempts.Values() {
		if a.Err != nil {
			continue
		}
		if talk == nil {
			talk = history.Chat()
			if s.History != nil {
				talk = talk.Append(s.History.View().Slice()...)
			}
		}
		talk = talk.Append(append(a.Input.Concat(a.Steps).Slice(), spoken(a.Reply.Message))...)
		step = Step{Component: turn{TurnData{Reasons: a.Reasons()}}, History: talk, Repair: RepairTurn}
	}
	return step
}
