package hook_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

func TestNilSet(t *testing.T) {
	t.Parallel()
	var s *hook.Set
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("got error %v from Close, want nil", err)
	}
	if got := s.Bindings(); len(got) != 0 {
		t.Errorf("got bindings %v, want none", got)
	}
	if got := s.Stats(); got != (hook.Stats{}) {
		t.Errorf("got %+v, want zero", got)
	}
	if got := s.With(); got != nil {
		t.Errorf("got %v from With of nothing, want nil", got)
	}
	if got, err := generateOn(t, s.With(nil, hook.Plugin{Sources: []hook.Source{nil}}, hook.Binding{}), answer); got.Text != "re: hi" || err != nil {
		t.Errorf("got %v, %v with nil sources", got, err)
	}
}

func TestASetIsImmutable(t *testing.T) {
	t.Parallel()
	var j journal
	base := install(j.bracket("base"))
	one, two := base.With(j.bracket("one")), base.With(j.bracket("two"))
	for _, tt := range []struct {
		set  *hook.Set
		want []string
	}{
		{base, []string{"+base", "-base ok"}},
		{one, []string{"+base", "+one", "-one ok", "-base ok"}},
		{two, []string{"+base", "+two", "-two ok", "-base ok"}},
	} {
		j.lines = nil
		if _, err := generateOn(t, tt.set, answer); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, j.all()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	}
}

func TestSiblingsShareNoStorage(t *testing.T) {
	t.Parallel()
	plugins := func(s *hook.Set) (names string) {
		for _, b := range s.Bindings() {
			names += b.Plugin()
		}
		return names
	}
	var j journal
	named := func(name string, priority int) hook.Binding {
		return j.bracket(name, hook.Name(name), hook.Priority(priority))
	}
	base := install(named("b", 0), named("c", 0), named("d", 0), named("e", 0), named("f", 0)) // with room to spare
	one, two := base.With(named("a", -1)), base.With(named("z", -1))
	got := []string{plugins(base), plugins(one), plugins(two)}
	if diff := cmp.Diff([]string{"bcdef", "abcdef", "zbcdef"}, got); diff != "" {
		t.Errorf("bindings (-want +got):\n%s", diff)
	}
}

// One plugin in two sessions fires once in each, and what one session adds never fires for the other.
func TestTwoSessionsShareAPlugin(t *testing.T) {
	t.Parallel()
	var j journal
	shared := hook.Plugin{Name: "shared", Sources: []hook.Source{j.bracket("shared")}}
	a := install(shared).WithScope(hook.ScopeSession, j.bracket("a"))
	b := install(shared).WithScope(hook.ScopeSession, j.bracket("b"))
	if _, err := generateOn(t, a, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := generateOn(t, b, answer); err != nil {
		t.Fatal(err)
	}
	want := []string{"+shared", "+a", "-a ok", "-shared ok", "+shared", "+b", "-b ok", "-shared ok"}
	if diff := cmp.Diff(want, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	var j journal
	b := j.bracket("b")
	scopes := func(s *hook.Set) (all []string) {
		for _, b := range s.Bindings() {
			all = append(all, b.Scope().String())
		}
		return all
	}
	session := install(b).WithScope(hook.ScopeSession, b)
	tests := []struct {
		name string
		set  *hook.Set
		want []string
	}{
		{"With of nil is for the program", install(b), []string{"program"}},
		{"With inherits", session.With(b), []string{"program", "session", "session"}},
		{"a block", session.WithScope(hook.ScopeBlock, b), []string{"program", "session", "block"}},
		{"an empty session is a session", (*hook.Set)(nil).WithScope(hook.ScopeSession).With(b), []string{"session"}},
		{"installing again stamps anew", (*hook.Set)(nil).WithScope(hook.ScopeBlock, session.Bindings()[1]), []string{"block"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, scopes(tt.set)); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
		})
	}
}

func audit(context.Context, outcome) {}

func TestBindingsListsWhatIsInstalledInFiringOrder(t *testing.T) {
	t.Parallel()
	first, second := hook.NewPoint[int, int]("first"), hook.NewSignal[int]("second")
	s := install(
		second.On(func(context.Context, int) {}, hook.Name("chunks")),
		generate.Async(audit),
		first.Guard(func(_ context.Context, n int) (int, error) { return n, nil }, hook.Name("late"), hook.Priority(5)),
		hook.Plugin{Name: "policy", Sources: []hook.Source{
			first.Guard(func(_ context.Context, n int) (int, error) { return n, nil }),
			first.Observe(func(context.Context, int) {}, hook.Name("own")),
			hook.Plugin{Name: "inner", Sources: []hook.Source{first.Check(func(context.Context, int) error { return nil })}},
		}},
	).WithScope(hook.ScopeSession, first.Bracket(func(context.Context, int) (context.Context, func(hook.Outcome[int, int])) {
		return nil, nil
	}, hook.Name("tracing"), hook.Priority(hook.PriorityTracing)))
	var got []string
	for _, b := range s.Bindings() {
		got = append(got, fmt.Sprint(b.Point(), " ", b.Role(), " ", b.Plugin(), " ", b.Priority(), " ", b.Scope()))
	}
	want := []string{
		"generate async hook_test.audit 0 program", // an unnamed binding goes by its function
		"first bracket tracing -3000 session",
		"first guard policy 0 program",
		"first guard late 5 program",
		"first check inner 0 program",
		"first observe own 0 program",
		"second signal chunks 0 program",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
}

func TestOnceCountsOnce(t *testing.T) {
	t.Parallel()
	type key struct{}
	var j journal
	span := func(name string, opts ...hook.Option) hook.Binding {
		return j.bracket(name, append(opts, hook.Name(name))...)
	}
	telemetry := hook.Plugin{Name: "telemetry", Sources: []hook.Source{
		span("traces", hook.Once(key{})),
		span("metrics", hook.Once(key{})), // one key may cover several bindings of a plugin
	}}
	other := span("traces", hook.Once(42))
	twice := span("plain")
	s := install(telemetry, telemetry, twice).WithScope(hook.ScopeSession, telemetry, other, twice)
	if _, err := generateOn(t, s, answer); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"+traces", "+metrics", "+plain", "+traces", "+plain",
		"-plain ok", "-traces ok", "-plain ok", "-metrics ok", "-traces ok",
	}
	if diff := cmp.Diff(want, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestMisuseIsFoundWhenBinding(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		"nil function":         func() { generate.Guard(nil) },
		"nil listener":         func() { hook.NewSignal[int]("s").On(nil) },
		"nil key":              func() { hook.Once(nil) },
		"incomparable key":     func() { hook.Once([]int{1}) },
		"incomparable content": func() { hook.Once([1]any{[]int{1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("got no panic, want one")
				}
			}()
			f()
		})
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(hook.RoleBracket, hook.RoleGuard, hook.RoleCheck, hook.RoleObserve, hook.RoleReview, hook.RoleOnError,
		hook.RoleAsync, hook.RoleSignal, hook.Role(99), hook.ScopeProgram, hook.ScopeSession, hook.ScopeBlock, hook.Scope(99), hook.Ending(99))
	want := "bracket guard check observe review on_error async signal unknown program session block unknown unknown"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := generate.Name(), "generate"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
