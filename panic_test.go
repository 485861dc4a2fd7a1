package mellea_test

import (
	"context"
	"errors"
	"io"
	"runtime"
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
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// explosive is a component that panics, or exits its goroutine, where it is told to.
type explosive struct {
	component.PlainText

	prompt, parse func()
}

func (e explosive) Prompt() (component.Prompt, error) {
	if e.prompt != nil {
		e.prompt()
	}
	return e.PlainText.Prompt()
}

func (e explosive) Parse(m content.Message) (string, error) {
	if e.parse != nil {
		e.parse()
	}
	return m.Text(), nil
}

// strategist is a strategy whose methods a test replaces.
type strategist struct {
	plan sampling.Plan
	next func(sampling.State) (sampling.Step, error)
	pick func(sampling.Attempts) int
}

func (s strategist) Plan() sampling.Plan { return s.plan }

func (s strategist) Next(st sampling.State) (sampling.Step, error) {
	if s.next == nil {
		return sampling.Step{}, nil
	}
	return s.next(st)
}

func (s strategist) Select(as sampling.Attempts) int {
	if s.pick == nil {
		return as.Len() - 1
	}
	return s.pick(as)
}

func boom() { panic("boom: SECRET") }

// A panic of the program's own code reaches the goroutine that made the call, with every operation ended (the recorder
// sees to it) and nothing left running (TestMain does).
func TestPanicReachesTheCaller(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	text := component.Text("Say.")
	two := sampling.Plan{Name: "two", Budget: 2}
	for _, tc := range []struct {
		name string
		call func(*mellea.Session)
	}{
		{"prompt", func(s *mellea.Session) {
			_, _ = mellea.Act[string](ctx, s, explosive{PlainText: text, prompt: boom})
		}},
		{"parse", func(s *mellea.Session) {
			_, _ = mellea.Act[string](ctx, s, explosive{PlainText: text, parse: boom})
		}},
		{"parse, in parallel", func(s *mellea.Session) {
			_, _ = mellea.Act[string](ctx, s, explosive{PlainText: text, parse: boom}, mellea.Strategy(sampling.Reject(4, sampling.Parallel(3))))
		}},
		{"the sink", func(s *mellea.Session) {
			_, _ = s.Chat(ctx, "Say.", mellea.Stream(func(int, backend.Chunk) { boom() }))
		}},
		{"the sink, in parallel", func(s *mellea.Session) {
			_, _ = s.Chat(ctx, "Say.", mellea.Stream(func(int, backend.Chunk) { boom() }), mellea.Strategy(sampling.Reject(4, sampling.Parallel(3))))
		}},
		{"the strategy's next", func(s *mellea.Session) {
			_, _ = s.Chat(ctx, "Say.", mellea.Strategy(strategist{plan: two, next: func(sampling.State) (sampling.Step, error) { panic("boom: SECRET") }}))
		}},
		{"the strategy's select", func(s *mellea.Session) {
			_, _ = s.Instruct(ctx, "Say.", mellea.Check(requirement.MaxWords(0)), mellea.Strategy(strategist{plan: two, pick: func(sampling.Attempts) int { panic("boom: SECRET") }}))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, rec := start(t, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"a b", " c"}}))
			got := func() (p any) {
				defer func() { p = recover() }()
				tc.call(s)
				return nil
			}()
			if want := any("boom: SECRET"); got != want {
				t.Errorf("recovered %v, want %v", got, want)
			}
			if diff := cmp.Diff([]string{"error"}, endings(rec, "component")); diff != "" {
				t.Errorf("component ended (-want +got):\n%s", diff)
			}
			for _, o := range rec.Operations() {
				if o.Point != "session" && o.Ends != 1 {
					t.Errorf("%s has ended %d times when the panic arrived, want once", o.Point, o.Ends)
				}
			}
		})
	}
}

// The output of a call whose sink panicked has ended before the panic goes on, however long the backend takes to notice.
func TestPanicOfTheSinkWaitsForTheOutput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, rec := start(t, slow{time.Minute})
		func() {
			defer func() { _ = recover() }()
			_, _ = s.Chat(t.Context(), "Say.", mellea.Stream(func(int, backend.Chunk) { boom() }))
		}()
		if diff := cmp.Diff([]string{"cancelled"}, endings(rec, "generation")); diff != "" {
			t.Errorf("generation ended (-want +got):\n%s", diff)
		}
		events := rec.Events()
		if got, want := strings.Join(events[len(events)-2:], " "), "-generation(cancelled) -component(error)"; got != want {
			t.Errorf("last events %s, want %s", got, want)
		}
	})
}

// slow says one piece and takes its time to notice that it is given up. It is not comparable, as backends may be.
type slow []time.Duration

func (slow) Info(context.Context) (backend.Info, error) { return backend.Info{Provider: "slow"}, nil }

