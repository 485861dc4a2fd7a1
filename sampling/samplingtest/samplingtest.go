// Package samplingtest is the conformance suite that every sampling strategy passes.
package samplingtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// Run tests that s keeps the contract of [sampling.Strategy]: a plan that does not change, with a name and a budget of
// at least 1; steps that are complete, depend on the state alone and leave it as it is; a selection within range; all
// of it from several goroutines at once.
//
// The suite awaits no model: build a strategy that names backends with those of [Backend], which fail the test when
// they are called.
func Run(t *testing.T, s sampling.Strategy) {
	t.Helper()
	report := func(name string, problems []string) {
		t.Run(name, func(t *testing.T) {
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
	report("plan", checkPlan(s))
	for _, st := range states() {
		report("next/"+st.name, checkNext(s, st.State))
		report("select/"+st.name, checkSelect(s, st.Attempts))
	}
}

// problems collects what is wrong, from several goroutines.
type problems struct {
	mu   sync.Mutex
	list []string
}

func (p *problems) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, fmt.Sprintf(format, args...))
}

func checkPlan(s sampling.Strategy) []string {
	var found problems
	p := s.Plan()
	if p.Name == "" {
		found.add("Plan().Name is empty, want a name for telemetry")
	}
	if p.Budget < 1 {
		found.add("Plan().Budget = %d, want at least 1", p.Budget)
	}
	if p.Parallel < 1 || p.Parallel > p.Budget {
		found.add("Plan().Parallel = %d, want from 1 to the budget of %d", p.Parallel, p.Budget)
	}
	if again := s.Plan(); again != p {
		found.add("Plan() = %+v and then %+v, want the same at every call", p, again)
	}
	return found.list
}

// checkNext asks for the step from one state, and then again from several goroutines.
func checkNext(s sampling.Strategy, st sampling.State) []string {
	var found problems
	before := describeState(st)
	step, err := s.Next(st)
	switch {
	case err != nil:
		found.add("Next: %v", err)
		return found.list
	case step.Component == nil || step.History == nil:
		found.add("Next = %+v, want a component and a history", step)
		return found.list
	}
	switch step.Repair {
	case sampling.RepairNone, sampling.RepairReasons, sampling.RepairTurn:
	default:
		found.add("Repair = %q, want one of the constants of package sampling", step.Repair)
	}
	if st.Attempts.Len() == 0 && step.Repair != sampling.RepairNone {
		found.add("Repair = %q for the first attempt, want %q", step.Repair, sampling.RepairNone)
	}
	want := describeStep(step)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			again, err := s.Next(st)
			if err != nil || again.Component == nil || again.History == nil {
				found.add("Next from the same state gave a step and then %+v, %v", again, err)
				return
			}
			if got := describeStep(again); !reflect.DeepEqual(got, want) {
				found.add("Next from the same state gave\n%+v\nand then\n%+v", want, got)
			}
		})
	}
	wg.Wait()
	if got := describeStep(step); !reflect.DeepEqual(got, want) {
		found.add("a later call changed the step from\n%+v\nto\n%+v", want, got)
	}
	if got := describeState(st); !reflect.DeepEqual(got, before) {
		found.add("Next changed its state from\n%+v\nto\n%+v", before, got)
	}
	return found.list
}

func checkSelect(s sampling.Strategy, as sampling.Attempts) []string {
	var found problems
	got := s.Select(as)
	switch {
	case as.Len() == 0 && got != -1:
		found.add("Select = %d of no attempts, want -1", got)
	case as.Len() > 0 && (got < 0 || got >= as.Len()):
		found.add("Select = %d of %d attempts", got, as.Len())
	}
	if again := s.Select(as); again != got {
		found.add("Select = %d and then %d of the same attempts", got, again)
	}
	return found.list
}

type described struct {
	prompt  component.Prompt
	err     error
	kind    string
	view    []content.Message
	options backend.Options
	backend backend.Backend
	repair  string
}

