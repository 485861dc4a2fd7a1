package mellea_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
)

type sentiment string

func (sentiment) Enum() []sentiment { return []sentiment{"good", "bad"} }

type ticket struct {
	Title string    `json:"title" jsonschema:"at most ten words"`
	Mood  sentiment `json:"mood"`
	Steps []step    `json:"steps,omitempty"`
}

type step struct {
	Do      string `json:"do"`
	Minutes int    `json:"minutes,omitempty"`
}

func TestDefine(t *testing.T) {
	t.Parallel()
	define := mellea.Define[string, ticket]("Make a ticket of the mail.",
		mellea.Example("It broke.", ticket{Title: "It broke", Mood: "bad"}))
	b := melleatest.NewBackend(melleatest.Say("```json\n{\"title\":\"Fix it\",\"mood\":\"bad\",\"steps\":[{\"do\":\"look\",\"minutes\":5.0}]}\n```"))
	got, err := define(t.Context(), mellea.On(b), "Please fix <it> {{now}}.")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, ticket{Title: "Fix it", Mood: "bad", Steps: []step{{"look", 5}}}); diff != "" {
		t.Errorf("value (-got +want):\n%s", diff)
	}
	req := b.Requests()[0]
	if req.Format.Name() != "ticket" {
		t.Errorf("the format is %q, want that of the type", req.Format.Name())
	}
	prompt := strings.Join(b.Prompt(0), "\n")
	for _, want := range []string{"Make a ticket of the mail.", "Please fix <it> {{now}}.", `{"title":"It broke","mood":"bad"}`, req.Format.JSON()} {
		if !strings.Contains(prompt, want) {
			t.Errorf("the prompt has no %q:\n%s", want, prompt)
		}
	}
}

// What cannot be read is a reason that the model is told, and asked again.
func TestDefineRepairs(t *testing.T) {
	t.Parallel()
	define := mellea.DefineResult[string, ticket]("Make a ticket.",
		mellea.Post("the title has no full stop", func(c ticket) error {
			if strings.HasSuffix(c.Title, ".") {
				return errors.New("the title ends with a full stop")
			}
			return nil
		}))
	b := melleatest.NewBackend(
		melleatest.Say(`{"title":"A","mood":"ugly"}`),
		melleatest.Say(`{"title":"A.","mood":"bad"}`),
		melleatest.Say(`{"title":"A","mood":"bad","steps":null}`))
	res, err := define(t.Context(), mellea.On(b), "x")
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Attempts) != 3 || res.Value.Title != "A" {
		t.Errorf("%d attempts, value %+v", len(res.Attempts), res.Value)
	}
	for n, want := range map[int]string{0: "- the title has no full stop", 1: `- The reply is not the JSON that was asked for: mood: want one of "good", "bad", got "ugly".`, 2: "- the title ends with a full stop"} {
		if got := strings.Join(b.Prompt(n), "\n"); !strings.Contains(got, want) {
			t.Errorf("prompt %d has no %q:\n%s", n, want, got)
		}
	}
}

func TestDefineGivesUpWithReasons(t *testing.T) {
	t.Parallel()
	define := mellea.Define[string, ticket]("Make a ticket.")
	_, err := define(t.Context(), mellea.On(melleatest.NewBackend(melleatest.Say(`{"title":"cut of`))), "x")
	unmet, ok := errors.AsType[*mellea.UnmetError](err)
	if !ok || unmet.Attempts != mellea.DefaultBudget {
		t.Fatalf("got %v, want an *UnmetError after %d attempts", err, mellea.DefaultBudget)
	}
	bad, ok := errors.AsType[*schema.DecodeError](err)
	if !ok || !bad.Truncated {
		t.Errorf("the cause is %v, want a truncated *schema.DecodeError", err)
	}
	if strings.Contains(err.Error(), "cut of") {
		t.Errorf("the error quotes the reply: %v", err)
	}
}

