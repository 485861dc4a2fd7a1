package melleatest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
)

// A scripted backend says what it was told to, in order, and repeats the last.
func TestBackendFollowsItsScript(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	b := melleatest.NewBackend(
		melleatest.Reply{Pieces: []string{"a", "b"}, Usage: content.Usage{OutputTokens: 2}, ResponseID: "r-1", ResponseModel: "m-1"},
		melleatest.Reply{Calls: []content.ToolCall{{ID: "1", Name: "f", Arguments: "{}"}}, FinishReason: "tool_calls"},
		melleatest.Reply{Pieces: []string{"half"}, Err: down},
		melleatest.Reply{Refuse: down},
		melleatest.Say("last"),
	)
	var got []string
	for range 6 {
		out, err := b.Generate(t.Context(), backend.Request{})
		if err != nil {
			got = append(got, "refused: "+err.Error())
			continue
		}
		r, err := out.Reply(t.Context())
		line := fmt.Sprintf("%q %s %d %v", r.Message.Text(), r.Generation.ResponseID, r.Generation.Usage.OutputTokens, r.Generation.FinishReasons.Slice())
		for c := range out.ToolCalls() {
			line += " calls " + c.Name
		}
		got = append(got, strings.TrimSpace(fmt.Sprint(line, " ", err)))
	}
	want := []string{
		`"ab" r-1 2 [stop] <nil>`,
		`""  0 [tool_calls] calls f <nil>`,
		`"half"  0 [] down`,
		`refused: down`,
		`"last"  0 [stop] <nil>`,
		`"last"  0 [stop] <nil>`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
	if got := len(b.Requests()); got != 6 {
		t.Errorf("%d requests, want 6", got)
	}
	if got := b.Prompt(99); got != nil {
		t.Errorf("prompt %v of a request that was not made", got)
	}
}

// A reply that waits, for a step or for ever, ends with its context.
func TestRepliesThatWait(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]melleatest.Reply{
		"block": {Pieces: []string{"a"}, Block: true},
		"step":  {Pieces: []string{"a"}, Step: make(chan struct{})},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		out, err := melleatest.NewBackend(reply).Generate(ctx, backend.Request{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := out.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", name, err)
		}
	}
}

// A request outside an open Generation operation is counted.
func TestOutside(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("x"))
	astray := hookpoint.Component.Guard(func(ctx context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
		out, err := b.Generate(ctx, backend.Request{})
		if err != nil {
			return p, err
		}
		return p, out.Wait(ctx)
	})
	on := mellea.On(b, mellea.WithHooks(melleatest.NewRecorder(t), astray))
	if _, err := mellea.Chat(t.Context(), on, "Say."); err != nil {
		t.Fatal(err)
	}
	if got := b.Outside(); got != 1 || len(b.Requests()) != 2 {
		t.Errorf("%d of %d requests outside, want 1 of 2", got, len(b.Requests()))
	}
}

// Two recorders of one call each see the tree of their own.
func TestTwoRecorders(t *testing.T) {
	t.Parallel()
	outer, inner := melleatest.NewRecorder(t), melleatest.NewRecorder(t)
	s, err := mellea.Start(t.Context(), melleatest.NewBackend(melleatest.Say("x")), mellea.WithHooks(outer))
	if err != nil {
		t.Fatal(err)
	}
	view := s.With(mellea.WithHooks(inner))
	if _, err := view.Chat(t.Context(), "Say."); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, got, want string }{
		{"the session's", outer.Tree(), "session_start\nsession\ncomponent\n  generation\n"},
		{"the block's", inner.Tree(), "component\n  generation\n"},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s tree (-want +got):\n%s", tc.name, diff)
		}
	}
}

// failing stands for a test that fails.
type failing struct {
	testing.TB

	cleanup []func()
	errors  []string
}

func (f *failing) Cleanup(fn func()) { f.cleanup = append(f.cleanup, fn) }
func (f *failing) Errorf(format string, a ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, a...))
}

// An operation that is open when the test ends fails it.
func TestRecorderFailsForAnOpenOperation(t *testing.T) {
	t.Parallel()
	f := &failing{TB: t}
	rec := melleatest.NewRecorder(f)
	set := (*hook.Set)(nil).With(rec)
	_, op, err := hookpoint.Session.Begin(t.Context(), set, hookpoint.SessionOpen{})
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range f.cleanup {
		fn()
	}
	if diff := cmp.Diff([]string{"operation 1 of session ended 0 times, want once"}, f.errors); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if _, err := op.End(hookpoint.SessionEnd{}, nil); err != nil {
		t.Error(err)
	}
}
