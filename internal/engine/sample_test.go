package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

var errDown = errors.New("down")

// What a sampling loop makes of replies. The requirements are: at most two words, and the word "good"; "?" is a reply
// that cannot be parsed and "!" one that fails.
func TestSamplingLoop(t *testing.T) {
	t.Parallel()
	reqs := content.ListOf(requirement.MaxWords(2), requirement.Contains("good"))
	for _, tc := range []struct {
		name     string
		strategy sampling.Strategy
		replies  string // separated by commas, the last again and again
		// attempts has a letter for each: p passed, f failed, u unparsed, e broke off.
		attempts string
		text     string // of the result
		success  bool
		err      error
	}{
		{"passes at once", sampling.Repair(3), "good", "p", "good", true, nil},
		{"none makes one attempt", sampling.None(), "bad,good", "f", "bad", false, nil},
		{"passes at the last moment", sampling.Repair(3), "bad,bad,good", "ffp", "good", true, nil},
		{"stops at the first that passes", sampling.Reject(5), "bad,good,bad", "fp", "good", true, nil},
		{"the best of all, the later among equals", sampling.Repair(3), "one two three,one two,bad", "fff", "bad", false, nil},
		{"the best need not be the last", sampling.Repair(3), "good but long,good good,one two three bad", "fp", "good good", true, nil},
		{"most requirements met", sampling.Repair(2), "bad,one two three", "ff", "bad", false, nil},
		{"an unparsed reply is tried again", sampling.Repair(3), "?,good", "up", "good", true, nil},
		{"an unparsed reply is the worst", sampling.Repair(2), "one two three,?", "fu", "one two three", false, nil},
		{"nothing can be parsed", sampling.Reject(2), "?", "uu", "?", false, nil},
		{"a failure ends the loop", sampling.Repair(3), "bad,!,good", "fe", "bad", false, errDown},
		{"a failure at once", sampling.MultiTurn(3), "!", "e", "", false, errDown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			replies := strings.Split(tc.replies, ",")
			b := melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply {
				text := replies[min(n, len(replies)-1)]
				if text == "!" {
					return melleatest.Fail(errDown)
				}
				return melleatest.Reply{Pieces: []string{text}, Usage: content.Usage{OutputTokens: 1}}
			})
			s, _ := scope(t, b)
			res, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), Requirements: reqs, Strategy: tc.strategy,
				Parse: func(m content.Message) (any, error) {
					if m.Text() == "?" {
						return nil, errors.New("no value")
					}
					return m.Text(), nil
				}})
			if !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			var attempts strings.Builder
			for i, a := range res.Attempts.All() {
				switch {
				case a.Err != nil:
					attempts.WriteByte('e')
				case a.ParseErr != nil:
					attempts.WriteByte('u')
				case a.Passed():
					attempts.WriteByte('p')
				default:
					attempts.WriteByte('f')
				}
				if a.Number != i+1 {
					t.Errorf("attempt %d has number %d", i+1, a.Number)
				}
			}
			if got := attempts.String(); got != tc.attempts {
				t.Errorf("attempts %s, want %s", got, tc.attempts)
			}
			if got := res.Reply.Message.Text(); got != tc.text || res.Success != tc.success {
				t.Errorf("result %q, success %v; want %q, %v", got, res.Success, tc.text, tc.success)
			}
			if got := len(b.Requests()); got != len(tc.attempts) || res.Generations != got {
				t.Errorf("%d requests, %d generations told of, want %d", got, res.Generations, len(tc.attempts))
			}
			if got, want := res.Usage.OutputTokens, len(tc.attempts)-strings.Count(tc.attempts, "e"); tc.err == nil && got != want {
				t.Errorf("%d tokens, want %d: those of all attempts", got, want)
			}
		})
	}
}

// Generations never exceed the budget, as the guards left it, and never more than Parallel are in flight.
func TestBudget(t *testing.T) {
	t.Parallel()
	budget := func(n int) hook.Binding {
		return hookpoint.Sampling.Guard(func(_ context.Context, p hookpoint.SamplingStart) (hookpoint.SamplingStart, error) {
			p.Budget = n
			return p, nil
		})
	}
	for _, tc := range []struct {
		name     string
		strategy sampling.Strategy
		hooks    []hook.Source
		requests int
		inFlight int
	}{
		{"one after the other", sampling.Reject(4), nil, 4, 1},
		{"in parallel", sampling.Reject(7, sampling.Parallel(3)), nil, 7, 3},
		{"more in parallel than there is budget", sampling.Reject(2, sampling.Parallel(9)), nil, 2, 2},
		{"a guard lowers it", sampling.Reject(7, sampling.Parallel(3)), []hook.Source{budget(2)}, 2, 2},
		{"a guard lowers it to one", sampling.Reject(7, sampling.Parallel(3)), []hook.Source{budget(1)}, 1, 1},
		{"a guard raises it", sampling.Repair(2), []hook.Source{budget(5)}, 5, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var now, most atomic.Int32
				b := melleatest.NewBackend(melleatest.Say("bad"))
				s, _ := scope(t, counted{b, &now, &most}, tc.hooks...)
				res, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), Strategy: tc.strategy,
					Requirements: content.ListOf(requirement.Contains("good"))})
				if err != nil || res.Success {
					t.Errorf("success %v, error %v, want neither", res.Success, err)
				}
				if got := len(b.Requests()); got != tc.requests || res.Attempts.Len() != got {
					t.Errorf("%d requests, %d attempts, want %d", got, res.Attempts.Len(), tc.requests)
				}
				if got := int(most.Load()); got != tc.inFlight {
					t.Errorf("%d in flight at once, want %d", got, tc.inFlight)
				}
			})
		})
	}
}

