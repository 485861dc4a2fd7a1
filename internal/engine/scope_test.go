package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// Options of a step lie over those that guards left of the call's, and these over the scope's. Each layer keeps what
// the one above leaves open.
func TestOptionsPrecedence(t *testing.T) {
	t.Parallel()
	opts := func(model string, temperature, maxTokens int) backend.Options {
		var o backend.Options
		if model != "" {
			o = o.WithModel(model)
		}
		if temperature >= 0 {
			o = o.WithTemperature(float64(temperature))
		}
		if maxTokens >= 0 {
			o = o.WithMaxTokens(maxTokens)
		}
		return o
	}
	set := func(o backend.Options) hook.Binding {
		return hookpoint.Component.Guard(func(_ context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
			p.Options = p.Options.Merge(o)
			return p, nil
		})
	}
	clearAll := hookpoint.Component.Guard(func(_ context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
		p.Options = backend.Options{}
		return p, nil
	})
	atGeneration := hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		p.Options = p.Options.WithMaxTokens(99)
		return p, nil
	})
	for _, tc := range []struct {
		name              string
		scope, call, step backend.Options
		hooks             []hook.Source
		want              map[string]any
	}{
		{"nothing", backend.Options{}, backend.Options{}, backend.Options{}, nil, map[string]any{"model": ""}},
		{"the scope's", opts("s", 1, 1), backend.Options{}, backend.Options{}, nil, map[string]any{"model": "s", "temperature": 1.0, "max tokens": 1}},
		{"the call's over the scope's", opts("s", 1, 1), opts("", 2, -1), backend.Options{}, nil, map[string]any{"model": "s", "temperature": 2.0, "max tokens": 1}},
		{"a guard's over the call's", opts("s", 1, 1), opts("", 2, 2), backend.Options{}, []hook.Source{set(opts("", 3, -1))}, map[string]any{"model": "s", "temperature": 3.0, "max tokens": 2}},
		{"the step's over the guard's", opts("s", 1, 1), opts("", 2, 2), opts("", -1, 4), []hook.Source{set(opts("", 3, 3))}, map[string]any{"model": "s", "temperature": 3.0, "max tokens": 4}},
		{"a guard of the generation has the last word", opts("s", 1, 1), opts("", 2, 2), opts("", 4, 4), []hook.Source{atGeneration}, map[string]any{"model": "s", "temperature": 4.0, "max tokens": 99}},
		{"a guard clears all", opts("s", 1, 1), opts("c", 2, 2), backend.Options{}, []hook.Source{clearAll}, map[string]any{"model": ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := melleatest.NewBackend(melleatest.Say("x"))
			s, _ := scope(t, b, tc.hooks...)
			s.Options = tc.scope
			if _, err := s.Act(t.Context(), engine.Call{Component: component.Text("Say."), Options: tc.call, Strategy: stepping{tc.step}}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, settings(b.Requests()[0].Options)); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

// stepping is a strategy of one attempt with options.
type stepping struct{ options backend.Options }

func (stepping) Plan() sampling.Plan { return sampling.Plan{Name: "stepping", Budget: 1, Parallel: 1} }
func (s stepping) Next(sampling.State) (sampling.Step, error) {
	return sampling.Step{Options: s.options}, nil
}
func (stepping) Select(sampling.Attempts) int { return 0 }

// The model sees the scope's system message, the history and the call's own messages, in this order.
func TestMessagesOfACall(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	var size int
	s, _ := scope(t, b, hookpoint.Generation.Observe(func(_ context.Context, p hookpoint.GenerationStart) { size = p.ContextSize }))
	s.System = "Be brief."
	h := history.Chat(content.User("a"), content.Assistant("b"))
	if _, err := s.Act(t.Context(), engine.Call{Component: component.Text("c"), History: h}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"system: Be brief.", "user: a", "assistant: b", "user: c"}, b.Prompt(0)); diff != "" {
		t.Errorf("prompt (-want +got):\n%s", diff)
	}
	if size != 2 {
		t.Errorf("%d messages of context told of, want the history's 2", size)
	}
}

// Closing waits until a call's turn has been taken in.
func TestCloseWaitsForAppend(t *testing.T) {
	t.Parallel()
	for _, lazy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := scope(t, melleatest.NewBackend(melleatest.Say("x")))
			appended := false
			call := engine.Call{Component: component.Text("Say."), Append: func([]content.Message) {
				time.Sleep(time.Second)
				appended = true
			}}
			done := make(chan error)
			go func() {
				var err error
				if lazy {
					_, err = s.Start(context.WithoutCancel(t.Context()), call)
				} else {
					_, err = s.Act(t.Context(), call)
				}
				done <- err
			}()
			if lazy {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			synctest.Wait() // Append sleeps
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if !appended {
				t.Errorf("lazy %v: closed before the turn was taken in", lazy)
			}
			if !lazy {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Only a call that succeeded, all reviews included, leaves a turn; one whose requirements are not met does, too.
func TestAppendOnSuccessOnly(t *testing.T) {
	t.Parallel()
	reject := hookpoint.Component.Review(func(_ context.Context, _ hookpoint.ComponentStart, p hookpoint.ComponentEnd) (hookpoint.ComponentEnd, error) {
		return p, hook.Reject("no", "")
	})
	for _, tc := range []struct {
		name  string
		reply melleatest.Reply
		hooks []hook.Source
		call  engine.Call
		want  int
	}{
		{"succeeded", melleatest.Say("x"), nil, engine.Call{}, 2},
		{"not met", melleatest.Say("x"), nil, engine.Call{Requirements: content.ListOf(requirement.MaxWords(0)), Strategy: sampling.Repair(2)}, 2},
		{"failed", melleatest.Fail(errDown), nil, engine.Call{}, 0},
		{"not parsed", melleatest.Say("x"), nil, engine.Call{Parse: func(content.Message) (any, error) { return nil, errDown }}, 0},
		{"rejected", melleatest.Say("x"), []hook.Source{reject}, engine.Call{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, _ := scope(t, melleatest.NewBackend(tc.reply), tc.hooks...)
			got := 0
			tc.call.Component = component.Text("Say.")
			tc.call.Append = func(turn []content.Message) { got += len(turn) }
			_, _ = s.Act(t.Context(), tc.call)
			if got != tc.want {
				t.Errorf("%d messages appended, want %d", got, tc.want)
			}
			if got = 0; tc.call.Strategy == nil {
				if out, err := s.Start(t.Context(), tc.call); err == nil {
					_ = out.Wait(t.Context())
				}
				if got != tc.want {
					t.Errorf("lazy: %d messages appended, want %d", got, tc.want)
				}
			}
		})
	}
}

// A lazy call that panics on the way leaves nothing open, so closing does not wait for it.
func TestStartThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, rec := scope(t, melleatest.NewBackend(melleatest.Say("x")))
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("recovered %v, want the component's panic", p)
				}
			}()
			_, _ = s.Start(t.Context(), engine.Call{Component: bomb{}})
		}()
		if got, want := events(rec), "+component\n  +format\n  -format(error)\n-component(error)\n"; got != want {
			t.Errorf("events\n%swant\n%s", got, want)
		}
		began := time.Now()
		if err := s.Close(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("close took %v, error %v", time.Since(began), err)
		}
	})
}

