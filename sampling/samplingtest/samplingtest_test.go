package samplingtest

import (
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/sampling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// strategy is a strategy made of functions; those that are nil do it right.
type strategy struct {
	plan func() sampling.Plan
	next func(sampling.State) (sampling.Step, error)
	pick func(sampling.Attempts) int
}

func (s strategy) Plan() sampling.Plan {
	if s.plan != nil {
		return s.plan()
	}
	return sampling.Repair(2).Plan()
}

func (s strategy) Next(st sampling.State) (sampling.Step, error) {
	if s.next != nil {
		return s.next(st)
	}
	return sampling.Repair(2).Next(st)
}

func (s strategy) Select(as sampling.Attempts) int {
	if s.pick != nil {
		return s.pick(as)
	}
	return sampling.Best(as)
}

func plans(p sampling.Plan) func() sampling.Plan { return func() sampling.Plan { return p } }

func TestSuiteFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	again := func(st sampling.State) sampling.Step {
		return sampling.Step{Component: st.Component, History: st.History}
	}
	for _, tc := range []struct {
		name string
		s    strategy
		want string // "" for nothing wrong
	}{
		{"nothing", strategy{}, ""},
		{"no name", strategy{plan: plans(sampling.Plan{Budget: 1, Parallel: 1})}, "Name is empty"},
		{"no budget", strategy{plan: plans(sampling.Plan{Name: "x"})}, "Budget = 0"},
		{"no generation in flight", strategy{plan: plans(sampling.Plan{Name: "x", Budget: 1})}, "Parallel = 0"},
		{"more in flight than the budget", strategy{plan: plans(sampling.Plan{Name: "x", Budget: 1, Parallel: 2})}, "Parallel = 2"},
		{"a plan that changes", strategy{plan: func() sampling.Plan {
			return sampling.Plan{Name: "x", Budget: int(calls.Add(1)), Parallel: 1}
		}}, "the same at every call"},
		{"an error", strategy{next: func(sampling.State) (sampling.Step, error) {
			return sampling.Step{}, &sampling.BudgetError{}
		}}, "Next: sampling: a budget of 0"},
		{"no component", strategy{next: func(sampling.State) (sampling.Step, error) {
			return sampling.Step{History: history.Simple()}, nil
		}}, "want a component"},
		{"an unknown repair", strategy{next: func(st sampling.State) (sampling.Step, error) {
			step := again(st)
			step.Repair = "magic"
			return step, nil
		}}, "one of the constants"},
		{"a repair of nothing", strategy{next: func(st sampling.State) (sampling.Step, error) {
			step := again(st)
			step.Repair = sampling.RepairTurn
			return step, nil
		}}, "for the first attempt"},
		{"steps that differ by component", strategy{next: func(st sampling.State) (sampling.Step, error) {
			step := again(st)
			step.Component = component.Text(strings.Repeat("x", int(calls.Add(1))))
			return step, nil
		}}, "and then"},
		{"steps that differ by options", strategy{next: func(st sampling.State) (sampling.Step, error) {
			step := again(st)
			step.Options = backend.Options{}.WithSeed(calls.Add(1))
			return step, nil
		}}, "and then"},
		{"a second step that is not complete", strategy{next: func() func(st sampling.State) (sampling.Step, error) {
			var n atomic.Int64
			return func(st sampling.State) (sampling.Step, error) {
				if n.Add(1)%5 == 1 {
					return again(st), nil
				}
				return sampling.Step{}, nil
			}
		}()}, "gave a step and then"},
		{"a selection beyond", strategy{pick: func(as sampling.Attempts) int { return as.Len() }}, "Select = 0 of no attempts"},
		{"a selection before", strategy{pick: func(sampling.Attempts) int { return -1 }}, "Select = -1 of 1 attempts"},
		{"a selection that changes", strategy{pick: func(sampling.Attempts) int { return int(calls.Add(1)) }}, "of the same attempts"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			found := checkPlan(tc.s)
			for _, st := range states() {
				found = append(found, checkNext(tc.s, st.State)...)
				found = append(found, checkSelect(tc.s, st.Attempts)...)
			}
			switch all := strings.Join(found, "\n"); {
			case tc.want == "" && len(found) > 0:
				t.Errorf("found %s, want nothing", all)
			case !strings.Contains(all, tc.want):
				t.Errorf("found %q, want %q", all, tc.want)
			}
		})
	}
}

// recorder counts the errors of a test that does not run.
type recorder struct {
	testing.TB

	errors int
}

func (r *recorder) Helper()      {}
func (r *recorder) Error(...any) { r.errors++ }

func TestBackendFailsTheTestWhenItIsCalled(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	b := Backend(r)
	if _, err := b.Info(t.Context()); err == nil || r.errors != 1 {
		t.Errorf("Info: error %v and %d errors of the test, want both", err, r.errors)
	}
	if out, err := b.Generate(t.Context(), backend.Request{}); out != nil || err == nil || r.errors != 2 {
		t.Errorf("Generate: error %v and %d errors of the test, want both", err, r.errors)
	}
}