func TestDefineOfValuesThatAreNoObject(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say(`{"result":["a"]}`), melleatest.Say(`{"result":"good"}`), melleatest.Say(`{"result":3.0}`), melleatest.Say("true"))
	on := mellea.On(b)
	list, err := mellea.Define[string, []string]("List.")(t.Context(), on, "x")
	if err != nil || len(list) != 1 || list[0] != "a" {
		t.Errorf("list: %v, %v", list, err)
	}
	mood, err := mellea.Define[string, sentiment]("Judge.")(t.Context(), on, "x")
	if err != nil || mood != "good" {
		t.Errorf("mood: %v, %v", mood, err)
	}
	n, err := mellea.Define[struct{}, int]("Count.")(t.Context(), on, struct{}{})
	if err != nil || n != 3 {
		t.Errorf("n: %v, %v", n, err)
	}
	ok, err := mellea.Define[int, bool]("Is it odd?")(t.Context(), on, 3)
	if err != nil || !ok {
		t.Errorf("ok: %v, %v", ok, err)
	}
	if strings.Contains(strings.Join(b.Prompt(2), ""), "<input>") {
		t.Error("an empty input is shown")
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	empty := errors.New("it is empty")
	define := mellea.Define[string, int]("Count the words.",
		mellea.Pre("short", func(s string) error { return nil }),
		mellea.Pre("not empty", func(s string) error {
			if s == "" {
				return empty
			}
			return nil
		}))
	b := melleatest.NewBackend(melleatest.Say(`{"result":1}`))
	_, err := define(t.Context(), mellea.On(b), "")
	pre, ok := errors.AsType[*mellea.PreconditionError](err)
	if !ok || pre.Name != "not empty" || !errors.Is(err, empty) {
		t.Errorf("got %v, want the precondition that failed", err)
	}
	if n := len(b.Requests()); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
	if n, err := define(t.Context(), mellea.On(b), "x"); err != nil || n != 1 {
		t.Errorf("got %v, %v", n, err)
	}
}

func TestTryDefineRefuses(t *testing.T) {
	t.Parallel()
	_, noSchema := mellea.TryDefine[string, struct{ F []func() }]("x")
	if bad, ok := errors.AsType[*schema.TypeError](noSchema); !ok || bad.Path != "F[]" {
		t.Errorf("got %v, want a *schema.TypeError at F[]", noSchema)
	}
	s := schema.MustFor[int]()
	tests := map[string]struct {
		err    error
		option string
	}{
		"no instruction":    {try[string, int](" "), "Define"},
		"an input":          {try[chan int, int]("x"), "Define"},
		"a format":          {try[string, int]("x", mellea.Format(s)), "Format"},
		"a precondition":    {try[string, int]("x", mellea.Pre("n", func(int) error { return nil })), "Pre"},
		"an example's type": {try[string, int]("x", mellea.Example("a", "b")), "Example"},
		"its input":         {try[string, int]("x", mellea.Example(1, 2)), "Example"},
		"its value":         {try[string, sentiment]("x", mellea.Example("a", sentiment("none"))), "Example"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			usage, ok := errors.AsType[*mellea.UsageError](tc.err)
			if !ok || usage.Option != tc.option {
				t.Errorf("got %v, want a *UsageError of %s", tc.err, tc.option)
			}
		})
	}
}

func try[In, Out any](instruction string, opts ...mellea.DefineOption) error {
	_, err := mellea.TryDefine[In, Out](instruction, opts...)
	return err
}

func TestDefinePanicsWithThePlace(t *testing.T) {
	t.Parallel()
	defer func() {
		err, _ := recover().(error)
		if _, ok := errors.AsType[*schema.TypeError](err); !ok || !strings.Contains(err.Error(), "define_test.go:") {
			t.Errorf("panicked with %v, want the type and where it was defined", err)
		}
	}()
	mellea.Define[string, chan int]("x")
}

