package hook_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
)

func TestSignal(t *testing.T) {
	t.Parallel()
	chunk := hook.NewSignal[string]("chunk")
	if got := chunk.Name(); got != "chunk" {
		t.Errorf("got name %q, want %q", got, "chunk")
	}
	var j journal
	on := func(name string, opts ...hook.Option) hook.Binding {
		return chunk.On(func(ctx context.Context, v string) {
			if ctx != t.Context() {
				t.Error("got another context than that of Emit")
			}
			j.add("%s %s", name, v)
		}, opts...)
	}
	idle := install(generate.Observe(func(context.Context, request) {}))
	base := idle.With(on("program"), on("first", hook.Priority(-1)))
	session := base.WithScope(hook.ScopeSession, on("session"))
	for _, s := range []*hook.Set{nil, idle} {
		if chunk.Active(s) {
			t.Error("got an active signal, want an idle one")
		}
		chunk.Emit(t.Context(), s, "lost")
	}
	if !chunk.Active(base) {
		t.Error("got an idle signal, want an active one")
	}
	chunk.Emit(t.Context(), base, "a")
	chunk.Emit(t.Context(), session, "b")
	if diff := cmp.Diff([]string{"first a", "program a", "first b", "program b", "session b"}, j.all()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
