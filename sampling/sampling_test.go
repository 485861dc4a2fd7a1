package sampling_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/sampling/samplingtest"
)

func TestStrategiesConform(t *testing.T) {
	t.Parallel()
	for _, s := range []sampling.Strategy{
		sampling.None(), sampling.Reject(3), sampling.Reject(4, sampling.Parallel(2)), sampling.Repair(3), sampling.MultiTurn(3),
	} {
		t.Run(s.Plan().Name, func(t *testing.T) {
			t.Parallel()
			samplingtest.Run(t, s)
		})
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		s    sampling.Strategy
		want sampling.Plan
	}{
		{"none", sampling.None(), sampling.Plan{Name: "none", Budget: 1, Parallel: 1}},
		{"reject", sampling.Reject(2), sampling.Plan{Name: "reject", Budget: 2, Parallel: 1}},
		{"reject in parallel", sampling.Reject(4, sampling.Parallel(2)), sampling.Plan{Name: "reject", Budget: 4, Parallel: 2}},
		{"more in parallel than the budget", sampling.Reject(2, sampling.Parallel(9)), sampling.Plan{Name: "reject", Budget: 2, Parallel: 2}},
		{"none in parallel", sampling.Reject(2, sampling.Parallel(0)), sampling.Plan{Name: "reject", Budget: 2, Parallel: 1}},
		{"repair", sampling.Repair(3), sampling.Plan{Name: "repair", Budget: 3, Parallel: 1}},
		{"multi-turn", sampling.MultiTurn(3), sampling.Plan{Name: "multi_turn", Budget: 3, Parallel: 1}},
	} {
		if diff := cmp.Diff(tc.want, tc.s.Plan()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestNoBudget(t *testing.T) {
	t.Parallel()
	for _, s := range []sampling.Strategy{sampling.Reject(0), sampling.Repair(-1), sampling.MultiTurn(0)} {
		_, err := s.Next(state(history.Simple()))
		var be *sampling.BudgetError
		if !errors.As(err, &be) || be.Strategy != s.Plan().Name || be.Budget != s.Plan().Budget {
			t.Errorf("%s: got %v, want a *BudgetError that names the strategy and its budget", s.Plan().Name, err)
		}
	}
}

// result is a verdict on a requirement that asks to be brief.
func result(v requirement.Verdict) requirement.Result {
	return requirement.Result{Requirement: requirement.New("k", nil).Describe("be brief"), Verdict: v}
}

// try is attempt n at "Do it.", with the reply "reply n".
func try(n int, vs ...requirement.Verdict) sampling.Attempt {
	var rs []requirement.Result
	for _, v := range vs {
		rs = append(rs, result(v))
	}
	return sampling.Attempt{
		Number: n, Component: task, Input: content.NewMessages(content.User("Do it.")), Results: content.ListOf(rs...),
		Reply: backend.Reply{Message: content.Assistant(fmt.Sprintf("reply %d", n))},
	}
}

var (
	task       = component.NewInstruction("Do it.")
	errRefused = errors.New("refused")
)

func unread(a sampling.Attempt) sampling.Attempt {
	a.ParseErr = fmt.Errorf("parse: %w", &component.ParseError{Kind: "json", Reason: "not JSON: x"})
	return a
}

func broken(n int) sampling.Attempt {
	return sampling.Attempt{Number: n, Component: task, Err: errRefused}
}

func state(h history.History, as ...sampling.Attempt) sampling.State {
	return sampling.State{Component: task, History: h, Attempts: content.ListOf(as...)}
}

// transcript renders what a step shows the model.
func transcript(t *testing.T, s sampling.Step) []string {
	t.Helper()
	r, err := component.DefaultFormatter().Render(s.Component, "")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for m := range s.History.View().Concat(r.Messages).Values() {
		out = append(out, string(m.Role())+": "+m.Text())
	}
	return out
}

const (
	repaired = "user: Do it.\n\nYour last reply was not accepted, for these reasons:\n- %s\n" +
		"Write a new reply that puts this right and meets every requirement."
	asked = "user: Your reply was not accepted, for these reasons:\n- %s\n\n" +
		"Write the whole reply again so that it puts this right and meets every requirement."
)

func TestNext(t *testing.T) {
	t.Parallel()
	chat := history.Chat(content.User("Hi"), content.Assistant("Hello"))
	fail := requirement.Fail
	called := try(1, fail("no text"))
	called.Reply.Message = content.NewMessage(content.RoleAssistant, content.Text("hm"), content.ToolCall{Name: "f"})
	for _, tc := range []struct {
		name   string
		s      sampling.Strategy
		st     sampling.State
		want   []string
		repair string
	}{
		{"none", sampling.None(), state(chat), []string{"user: Hi", "assistant: Hello", "user: Do it."}, ""},
		{"reject tells nothing", sampling.Reject(3), state(chat, try(1, fail("too long"))),
			[]string{"user: Hi", "assistant: Hello", "user: Do it."}, ""},

		{"repair, first", sampling.Repair(3), state(chat), []string{"user: Hi", "assistant: Hello", "user: Do it."}, ""},
		{"repair names the reasons of the last attempt", sampling.Repair(3),
			state(history.Simple(), try(1, fail("too short")), try(2, requirement.Pass(), fail("too long"), fail("too casual"))),
			[]string{fmt.Sprintf(repaired, "too long\n- too casual")}, "reasons"},
		{"repair of a reply that cannot be read", sampling.Repair(3), state(history.Simple(), unread(try(1))),
			[]string{fmt.Sprintf(repaired, "not JSON: x")}, "reasons"},
		{"repair after an attempt that broke off", sampling.Repair(3), state(history.Simple(), broken(1)),
			[]string{"user: Do it."}, ""},
		{"repair of what cannot be repaired", sampling.Repair(3),
			sampling.State{Component: component.Text("Do it."), History: chat, Attempts: content.ListOf(try(1, fail("too long")))},
			[]string{"user: Hi", "assistant: Hello", "user: Do it."}, ""},

		{"multi-turn, first", sampling.MultiTurn(3), state(history.Simple()), []string{"user: Do it."}, ""},
		{"multi-turn on a simple history", sampling.MultiTurn(3), state(history.Simple(), try(1, fail("too long"))),
			[]string{"user: Do it.", "assistant: reply 1", fmt.Sprintf(asked, "too long")}, "turn"},
		{"multi-turn on a chat", sampling.MultiTurn(3), state(chat, try(1, fail("too long"))),
			[]string{"user: Hi", "assistant: Hello", "user: Do it.", "assistant: reply 1", fmt.Sprintf(asked, "too long")}, "turn"},
		{"multi-turn without a history", sampling.MultiTurn(3), state(nil, try(1, fail("too long"))),
			[]string{"user: Do it.", "assistant: reply 1", fmt.Sprintf(asked, "too long")}, "turn"},
		{"multi-turn of a reply that cannot be read", sampling.MultiTurn(3), state(history.Simple(), unread(try(1))),
			[]string{"user: Do it.", "assistant: reply 1", fmt.Sprintf(asked, "not JSON: x")}, "turn"},
		{"multi-turn leaves out calls that nothing answers", sampling.MultiTurn(3), state(history.Simple(), called),
			[]string{"user: Do it.", "assistant: hm", fmt.Sprintf(asked, "no text")}, "turn"},
		{"multi-turn leaves out what broke off", sampling.MultiTurn(3),
			state(history.Simple(), broken(1), try(2, fail("too long")), broken(3)),
			[]string{"user: Do it.", "assistant: reply 2", fmt.Sprintf(asked, "too long")}, "turn"},
		{"multi-turn after nothing but what broke off", sampling.MultiTurn(3), state(history.Simple(), broken(1)),
			[]string{"user: Do it."}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			step, err := tc.s.Next(tc.st)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, transcript(t, step)); diff != "" {
				t.Errorf("transcript (-want +got):\n%s", diff)
			}
			if step.Repair != tc.repair {
				t.Errorf("Repair = %q, want %q", step.Repair, tc.repair)
			}
			if step.Backend != nil || !step.Options.IsZero() {
				t.Errorf("the step names a backend or options: %+v", step)
			}
		})
	}
}

func TestMultiTurnGrowsTurnByTurn(t *testing.T) {
	t.Parallel()
	s := sampling.MultiTurn(3)
	st := state(history.Simple())
	for n := 1; n <= 3; n++ {
		step, err := s.Next(st)
		if err != nil {
			t.Fatal(err)
		}
		r, err := component.DefaultFormatter().Render(step.Component, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := step.History.Len()+r.Messages.Len(), 2*n-1; got != want {
			t.Errorf("attempt %d shows %d messages, want %d", n, got, want)
		}
		a := try(n, requirement.Fail("too long"))
		a.Component, a.Input = step.Component, r.Messages
		st.Attempts = st.Attempts.Append(a)
	}
}

func TestTurnIsAComponent(t *testing.T) {
	t.Parallel()
	step, err := sampling.MultiTurn(2).Next(state(history.Simple(), try(1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := step.Component.Kind(); got != "repair" {
		t.Errorf("Kind() = %q, want repair", got)
	}
	want := []string{"user: Do it.", "assistant: reply 1",
		"user: Your reply was not accepted.\n\nWrite the whole reply again so that it puts this right and meets every requirement."}
	if diff := cmp.Diff(want, transcript(t, step)); diff != "" {
		t.Errorf("without reasons (-want +got):\n%s", diff)
	}
	typed, ok := step.Component.(component.Typed[content.Message])
	if !ok {
		t.Fatal("the turn has no reply of a type")
	}
	if m, err := typed.Parse(content.Assistant("x")); m.Text() != "x" || err != nil || typed.Pending() != nil {
		t.Errorf("Parse = %v, %v; want the reply", m, err)
	}
}

func TestAttempt(t *testing.T) {
	t.Parallel()
	both := unread(try(1, requirement.Fail("too long")))
	plain := try(1)
	plain.ParseErr = errors.New("no number")
	for _, tc := range []struct {
		name    string
		a       sampling.Attempt
		passed  bool
		reasons []string
	}{
		{"without requirements", try(1), true, nil},
		{"all met", try(1, requirement.Pass(), requirement.Scored(true, 1, "good")), true, nil},
		{"some failed, in order", try(1, requirement.Fail("a"), requirement.Pass(), requirement.Fail("b")), false, []string{"a", "b"}},
		{"cannot be read", both, false, []string{"not JSON: x", "too long"}},
		{"cannot be read, by an error of another type", plain, false, []string{"no number"}},
		{"broke off", broken(1), false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.a.Passed(); got != tc.passed {
				t.Errorf("Passed() = %v, want %v", got, tc.passed)
			}
			if diff := cmp.Diff(tc.reasons, tc.a.Reasons()); diff != "" {
				t.Errorf("Reasons() (-want +got):\n%s", diff)
			}
		})
	}
	if got := try(2).Text(); got != "reply 2" {
		t.Errorf("Text() = %q, want that of the reply", got)
	}
}

func TestBest(t *testing.T) {
	t.Parallel()
	pass, fail := requirement.Pass(), requirement.Fail("no")
	score := func(s float64) requirement.Verdict { return requirement.Scored(false, s, "no") }
	for _, tc := range []struct {
		name string
		as   []sampling.Attempt
		want int
	}{
		{"none", nil, -1},
		{"one", []sampling.Attempt{broken(1)}, 0},
		{"most passed", []sampling.Attempt{try(1, pass, fail), try(2, pass, pass, fail), try(3, fail, fail)}, 1},
		{"the latest of equals", []sampling.Attempt{try(1, pass, fail), try(2, fail, pass)}, 1},
		{"the highest mean score", []sampling.Attempt{try(1, score(2), score(8)), try(2, score(6), score(5)), try(3, score(4))}, 1},
		{"passed counts before score", []sampling.Attempt{try(1, pass, score(1)), try(2, fail, score(9))}, 0},
		{"a score before none", []sampling.Attempt{try(1, score(0)), try(2, fail)}, 0},
		{"not a number is no score", []sampling.Attempt{try(1, score(1)), try(2, score(math.NaN()))}, 0},
		{"one that passed", []sampling.Attempt{try(1, pass), try(2, pass, pass, fail)}, 0},
		{"read before unread", []sampling.Attempt{try(1, fail), unread(try(2, pass, pass))}, 0},
		{"unread before broken", []sampling.Attempt{unread(try(1)), broken(2)}, 0},
		{"the latest of broken", []sampling.Attempt{broken(1), broken(2)}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := sampling.Best(content.ListOf(tc.as...)); got != tc.want {
				t.Errorf("Best = %d, want %d", got, tc.want)
			}
			if got := sampling.Repair(3).Select(content.ListOf(tc.as...)); got != tc.want {
				t.Errorf("Select = %d, want %d", got, tc.want)
			}
		})
	}
}

// show prints what a step shows the model.
func show(s sampling.Step, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := component.DefaultFormatter().Render(s.Component, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for m := range s.History.View().Concat(r.Messages).Values() {
		fmt.Printf("[%s] %s\n", m.Role(), m.Text())
	}
}

func ExampleRepair() {
	s := sampling.Repair(3)
	st := sampling.State{Component: component.NewInstruction("Write a haiku."), History: history.Simple()}

	// The engine makes the attempt, checks its reply and asks for the next step.
	st.Attempts = content.ListOf(sampling.Attempt{
		Number:  1,
		Reply:   backend.Reply{Message: content.Assistant("four\nlines\nof\ntext")},
		Results: content.ListOf(requirement.Result{Verdict: requirement.Fail("has 4 lines, 3 are wanted")}),
	})
	show(s.Next(st))
	// Output:
	// [user] Write a haiku.
	//
	// Your last reply was not accepted, for these reasons:
	// - has 4 lines, 3 are wanted
	// Write a new reply that puts this right and meets every requirement.
}

func ExampleMultiTurn() {
	s := sampling.MultiTurn(3)
	st := sampling.State{Component: component.NewInstruction("Write a haiku."), History: history.Simple()}
	st.Attempts = content.ListOf(sampling.Attempt{
		Number:  1,
		Input:   content.NewMessages(content.User("Write a haiku.")),
		Reply:   backend.Reply{Message: content.Assistant("Roses are red")},
		Results: content.ListOf(requirement.Result{Verdict: requirement.Fail("has 1 line, 3 are wanted")}),
	})
	show(s.Next(st))
	// Output:
	// [user] Write a haiku.
	// [assistant] Roses are red
	// [user] Your reply was not accepted, for these reasons:
	// - has 1 line, 3 are wanted
	//
	// Write the whole reply again so that it puts this right and meets every requirement.
}

func ExampleReject() {
	fmt.Printf("%+v\n", sampling.Reject(4, sampling.Parallel(2)).Plan())
	_, err := sampling.Reject(0).Next(sampling.State{})
	fmt.Println(err)
	// Output:
	// {Name:reject Budget:4 Parallel:2}
	// sampling strategy reject: a budget of 0 allows no generation: give it at least 1, as the first one counts
}

func ExampleNone() {
	fmt.Printf("%+v\n", sampling.None().Plan())
	// Output: {Name:none Budget:1 Parallel:1}
}

func ExampleBest() {
	as := content.ListOf(
		sampling.Attempt{Number: 1, Results: content.ListOf(requirement.Result{Verdict: requirement.Scored(false, 6, "curt")})},
		sampling.Attempt{Number: 2, Results: content.ListOf(requirement.Result{Verdict: requirement.Scored(false, 4, "rude")})},
		sampling.Attempt{Number: 3, Err: errors.New("no connection")},
	)
	fmt.Println(as.At(sampling.Best(as)).Number)
	// Output: 1
}
