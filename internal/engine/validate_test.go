package engine_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
)

func verdicts(rs requirement.Results) string {
	var b strings.Builder
	for r := range rs.Values() {
		b.WriteString(map[bool]string{true: "p", false: "f"}[r.Verdict.Passed])
	}
	return b.String()
}

// Results are in the order of the requirements, whichever check is done first; only those marked safe for it run beside
// others.
func TestChecksKeepTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		check := func(d time.Duration, passed bool) requirement.Requirement {
			return requirement.New("timed", func(context.Context, requirement.Env) (requirement.Verdict, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(d)
				mu.Lock()
				now--
				mu.Unlock()
				return requirement.Verdict{Passed: passed}, nil
			})
		}
		s, _ := scope(t, melleatest.NewBackend())
		validate := func(reqs ...requirement.Requirement) (string, time.Duration) {
			began := time.Now()
			rs, err := s.Validate(t.Context(), content.ListOf(reqs...), content.Assistant("x"), history.Simple(), backend.Options{})
			if err != nil {
				t.Error(err)
			}
			return verdicts(rs), time.Since(began)
		}
		got, took := validate(check(3*time.Second, true), check(2*time.Second, false), check(time.Second, true))
		if got != "pfp" || took != 6*time.Second || most != 1 {
			t.Errorf("one after the other: %s in %v, %d at once; want pfp in 6s, 1", got, took, most)
		}
		got, took = validate(check(3*time.Second, true).AsConcurrent(), check(2*time.Second, false).AsConcurrent(), check(time.Second, true))
		if got != "pfp" || took != 3*time.Second || most != 3 {
			t.Errorf("beside each other: %s in %v, %d at once; want pfp in 3s, 3", got, took, most)
		}
	})
}

// What keeps a check from giving a verdict is an error that names the requirement, and the others are still checked.
func TestChecksThatCannotTell(t *testing.T) {
	t.Parallel()
	broken := func(name string, f func()) requirement.Requirement {
		return requirement.Named(name, requirement.New("custom", func(context.Context, requirement.Env) (requirement.Verdict, error) {
			f()
			return requirement.Verdict{}, errDown
		}))
	}
	s, rec := scope(t, melleatest.NewBackend())
	rs, err := s.Validate(t.Context(), content.ListOf(requirement.MinWords(1), broken("fails", func() {}),
		broken("panics", func() { panic("SECRET") }), requirement.MaxWords(1)), content.Assistant("x"), history.Simple(), backend.Options{})
	for _, name := range []string{"fails", "panics"} {
		if err == nil || !strings.Contains(err.Error(), "requirement "+name+": could not be checked") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("error %v, want one that names %s and quotes nothing", err, name)
		}
	}
	var check *requirement.CheckError
	var panicked *requirement.PanicError
	if !errors.As(err, &check) || !errors.Is(err, errDown) || !errors.As(err, &panicked) {
		t.Errorf("error %v does not wrap what went wrong", err)
	}
	if got, want := verdicts(rs), "pffp"; got != want {
		t.Errorf("verdicts %s, want %s", got, want)
	}
	ends := map[string]int{}
	for _, o := range rec.Operations() {
		ends[o.Point+" "+o.Ending.String()]++
	}
	if diff := cmp.Diff(map[string]int{"validation error": 1, "requirement ok": 2, "requirement error": 2}, ends); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

// A check that exits its goroutine, as a test that fails in it does, has not passed.
func TestConcurrentCheckThatExits(t *testing.T) {
	t.Parallel()
	exits := requirement.New("exits", func(context.Context, requirement.Env) (requirement.Verdict, error) {
		runtime.Goexit()
		return requirement.Pass(), nil
	}).AsConcurrent()
	s, _ := scope(t, melleatest.NewBackend())
	_, err := s.Validate(t.Context(), content.ListOf(exits, requirement.MaxWords(1).AsConcurrent()), content.Assistant("x"), history.Simple(), backend.Options{})
	if !errors.As(err, new(*requirement.CheckError)) {
		t.Errorf("error %v, want *requirement.CheckError", err)
	}
}

