package mellea_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// endings returns how the operations of a point ended, in the order they began.
func endings(rec *melleatest.Recorder, point string) []string {
	var out []string
	for _, o := range rec.Operations() {
		if o.Point == point {
			out = append(out, o.Ending.String())
		}
	}
	return out
}

func TestLazyCall(t *testing.T) {
	t.Parallel()
	step := make(chan struct{})
	b := melleatest.NewBackend(melleatest.Reply{Pieces: []string{"a ", "b ", "c"}, Step: step})
	s, rec := start(t, b, mellea.WithHistory(history.Chat()))
	out, err := s.StartInstruct(t.Context(), "Say.")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-out.Done():
		t.Fatal("done before anything was said")
	default:
	}
	if got := s.History().Len(); got != 0 {
		t.Errorf("%d messages in the history before the reply", got)
	}
	close(step)
	var pieces []string
	for c, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, c.Text)
	}
	if diff := cmp.Diff([]string{"a ", "b ", "c"}, pieces); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
	<-out.Done()
	if got, want := s.History().Len(), 2; got != want {
		t.Errorf("%d messages in the history, want %d", got, want)
	}
	if got, want := strings.Join(rec.Events(), " "), "+session_start -session_start +session +component +format -format +generation -generation -component"; got != want {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
}

func TestRunningOutputAsInput(t *testing.T) {
	t.Parallel()
	step := make(chan struct{})
	b := melleatest.NewBackend(melleatest.Reply{Pieces: []string{"Ada"}, Step: step}, melleatest.Say("Dear Ada"))
	s, _ := start(t, b)
	name, err := s.StartInstruct(t.Context(), "Name somebody.")
	if err != nil {
		t.Fatal(err)
	}
	go close(step)
	if _, err := s.Instruct(t.Context(), "Write to {{name}}.", mellea.Vars{"name": name}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"user: Write to Ada."}, b.Prompt(1)); diff != "" {
		t.Errorf("prompt (-want +got):\n%s", diff)
	}
}

func TestFailedInputFailsTheCallBeforeItStarts(t *testing.T) {
	t.Parallel()
	cause := errors.New("no luck")
	b := melleatest.NewBackend(melleatest.Fail(cause))
	s, rec := start(t, b)
	name, err := s.StartInstruct(t.Context(), "Name somebody.")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Instruct(t.Context(), "Write.", mellea.Ground("name", name))
	if !errors.Is(err, cause) {
		t.Errorf("error = %v, want the input's", err)
	}
	if got := len(endings(rec, "component")); got != 1 {
		t.Errorf("%d component operations, want only that of the input", got)
	}
}

func TestCancelledAndAbandoned(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		end    func(cancel context.CancelFunc, out *backend.Output, s *mellea.Session)
		want   string
		wantIs error
	}{
		{"the context", func(c context.CancelFunc, _ *backend.Output, _ *mellea.Session) { c() }, "cancelled", context.Canceled},
		{"Cancel", func(_ context.CancelFunc, o *backend.Output, _ *mellea.Session) { o.Cancel(errors.New("enough")) }, "cancelled", context.Canceled},
		{"leaving the loop", func(_ context.CancelFunc, o *backend.Output, _ *mellea.Session) {
			for range o.Chunks(context.Background()) {
				break
			}
		}, "cancelled", context.Canceled},
		{"closing the session", func(_ context.CancelFunc, _ *backend.Output, s *mellea.Session) { _ = s.Close() }, "abandoned", backend.ErrAbandoned},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Reply{Pieces: []string{"a"}, Block: true})
			s, rec := start(t, b, mellea.WithHistory(history.Chat()))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, err := s.StartInstruct(ctx, "Say.")
			if err != nil {
				t.Fatal(err)
			}
			tc.end(cancel, out, s)
			text, err := out.Text(context.Background())
			if !errors.Is(err, tc.wantIs) {
				t.Errorf("error = %v, want %v", err, tc.wantIs)
			}
			if text != "a" && text != "" {
				t.Errorf("text = %q, want what had arrived", text)
			}
			for _, point := range []string{"generation", "component"} {
				if diff := cmp.Diff([]string{tc.want}, endings(rec, point)); diff != "" {
					t.Errorf("%s ended (-want +got):\n%s", point, diff)
				}
			}
			if got := s.History().Len(); got != 0 {
				t.Errorf("a call that failed left %d messages in the history", got)
			}
		})
	}
}

func TestDeadlineIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := melleatest.NewBackend(melleatest.Reply{Block: true})
		rec := melleatest.NewRecorder(t)
		s, err := mellea.Start(t.Context(), b, mellea.WithHooks(rec))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err = s.Chat(ctx, "Say."); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want a deadline", err)
		}
		if diff := cmp.Diff([]string{"error"}, endings(rec, "component")); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosedSessionRefusesCalls(t *testing.T) {
	t.Parallel()
	s, _ := start(t, melleatest.NewBackend(melleatest.Say("x")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Chat(t.Context(), "Say."); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("error = %v, want that the session is closed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestParallelLosersAreAbandoned(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply {
		if n == 2 {
			return melleatest.Say("good")
		}
		return melleatest.Reply{Pieces: []string{"bad"}, Block: true}
	})
	s, rec := start(t, b)
	res, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.Contains("good")), mellea.Strategy(sampling.Reject(3, sampling.Parallel(3))))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Text(), "good"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	count := map[string]int{}
	for _, e := range endings(rec, "generation") {
		count[e]++
	}
	if diff := cmp.Diff(map[string]int{"ok": 1, "abandoned": 2}, count); diff != "" {
		t.Errorf("generations ended (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ok"}, endings(rec, "component")); diff != "" {
		t.Errorf("component ended (-want +got):\n%s", diff)
	}
}