// counted counts the generations in flight, each of which takes a second.
type counted struct {
	*melleatest.Backend

	now, most *atomic.Int32
}

func (c counted) Generate(ctx context.Context, r backend.Request) (*backend.Output, error) {
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	time.Sleep(time.Second)
	c.now.Add(-1)
	return c.Backend.Generate(ctx, r)
}

// Of parallel attempts the errors of those that lost are hidden, and those of a loop that nobody won are not.
func TestErrorsOfParallelAttempts(t *testing.T) {
	t.Parallel()
	deny := hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		if p.Iteration == 2 {
			return p, hook.Reject("no", "")
		}
		return p, nil
	})
	for _, tc := range []struct {
		name     string
		replies  string // after as many seconds as it has letters; "!" fails, "~" never ends
		hooks    []hook.Source
		text     string
		attempts int
		requests int // -1: as many as began before the rejection
		is       []error
		rejected bool
	}{
		{"one of three fails", "!,bad,good", nil, "good", 3, 3, nil, false},
		{"the winner gives up the others", "good,~,~", nil, "good", 1, 3, nil, false},
		{"the winner gives up the slower", "good,bad wait", nil, "good", 1, 3, nil, false},
		{"none passes and one fails", "!,bad,bad", nil, "bad", 3, 3, []error{errDown}, false},
		{"a rejection decides", "~,~,~", []hook.Source{deny}, "", 1, -1, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				replies := strings.Split(tc.replies, ",")
				b := melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply {
					text := replies[min(n, len(replies)-1)]
					switch text {
					case "~":
						return melleatest.Reply{Block: true}
					case "!":
						return melleatest.Fail(errDown)
					}
					step := make(chan struct{}, 2)
					time.AfterFunc(time.Duration(len(text))*time.Second, func() { close(step) })
					return melleatest.Reply{Pieces: []string{text}, Step: step}
				})
				s, rec := scope(t, b, tc.hooks...)
				res, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), Strategy: sampling.Reject(3, sampling.Parallel(3)),
					Requirements: content.ListOf(requirement.Contains("good"))})
				for _, want := range tc.is {
					if !errors.Is(err, want) {
						t.Errorf("error %v is not %v", err, want)
					}
				}
				if got := errors.As(err, new(*hook.Rejection)); got != tc.rejected || (err != nil) != (tc.rejected || tc.is != nil) {
					t.Errorf("error %v", err)
				}
				if errors.Is(err, backend.ErrAbandoned) {
					t.Errorf("error %v tells of attempts that were given up", err)
				}
				if got := res.Reply.Message.Text(); got != tc.text || res.Attempts.Len() != tc.attempts {
					t.Errorf("result %q of %d attempts, want %q of %d", got, res.Attempts.Len(), tc.text, tc.attempts)
				}
				if got := len(b.Requests()); got != tc.requests && tc.requests >= 0 {
					t.Errorf("%d requests, want %d", got, tc.requests)
				}
				if got := rec.Operations()[0].Ending == hook.Rejected; got != tc.rejected {
					t.Errorf("the component ended %v", rec.Operations()[0].Ending)
				}
			})
		})
	}
}

// The turn for the history is the question as it was first put and the answer that was chosen, whatever was tried.
func TestTurn(t *testing.T) {
	t.Parallel()
	for name, strategy := range map[string]sampling.Strategy{
		"repair": sampling.Repair(3), "multi-turn": sampling.MultiTurn(3), "reject": sampling.Reject(3), "parallel": sampling.Reject(3, sampling.Parallel(2)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := scope(t, melleatest.NewBackend(melleatest.Say("bad"), melleatest.Say("bad"), melleatest.Say("good")))
			s.System = "Be brief."
			var got []string
			_, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), Strategy: strategy,
				Requirements: content.ListOf(requirement.Contains("good").Show(false)),
				Append: func(turn []content.Message) {
					for _, m := range turn {
						got = append(got, string(m.Role())+": "+m.Text())
					}
				}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"user: Say.", "assistant: good"}, got); diff != "" {
				t.Errorf("turn (-want +got):\n%s", diff)
			}
		})
	}
}

// Every attempt's chunks go to the sink, in order, under the attempt's number.
func TestSink(t *testing.T) {
	t.Parallel()
	s, _ := scope(t, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"b", "ad"}}, melleatest.Reply{Pieces: []string{"go", "od"}}))
	var got []string
	sink := func(n int, c backend.Chunk) { got = append(got, string(rune('0'+n))+c.Text) }
	if _, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), Requirements: content.ListOf(requirement.Contains("good")), Sink: sink}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(t.Context(), engine.Call{Component: component.Text("Say."), Sink: sink}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1b", "1ad", "2go", "2od", "1go", "1od"}, got); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
}
