package mellea_test

import (
	"context"
	"errors"
	"strings"
	"testing"
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