func (s slow) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	return backend.Start(ctx, req, backend.Generation{Provider: "slow"}, func(ctx context.Context, w *backend.Writer) error {
		w.Text(time.Now(), []byte("a"))
		<-ctx.Done()
		time.Sleep(s[0])
		return ctx.Err()
	}), nil
}

func (slow) GenerateBatch(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
	return backend.BatchReply{}, backend.NoBatch("slow")
}

// A panic, or an exit, where the program is not waiting is the error of the output.
func TestPanicOfALazyCallIsItsError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		reply melleatest.Reply
		opts  []mellea.StartOption
	}{
		{"the backend", melleatest.Reply{Pieces: []string{"a"}, Panic: "boom: SECRET"}, nil},
		{"the history", melleatest.Say("a"), []mellea.StartOption{mellea.WithHistory(fragile{boom})}},
		{"the history exits", melleatest.Say("a"), []mellea.StartOption{mellea.WithHistory(fragile{runtime.Goexit})}},
		{"a review exits", melleatest.Say("a"), []mellea.StartOption{mellea.WithHooks(reviewReply(func(hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			runtime.Goexit()
			return hookpoint.GenerationEnd{}, nil
		}))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t, melleatest.NewBackend(tc.reply), tc.opts...)
			out, err := s.StartInstruct(t.Context(), "Say.")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = out.Wait(ctx)
			if err == nil || ctx.Err() != nil {
				t.Fatalf("error %v, want the panic", err)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error quotes the panic: %v", err)
			}
		})
	}
}

// fragile is a history that breaks when it is appended to.
type fragile struct{ breaks func() }

func (fragile) Kind() string             { return "fragile" }
func (fragile) View() content.Messages   { return content.Messages{} }
func (f fragile) Fresh() history.History { return f }
func (fragile) Len() int                 { return 0 }

func (f fragile) Append(...content.Message) history.History {
	f.breaks()
	return f
}

// misbehaving is a backend whose Generate a test replaces.
type misbehaving func(context.Context, backend.Request) (*backend.Output, error)

func (misbehaving) Info(context.Context) (backend.Info, error) {
	return backend.Info{Provider: "bad"}, nil
}

func (f misbehaving) Generate(ctx context.Context, r backend.Request) (*backend.Output, error) {
	return f(ctx, r)
}

func (misbehaving) GenerateBatch(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
	return backend.BatchReply{}, backend.NoBatch("bad")
}

// Whatever a backend does, its operations end, and what is wrong with it is said.
func TestMisbehavingBackends(t *testing.T) {
	t.Parallel()
	say := func(_ context.Context, w *backend.Writer) error {
		w.Text(time.Now(), []byte("unreviewed"))
		return nil
	}
	for _, tc := range []struct {
		name     string
		generate misbehaving
		code     string
	}{
		{"it returns nothing", func(context.Context, backend.Request) (*backend.Output, error) {
			return nil, nil //nolint:nilnil // that is the point
		}, backend.CodeInvalidResponse},
		{"it returns the output of another request", func(ctx context.Context, r backend.Request) (*backend.Output, error) {
			return backend.Start(ctx, r.Detached(), backend.Generation{}, say), nil
		}, backend.CodeInvalidResponse},
		{"it panics", func(context.Context, backend.Request) (*backend.Output, error) { panic(io.ErrUnexpectedEOF) }, backend.CodePanic},
		{"it panics after it started", func(ctx context.Context, r backend.Request) (*backend.Output, error) {
			backend.Start(ctx, r, backend.Generation{}, say)
			panic(io.ErrUnexpectedEOF)
		}, backend.CodePanic},
		{"its producer exits", func(ctx context.Context, r backend.Request) (*backend.Output, error) {
			return backend.Start(ctx, r, backend.Generation{Provider: "bad"}, func(context.Context, *backend.Writer) error {
				runtime.Goexit()
				return nil
			}), nil
		}, backend.CodePanic},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, rec := start(t, tc.generate, mellea.WithHistory(history.Chat()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := s.Chat(ctx, "Say.")
			var fault *backend.Error
			if !errors.As(err, &fault) || fault.Code != tc.code || fault.Provider != "bad" {
				t.Errorf("error %v, want one of code %s that names the provider", err, tc.code)
			}
			out, err := s.StartInstruct(ctx, "Say.")
			if err == nil {
				err = out.Wait(ctx)
			}
			if !errors.As(err, &fault) || fault.Code != tc.code {
				t.Errorf("lazy: error %v, want code %s", err, tc.code)
			}
			if tc.name == "it panics after it started" {
				return // it may have said all by then; that each operation ended once is all that can be said
			}
			if diff := cmp.Diff([]string{"error", "error"}, endings(rec, "component")); diff != "" {
				t.Errorf("components ended (-want +got):\n%s", diff)
			}
			if got := s.History().Len(); got != 0 {
				t.Errorf("%d messages in the history, want none", got)
			}
			if tc.name == "it panics" && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v does not wrap what was panicked with", err)
			}
		})
	}
}