func TestInstructAs(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("no"), melleatest.Say(`{"title":"Ann's","mood":"good"}`))
	res, err := mellea.InstructAs[ticket](t.Context(), mellea.On(b), "A ticket for {{name}}", mellea.Vars{"name": "Ann"},
		mellea.Check(mellea.PostCheck(func(c ticket) error { return nil }), requirement.Contains("Ann")))
	if err != nil {
		t.Fatal(err)
	}
	if res.Value.Title != "Ann's" || len(res.Attempts) != 2 {
		t.Errorf("value %+v after %d attempts", res.Value, len(res.Attempts))
	}
	if got := strings.Join(b.Prompt(1), ""); !strings.Contains(got, "there is no JSON document in the reply") || !strings.Contains(got, `"title"`) {
		t.Errorf("the second prompt tells neither the reason nor the schema:\n%s", got)
	}
	if _, err := mellea.InstructAs[func()](t.Context(), mellea.On(b), "x"); err == nil {
		t.Error("a function has a schema")
	}
	if _, err := mellea.InstructAs[int](t.Context(), mellea.On(b), "x", mellea.Format(schema.MustFor[int]())); err == nil {
		t.Error("took a format beside the type")
	}
	_, err = mellea.InstructAs[int](t.Context(), mellea.On(melleatest.NewBackend(melleatest.Say("x"))), "x", mellea.Strategy(sampling.Reject(1)))
	if unmet, ok := errors.AsType[*mellea.UnmetError](err); !ok || unmet.Attempts != 1 {
		t.Errorf("got %v, want one attempt", err)
	}
}

// Each attempt that cannot be read is a parse that fails, as telemetry sees it.
func TestDefineFiresFormat(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ends []string
	watch := hookpoint.Format.Bracket(func(ctx context.Context, start hookpoint.FormatStart) (context.Context, func(hook.Outcome[hookpoint.FormatStart, hookpoint.FormatEnd])) {
		return ctx, func(o hook.Outcome[hookpoint.FormatStart, hookpoint.FormatEnd]) {
			mu.Lock()
			defer mu.Unlock()
			if start.Phase == hookpoint.Parse {
				ends = append(ends, start.Kind+" "+o.Ending.String())
			}
		}
	})
	b := melleatest.NewBackend(melleatest.Say("x"), melleatest.Say(`{"result":1}`))
	if _, err := mellea.Define[string, int]("x")(t.Context(), mellea.On(b, mellea.WithHooks(watch)), "x"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ends, []string{"function error", "function ok"}); diff != "" {
		t.Errorf("parses (-got +want):\n%s", diff)
	}
}

func TestDefinedFunctionsAreConcurrent(t *testing.T) {
	t.Parallel()
	define := mellea.Define[int, int]("Add one.", mellea.Require("be right", mellea.PostCheck(func(int) error { return nil })))
	on := mellea.On(melleatest.NewBackend(melleatest.Say(`{"result":2}`)))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if n, err := define(t.Context(), on, 1); err != nil || n != 2 {
				t.Errorf("got %d, %v", n, err)
			}
		})
	}
	wg.Wait()
}

// The prompt tells the schema only where the backend does not hold the reply to it.
func TestSchemaIsTold(t *testing.T) {
	t.Parallel()
	for way, want := range map[backend.Structured]bool{backend.StructuredNone: true, backend.StructuredJSON: true, backend.StructuredSchema: false} {
		b := melleatest.NewBackend(melleatest.Say(`{"result":1}`)).WithInfo(backend.Info{Provider: "p", Model: "m", Capabilities: backend.Capabilities{Structured: way}}, nil)
		if _, err := mellea.InstructAs[int](t.Context(), mellea.On(b), "Count."); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.Prompt(0)[0], `"result"`); got != want {
			t.Errorf("way %d: told = %v, want %v", way, got, want)
		}
		if b.Requests()[0].Format.IsZero() {
			t.Errorf("way %d: the request has no format", way)
		}
	}
}