// A judge is asked on its own backend with its own options, and otherwise on the call's with the model and the seed of
// the call; it sees neither history nor system message.
func TestJudges(t *testing.T) {
	t.Parallel()
	base := backend.Options{}.WithContextWindow(4096).WithTemperature(0.1)
	call := backend.Options{}.WithModel("m").WithSeed(7).WithTemperature(1.5).WithMaxTokens(3)
	for _, tc := range []struct {
		name  string
		judge func(other backend.Backend) []requirement.JudgeOption
		other bool
		want  backend.Options
	}{
		{"the call's", func(backend.Backend) []requirement.JudgeOption { return nil }, false,
			backend.Options{}.WithModel("m").WithSeed(7).WithContextWindow(4096).WithTemperature(0.1)},
		{"the call's, with options of its own", func(backend.Backend) []requirement.JudgeOption {
			return []requirement.JudgeOption{requirement.JudgeOptions(backend.Options{}.WithTemperature(0).WithModel("judge"))}
		}, false, backend.Options{}.WithModel("judge").WithSeed(7).WithContextWindow(4096).WithTemperature(0)},
		{"its own", func(other backend.Backend) []requirement.JudgeOption {
			return []requirement.JudgeOption{requirement.JudgeWith(other), requirement.JudgeOptions(backend.Options{}.WithTemperature(0))}
		}, true, backend.Options{}.WithTemperature(0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			own, other := melleatest.NewBackend(melleatest.Say("x"), melleatest.Say("Yes")), melleatest.NewBackend(melleatest.Say("Yes"))
			s, _ := scope(t, own)
			s.Options, s.System = base, "Be brief."
			res, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), History: history.Chat(content.User("before")), Options: call,
				Requirements: content.ListOf(requirement.Judge("be good", tc.judge(other)...))})
			if err != nil || !res.Success {
				t.Fatalf("success %v, error %v", res.Success, err)
			}
			asked, n := own, 1
			if tc.other {
				asked, n = other, 0
			}
			req := asked.Requests()[n]
			if got, want := settings(req.Options), settings(tc.want); !cmp.Equal(got, want) {
				t.Errorf("options %v, want %v", got, want)
			}
			if got := asked.Prompt(n); len(got) != 1 || !strings.Contains(got[0], "be good") {
				t.Errorf("prompt %q, want only the question", got)
			}
		})
	}
}

// settings returns what options say, for comparison.
func settings(o backend.Options) map[string]any {
	m := map[string]any{"model": o.Model()}
	if v, ok := o.Temperature(); ok {
		m["temperature"] = v
	}
	if v, ok := o.Seed(); ok {
		m["seed"] = v
	}
	if v, ok := o.MaxTokens(); ok {
		m["max tokens"] = v
	}
	if v, ok := o.ContextWindow(); ok {
		m["window"] = v
	}
	return m
}

// A backend is asked what it is once for each scope, and again after it could not say.
func TestInfoIsRemembered(t *testing.T) {
	t.Parallel()
	b := &informed{Backend: melleatest.NewBackend(melleatest.Say("x")), err: errDown}
	s, rec := scope(t, b)
	call := engine.Call{Component: component.Text("Say.")}
	if _, err := s.Act(t.Context(), call); !errors.Is(err, errDown) {
		t.Errorf("error %v, want the backend's", err)
	}
	if got := events(rec); got != "+component\n-component(error)\n" {
		t.Errorf("events of a backend that cannot say what it is:\n%s", got)
	}
	b.err = nil
	for range 3 {
		if _, err := s.Act(t.Context(), call); err != nil {
			t.Error(err)
		}
	}
	if b.asked != 2 {
		t.Errorf("asked %d times, want twice", b.asked)
	}
	if got := len(b.Requests()); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

type informed struct {
	*melleatest.Backend

	err   error
	asked int
}

func (i *informed) Info(ctx context.Context) (backend.Info, error) {
	i.asked++
	if i.err != nil {
		return backend.Info{}, i.err
	}
	return i.Backend.Info(ctx)
}

// A question may use a running output.
func TestQuestionWithARunningOutput(t *testing.T) {
	t.Parallel()
	step := make(chan struct{})
	s, _ := scope(t, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"Ada"}, Step: step}, melleatest.Say("yes")))
	out, err := s.Start(t.Context(), engine.Call{Component: instruction("Name somebody.")})
	if err != nil {
		t.Fatal(err)
	}
	asks := requirement.New("asks", func(ctx context.Context, env requirement.Env) (requirement.Verdict, error) {
		go close(step)
		_, err := env.Ask(ctx, requirement.Question{Component: component.NewInstruction("Is it {{x}}?").WithVars(map[string]any{"x": out})})
		return requirement.Pass(), err
	})
	if _, err := s.Validate(t.Context(), content.ListOf(asks), content.Assistant("x"), history.Simple(), backend.Options{}); err != nil {
		t.Error(err)
	}
}