type bomb struct{ component.PlainText }

func (bomb) Prompt() (component.Prompt, error) { panic("boom") }

// A parser that panics is the error of a lazy call.
func TestLazyParserThatPanics(t *testing.T) {
	t.Parallel()
	s, _ := scope(t, melleatest.NewBackend(melleatest.Say("x")))
	out, err := s.Start(t.Context(), engine.Call{Component: component.Text("Say."), Parse: func(content.Message) (any, error) { panic(errDown) }})
	if err != nil {
		t.Fatal(err)
	}
	var p *backend.PanicError
	if err := out.Wait(t.Context()); !errors.As(err, &p) || !errors.Is(err, errDown) {
		t.Errorf("error %v, want *backend.PanicError of what was panicked with", err)
	}
}

// A session's life: it is asked what it is, opens, counts, tells of a reset, and ends once.
func TestSessionLife(t *testing.T) {
	t.Parallel()
	rec := melleatest.NewRecorder(t)
	var ended []hookpoint.SessionEnd
	ends := hookpoint.Session.Bracket(func(context.Context, hookpoint.SessionOpen) (context.Context, func(hookpoint.SessionOutcome)) {
		return nil, func(o hookpoint.SessionOutcome) { ended = append(ended, o.Post) }
	})
	s, err := engine.Open(t.Context(), engine.SessionConfig{ID: "1", Backend: melleatest.NewBackend(melleatest.Say("x")),
		Formatter: component.DefaultFormatter(), History: history.Chat(), Hooks: []hook.Source{rec, ends}})
	if err != nil {
		t.Fatal(err)
	}
	call := engine.Call{Component: component.Text("Say."), History: s.History(), Append: s.Append}
	for range 2 {
		if _, err := s.Act(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.History().Len(); got != 4 {
		t.Errorf("%d messages, want 4", got)
	}
	s.Reset(t.Context(), s.Set)
	if _, err := s.Act(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Act(t.Context(), call); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("error %v, want engine.ErrClosed", err)
	}
	want := `+session_start
-session_start
+session
  +component
    +format
    -format
    +generation
    -generation
  -component
  +component
    +format
    -format
    +generation
    -generation
  -component
  session_reset
  +component
    +format
    -format
    +generation
    -generation
  -component
-session
`
	if diff := cmp.Diff(want, events(rec)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]hookpoint.SessionEnd{{Interactions: 1}}, ended); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
}

// A session that a hook or the backend refuses is not there, and what was opened for it is closed.
func TestSessionThatDoesNotStart(t *testing.T) {
	t.Parallel()
	deny := hook.Reject("no", "")
	for _, tc := range []struct {
		name  string
		info  error
		hooks []hook.Source
		want  string
	}{
		{"the backend cannot say what it is", errDown, nil, "+session_start\n-session_start(error)\n"},
		{"a check of the start denies it", nil, []hook.Source{hookpoint.SessionStart.Check(func(context.Context, hookpoint.SessionStarting) error { return deny })},
			"+session_start\n-session_start(rejected)\n"},
		{"a check of the session denies it", nil, []hook.Source{hookpoint.Session.Check(func(context.Context, hookpoint.SessionOpen) error { return deny })},
			"+session_start\n-session_start\n+session\n-session(rejected)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rec := melleatest.NewRecorder(t)
			s, err := engine.Open(t.Context(), engine.SessionConfig{ID: "1", Backend: melleatest.NewBackend().WithInfo(backend.Info{}, tc.info),
				Formatter: component.DefaultFormatter(), History: history.Simple(), Hooks: append(tc.hooks, rec)})
			if s != nil || err == nil {
				t.Errorf("session %v, error %v", s, err)
			}
			if diff := cmp.Diff(tc.want, events(rec)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