func TestRejectionInAnyRoleClosesEverything(t *testing.T) {
	t.Parallel()
	deny := hook.Reject("denied", "a reason with a secret")
	for _, tc := range []struct {
		name    string
		binding hook.Binding
		point   string // the innermost that ends as rejected
	}{
		{"component guard", hookpoint.Component.Guard(func(_ context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) { return p, deny }), "component"},
		{"generation guard", hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			return p, deny
		}), "generation"},
		{"generation check", hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error { return deny }), "generation"},
		{"generation review", hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			return p, deny
		}), "generation"},
		{"a guard that panics", hookpoint.Generation.Guard(func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationStart, error) { panic("x") }), "generation"},
		{"sampling guard", hookpoint.Sampling.Guard(func(_ context.Context, p hookpoint.SamplingStart) (hookpoint.SamplingStart, error) { return p, deny }), "sampling"},
		{"validation review", hookpoint.Validation.Review(func(_ context.Context, _ hookpoint.ValidationStart, p hookpoint.ValidationEnd) (hookpoint.ValidationEnd, error) {
			return p, deny
		}), "validation"},
		{"requirement check", hookpoint.Requirement.Check(func(context.Context, hookpoint.RequirementStart) error { return deny }), "requirement"},
		{"component review", hookpoint.Component.Review(func(_ context.Context, _ hookpoint.ComponentStart, p hookpoint.ComponentEnd) (hookpoint.ComponentEnd, error) {
			return p, deny
		}), "component"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Say("a b c"))
			s, rec := start(t, b, mellea.WithHooks(tc.binding))
			_, err := s.Instruct(t.Context(), "Say.", mellea.Check(requirement.MaxWords(5)))
			if _, ok := errors.AsType[*hook.Rejection](err); !ok {
				t.Fatalf("error = %v, want *hook.Rejection", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the reason: %v", err)
			}
			if got, want := endings(rec, tc.point), []string{"rejected"}; !cmp.Equal(got, want) {
				t.Errorf("%s ended %v, want %v", tc.point, got, want)
			}
			if got, want := endings(rec, "component"), []string{"rejected"}; !cmp.Equal(got, want) {
				t.Errorf("component ended %v, want %v", got, want)
			}
			if got := s.History().Len(); got != 0 {
				t.Errorf("a rejected call left %d messages in the history", got)
			}
		})
	}
}

func TestReviewHoldsAndRewritesTheReply(t *testing.T) {
	t.Parallel()
	redact := hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
		p.Reply = p.Reply.WithText(strings.ReplaceAll(p.Reply.Text(), "secret", "***"))
		return p, nil
	})
	b := melleatest.NewBackend(melleatest.Reply{Pieces: []string{"the sec", "ret is"}})
	s, _ := start(t, b, mellea.WithHooks(redact))
	out, err := s.StartInstruct(t.Context(), "Say.")
	if err != nil {
		t.Fatal(err)
	}
	if !out.Held() {
		t.Error("the output is not held back")
	}
	var got string
	for c, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got += c.Text
	}
	if want := "the *** is"; got != want {
		t.Errorf("chunks = %q, want %q", got, want)
	}
}

type number int

type numberComponent struct{ component.PlainText }

func (numberComponent) Parse(m content.Message) (number, error) {
	if m.Text() != "1" {
		return 0, errors.New("not a number")
	}
	return 1, nil
}

func TestParseFailure(t *testing.T) {
	t.Parallel()
	c := numberComponent{component.Text("Say a number.")}
	t.Run("without a strategy it is the call's error", func(t *testing.T) {
		t.Parallel()
		s, rec := start(t, melleatest.NewBackend(melleatest.Say("one")))
		_, err := mellea.Act[number](t.Context(), s, c)
		if _, ok := errors.AsType[*component.ParseError](err); !ok {
			t.Fatalf("error = %v, want *component.ParseError", err)
		}
		if diff := cmp.Diff([]string{"error"}, endings(rec, "component")); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
	})
	t.Run("within sampling it is a failed attempt", func(t *testing.T) {
		t.Parallel()
		s, _ := start(t, melleatest.NewBackend(melleatest.Say("one"), melleatest.Say("1")))
		res, err := mellea.Act[number](t.Context(), s, c, mellea.Strategy(sampling.Reject(2)))
		if err != nil {
			t.Fatal(err)
		}
		if res.Value != 1 || len(res.Attempts) != 2 {
			t.Errorf("value %d after %d attempts, want 1 after 2", res.Value, len(res.Attempts))
		}
	})
}

func TestGuardsEditTheCall(t *testing.T) {
	t.Parallel()
	guard := hookpoint.Component.Guard(func(_ context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
		p.Requirements = requirement.Requirements{}
		p.Strategy = nil
		p.Options = p.Options.WithSeed(7)
		return p, nil
	})
	messages := hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		p.Messages = content.NewMessages(content.User("[redacted]"))
		return p, nil
	})
	b := melleatest.NewBackend(melleatest.Say("a b c"))
	s, rec := start(t, b, mellea.WithHooks(guard, messages))
	if _, err := s.Instruct(t.Context(), "Say my password.", mellea.Check(requirement.MaxWords(1))); err != nil {
		t.Fatal(err)
	}
	if got := endings(rec, "sampling"); got != nil {
		t.Errorf("sampling ran although the guard cleared requirements and strategy: %v", got)
	}
	if diff := cmp.Diff([]string{"user: [redacted]"}, b.Prompt(0)); diff != "" {
		t.Errorf("prompt (-want +got):\n%s", diff)
	}
	if seed, ok := b.Requests()[0].Options.Seed(); !ok || seed != 7 {
		t.Errorf("seed = %d, %v, want the guard's 7", seed, ok)
	}
}

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
