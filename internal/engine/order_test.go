package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// The order in which a call fires the hook points, by its form.
func TestOrderOfHookPoints(t *testing.T) {
	t.Parallel()
	short := content.ListOf(requirement.MaxWords(1))
	deny := hook.Reject("no", "")
	type call struct {
		name    string
		replies []melleatest.Reply
		hooks   []hook.Source
		call    engine.Call
		want    string
	}
	for _, tc := range []call{
		{
			name:    "plain",
			replies: []melleatest.Reply{melleatest.Say("x")},
			want: `
+component
  +format
  -format
  +generation
  -generation
-component
`,
		},
		{
			name:    "parsed",
			replies: []melleatest.Reply{melleatest.Say("x")},
			call:    engine.Call{Parse: func(m content.Message) (any, error) { return len(m.Text()), nil }},
			want: `
+component
  +format
  -format
  +generation
  -generation
  +format
  -format
-component
`,
		},
		{
			name:    "not parsed",
			replies: []melleatest.Reply{melleatest.Say("x")},
			call:    engine.Call{Parse: func(content.Message) (any, error) { return nil, errors.New("no value") }},
			want: `
+component
  +format
  -format
  +generation
  -generation
  +format
  -format(error)
-component(error)
`,
		},
		{
			name:    "sampled, nothing required",
			replies: []melleatest.Reply{melleatest.Say("x")},
			call:    engine.Call{Strategy: sampling.None()},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation
    +validation
    -validation
    sampling_iteration
    sampling_select
  -sampling
-component
`,
		},
		{
			name:    "repaired",
			replies: []melleatest.Reply{melleatest.Say("x y"), melleatest.Say("x")},
			call:    engine.Call{Requirements: short},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation
    +validation
      +requirement
      -requirement
    -validation
    sampling_iteration
    sampling_repair
    +format
    -format
    +generation
    -generation
    +validation
      +requirement
      -requirement
    -validation
    sampling_iteration
    sampling_select
  -sampling
-component
`,
		},
		{
			name:    "rejected by sampling: no repair is announced",
			replies: []melleatest.Reply{melleatest.Say("x y")},
			call:    engine.Call{Requirements: short, Strategy: sampling.Reject(2)},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation
    +validation
      +requirement
      -requirement
    -validation
    sampling_iteration
    +format
    -format
    +generation
    -generation
    +validation
      +requirement
      -requirement
    -validation
    sampling_iteration
    sampling_select
  -sampling
-component
`,
		},
		{
			name:    "judged",
			replies: []melleatest.Reply{melleatest.Say("x"), melleatest.Say("Yes")},
			call:    engine.Call{Requirements: content.ListOf(requirement.Judge("be good"))},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation
    +validation
      +requirement
        +format
        -format
        +generation
        -generation
      -requirement
    -validation
    sampling_iteration
    sampling_select
  -sampling
-component
`,
		},
		{
			name:    "a reply that cannot be parsed is not validated",
			replies: []melleatest.Reply{melleatest.Say("x")},
			call: engine.Call{Requirements: short, Strategy: sampling.Repair(1),
				Parse: func(content.Message) (any, error) { return nil, errors.New("no value") }},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation
    +format
    -format(error)
    sampling_iteration
    sampling_select
  -sampling
-component
`,
		},
		{
			name:    "the generation fails",
			replies: []melleatest.Reply{melleatest.Fail(errors.New("down"))},
			call:    engine.Call{Requirements: short},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation(error)
  -sampling(error)
-component(error)
`,
		},
		{
			name:    "a guard denies the generation",
			replies: []melleatest.Reply{melleatest.Say("x")},
			hooks: []hook.Source{hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
				return p, deny
			})},
			call: engine.Call{Requirements: short},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation(rejected)
  -sampling(rejected)
-component(rejected)
`,
		},
		{
			name:    "a check denies the component",
			replies: []melleatest.Reply{melleatest.Say("x")},
			hooks:   []hook.Source{hookpoint.Component.Check(func(context.Context, hookpoint.ComponentStart) error { return deny })},
			want: `
+component
-component(rejected)
`,
		},
		{
			name:    "every requirement is checked although one cannot be",
			replies: []melleatest.Reply{melleatest.Say("x")},
			call:    engine.Call{Requirements: content.ListOf(requirement.Requirement{}, requirement.MaxWords(1))},
			want: `
+component
  +sampling
    +format
    -format
    +generation
    -generation
    +validation
      +requirement
      -requirement(error)
      +requirement
      -requirement
    -validation(error)
  -sampling(error)
-component(error)
`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, rec := scope(t, melleatest.NewBackend(tc.replies...), tc.hooks...)
			tc.call.Component = instruction("Say.")
			_, _ = s.Act(t.Context(), tc.call)
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), events(rec)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// The Component operation of a lazy call ends with its generation, in its producer.
func TestOrderOfALazyCall(t *testing.T) {
	t.Parallel()
	step := make(chan struct{})
	s, rec := scope(t, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"x"}, Step: step}))
	out, err := s.Start(t.Context(), engine.Call{Component: instruction("Say."),
		Parse:  func(m content.Message) (any, error) { return m.Text(), nil },
		Append: func([]content.Message) { rec.Note("append") }})
	if err != nil {
		t.Fatal(err)
	}
	rec.Note("started")
	close(step)
	if err := out.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec.Note("done")
	want := `+component
  +format
  -format
  +generation
    started
  -generation
  +format
  -format
-component
append
done
`
	if diff := cmp.Diff(want, events(rec)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Two calls that were started before either was awaited are beside each other.
func TestLazyCallsAreSiblings(t *testing.T) {
	t.Parallel()
	s, rec := scope(t, melleatest.NewBackend(melleatest.Say("x")))
	for range 2 {
		out, err := s.Start(t.Context(), engine.Call{Component: instruction("Say.")})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = out.Wait(t.Context()) }()
	}
	if diff := cmp.Diff("component\n  generation\ncomponent\n  generation\n", rec.Tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// Parallel attempts are below one Sampling operation, which ends last.
func TestOrderOfParallelAttempts(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply {
		if n == 1 {
			return melleatest.Say("good")
		}
		return melleatest.Reply{Block: true}
	})
	s, rec := scope(t, b)
	res, err := s.Act(t.Context(), engine.Call{Component: instruction("Say."), Strategy: sampling.Reject(4, sampling.Parallel(2)),
		Requirements: content.ListOf(requirement.Contains("good"))})
	if err != nil || !res.Success || res.Reply.Message.Text() != "good" {
		t.Fatalf("reply %q, success %v, error %v", res.Reply.Message.Text(), res.Success, err)
	}
	got := strings.Split(strings.TrimSpace(events(rec)), "\n")
	if diff := cmp.Diff([]string{"+component", "  +sampling"}, got[:2]); diff != "" {
		t.Errorf("begins with (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"    sampling_select", "  -sampling", "-component"}, got[len(got)-3:]); diff != "" {
		t.Errorf("ends with (-want +got):\n%s", diff)
	}
	count := map[string]int{}
	for _, o := range rec.Operations() {
		count[o.Point+" "+o.Ending.String()]++
	}
	want := map[string]int{"component ok": 1, "sampling ok": 1, "format ok": 2, "generation ok": 1, "generation abandoned": 1,
		"validation ok": 1, "requirement ok": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}