// describeStep returns what of a step can be compared.
func describeStep(s sampling.Step) described {
	d := described{kind: s.Component.Kind(), view: s.History.View().Slice(), options: s.Options, backend: s.Backend, repair: s.Repair}
	d.prompt, d.err = s.Component.Prompt()
	return d
}

func describeState(s sampling.State) []any {
	d := []any{describeStep(sampling.Step{Component: s.Component, History: s.History})}
	for a := range s.Attempts.Values() {
		d = append(d, a.Number, describeStep(sampling.Step{Component: a.Component, History: s.History}), a.Input.Slice(),
			a.Reply.Message.Text(), a.Reasons(), a.Passed(), a.Err, a.ParseErr)
	}
	return d
}

type state struct {
	name string
	sampling.State
}

// states returns the states that a strategy may be asked in.
func states() []state {
	failed := func(n int, reasons ...string) sampling.Attempt {
		var rs []requirement.Result
		for _, reason := range reasons {
			rs = append(rs, requirement.Result{Requirement: requirement.New("k", nil), Verdict: requirement.Fail(reason)})
		}
		a := attempt(n)
		a.Results = content.ListOf(rs...)
		return a
	}
	unread, broken := attempt(1), attempt(2)
	unread.ParseErr = &component.ParseError{Kind: "json", Reason: "not JSON"}
	broken.Err, broken.Reply = errors.New("no connection"), backend.Reply{}
	calls := failed(1, "no text")
	calls.Reply.Message = content.NewMessage(content.RoleAssistant, content.ToolCall{ID: "1", Name: "f", Arguments: "{}"})

	var out []state
	for _, as := range []struct {
		name string
		list []sampling.Attempt
	}{
		{"no attempt", nil},
		{"one that failed", []sampling.Attempt{failed(1, "too long", "too casual")}},
		{"one that failed without a reason", []sampling.Attempt{failed(1, "")}},
		{"one that asks for a tool", []sampling.Attempt{calls}},
		{"one that cannot be read", []sampling.Attempt{unread}},
		{"one that broke off", []sampling.Attempt{broken}},
		{"one that passed", []sampling.Attempt{attempt(1)}},
		{"several", []sampling.Attempt{failed(1, "too long"), broken, unread, failed(3, "too short"), failed(4, "too long")}},
	} {
		for _, h := range []history.History{history.Simple(), history.Chat(content.System("Be kind."), content.User("Hi"))} {
			for _, c := range []component.Component{component.NewInstruction("Do it."), component.Text("Do it.")} {
				out = append(out, state{
					fmt.Sprintf("%s/%s/%s", as.name, h.Kind(), c.Kind()),
					sampling.State{Component: c, History: h, Attempts: content.ListOf(as.list...)},
				})
			}
		}
	}
	return out
}

func attempt(number int) sampling.Attempt {
	return sampling.Attempt{
		Number:    number,
		Component: component.Text("Do it."),
		Input:     content.NewMessages(content.User("Do it.")),
		Reply:     backend.Reply{Message: content.Assistant(fmt.Sprintf("reply %d", number))},
	}
}

// Backend returns a backend that fails the test when it is called: only the engine may call one.
func Backend(tb testing.TB) backend.Backend {
	tb.Helper()
	return untouchable{tb}
}

type untouchable struct{ tb testing.TB }

var errTouched = errors.New("samplingtest: a strategy called a backend")

func (u untouchable) Info(context.Context) (backend.Info, error) {
	u.tb.Error("the strategy called Info of a backend; only the engine may")
	return backend.Info{}, errTouched
}

func (u untouchable) Generate(context.Context, backend.Request) (*backend.Output, error) {
	u.tb.Error("the strategy called Generate of a backend; only the engine may")
	return nil, errTouched
}

func (u untouchable) GenerateBatch(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
	u.tb.Error("the strategy called GenerateBatch of a backend; only the engine may")
	return backend.BatchReply{}, errTouched
}
