package sampling

type Option func(*loop)

func Parallel(n int) Option { return func(l *loop) { l.plan.Parallel = n } }

type loop struct{ plan Plan }

func (l loop) Plan() Plan { return l.plan }
func (l loop) Next(s State) (Step, error) {
	return Step{Component: s.Component, History: s.History}, nil
}
func (l loop) Select(as Attempts) int { return as.Len() - 1 }

func None() Strategy { return loop{Plan{"none", 1, 1}} }
func Reject(budget int, opts ...Option) Strategy {
	l := loop{Plan{"reject", budget, 1}}
	for _, o := range opts {
		o(&l)
	}
	return l
}
func Repair(budget int) Strategy    { return loop{Plan{"repair", budget, 1}} }
func MultiTurn(budget int) Strategy { return loop{Plan{"multi_turn", budget, 1}} }

type BudgetError struct {
	Strategy string
	Budget   int
}

func (e *BudgetError) Error() string { return "budget" }
