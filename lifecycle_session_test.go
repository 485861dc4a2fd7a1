package mellea_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
)

func TestSessionsDoNotShareHooks(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	one, recOne := start(t, b)
	two, recTwo := start(t, b)
	if _, err := one.Chat(t.Context(), "Say."); err != nil {
		t.Fatal(err)
	}
	if got := len(endings(recTwo, "generation")); got != 0 {
		t.Errorf("the other session's plugin saw %d generations", got)
	}
	_ = one.Close()
	if _, err := two.Chat(t.Context(), "Say."); err != nil {
		t.Fatal(err)
	}
	if got := len(endings(recOne, "generation")); got != 1 {
		t.Errorf("the plugin of the closed session saw %d generations, want its own 1", got)
	}
}

func TestWithAndClone(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	s, _ := start(t, b, mellea.WithHistory(history.Chat()), mellea.WithSystem("outer"))
	if _, err := s.Chat(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	block := melleatest.NewRecorder(t)
	view := s.With(mellea.WithHooks(block), mellea.WithSystem("inner"))
	clone, err := s.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = clone.Close() }()
	if clone.ID() == s.ID() || view.ID() != s.ID() {
		t.Error("a clone has an id of its own, a view that of its session")
	}
	if _, err := view.Chat(t.Context(), "2"); err != nil {
		t.Fatal(err)
	}
	if _, err := clone.Chat(t.Context(), "3"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"system: inner", "user: 1", "assistant: x", "user: 2"}, b.Prompt(1)); diff != "" {
		t.Errorf("the view's prompt (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"system: outer", "user: 1", "assistant: x", "user: 3"}, b.Prompt(2)); diff != "" {
		t.Errorf("the clone's prompt (-want +got):\n%s", diff)
	}
	if got, want := s.History().Len(), 4; got != want {
		t.Errorf("%d messages in the session's history, want %d", got, want)
	}
	if got := len(endings(block, "generation")); got != 1 {
		t.Errorf("the block's plugin saw %d generations, want 1", got)
	}
	s.Reset(t.Context())
	if got := s.History().Len(); got != 0 {
		t.Errorf("%d messages after Reset", got)
	}
}

func TestDirect(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	rec := melleatest.NewRecorder(t)
	d := mellea.On(b, mellea.WithHooks(rec))
	if _, err := mellea.Instruct(t.Context(), d, "Say."); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("component\n  generation\n", rec.Tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestRequirementTexts(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("Dear Ada"), melleatest.Say("Yes"))
	s, _ := start(t, b)
	_, err := s.Instruct(t.Context(), "Write to {{name}}.", mellea.Vars{"name": "Ada"}, mellea.Require("greet {{name}}"),
		mellea.Check(requirement.Excludes("{{")))
	if err != nil {
		t.Fatal(err)
	}
	for i, who := range []string{"the model", "the judge"} {
		if got := strings.Join(b.Prompt(i), "\n"); !strings.Contains(got, "greet Ada") {
			t.Errorf("%s does not see the requirement with its variable filled in: %q", who, got)
		}
	}
}

// A call's own sampling parameters are not those of its judges.
func TestJudgesAreAskedSoberly(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"), melleatest.Say("Yes"))
	s, _ := start(t, b, mellea.WithOptions(backend.Options{}.WithContextWindow(4096)), mellea.WithSystem("be funny"))
	if _, err := s.Instruct(t.Context(), "Say.", mellea.Require("be good"), mellea.Temperature(1.5), mellea.MaxTokens(3), mellea.Model("m"), mellea.Seed(7)); err != nil {
		t.Fatal(err)
	}
	judge := b.Requests()[1]
	if _, ok := judge.Options.Temperature(); ok {
		t.Error("the judge has the call's temperature")
	}
	if _, ok := judge.Options.MaxTokens(); ok {
		t.Error("the judge has the call's limit")
	}
	seed, _ := judge.Options.Seed()
	if window, _ := judge.Options.ContextWindow(); judge.Options.Model() != "m" || seed != 7 || window != 4096 {
		t.Errorf("the judge's model %q, seed %d, window %d", judge.Options.Model(), seed, window)
	}
	if judge.Messages.At(0).Role() == content.RoleSystem {
		t.Error("the judge sees the system message")
	}
}

// A backend without a model of its own needs one from the session; without any, the session does not start.
func TestStartNeedsAModel(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x")).WithInfo(backend.Info{Provider: "p", NeedsModel: true}, nil)
	_, err := mellea.Start(t.Context(), b)
	var fault *backend.Error
	if !errors.As(err, &fault) || fault.Code != backend.CodeConfiguration || !strings.Contains(fault.Remedy, "WithModel") {
		t.Errorf("error = %v, want a configuration error that names WithModel", err)
	}
	s, err := mellea.Start(t.Context(), b, mellea.WithModel("m"))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

func TestLazyCallsStream(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	s, _ := start(t, b)
	whole := s.With(mellea.WithOptions(backend.Options{}.WithStream(false)))
	for i, tc := range []struct {
		on   *mellea.Session
		opts []mellea.CallOption
		want bool
	}{
		{s, nil, true},
		{s, []mellea.CallOption{mellea.Options(backend.Options{}.WithStream(false))}, false},
		{whole, nil, false},
	} {
		out, err := tc.on.StartInstruct(t.Context(), "Say.", tc.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.Requests()[i].Options.Stream(); got != tc.want {
			t.Errorf("call %d: stream = %v, want %v", i, got, tc.want)
		}
	}
}

// What is wrong with the options of a view, or of calls without a session, is the error of each call.
func TestBadTemplatesAreTheCallsError(t *testing.T) {
	t.Parallel()
	s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")))
	broken := mellea.WithTemplates(fstest.MapFS{"default/instruction.tmpl": {Data: []byte("{{")}})
	for name, on := range map[string]mellea.Runner{
		"view": s.With(broken), "direct": mellea.On(melleatest.NewBackend(melleatest.Say("x")), broken),
	} {
		var bad *component.TemplateError
		if _, err := mellea.Instruct(t.Context(), on, "Say."); !errors.As(err, &bad) {
			t.Errorf("%s: Instruct: %v, want *component.TemplateError", name, err)
		}
		if _, err := mellea.StartInstruct(t.Context(), on, "Say."); !errors.As(err, &bad) {
			t.Errorf("%s: StartInstruct: %v, want *component.TemplateError", name, err)
		}
		if _, err := mellea.Validate(t.Context(), on, "x", requirement.MaxWords(1)); !errors.As(err, &bad) {
			t.Errorf("%s: Validate: %v, want *component.TemplateError", name, err)
		}
	}
}

// Who gives a call up first decides how it ended.
func TestCancelledBeforeClose(t *testing.T) {
	t.Parallel()
	for range 20 {
		s, rec := start(t, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"a"}, Block: true}))
		out, err := s.StartInstruct(t.Context(), "Say.")
		if err != nil {
			t.Fatal(err)
		}
		out.Cancel(errors.New("enough"))
		_ = s.Close()
		if diff := cmp.Diff([]string{"cancelled"}, endings(rec, "component")); diff != "" {
			t.Fatalf("ended (-want +got):\n%s", diff)
		}
	}
}
