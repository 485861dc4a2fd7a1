package engine_test

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/melleatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scope returns a scope for b that a recorder watches, which fails the test for each operation that does not end once.
func scope(t *testing.T, b backend.Backend, hooks ...hook.Source) (engine.Scope, *melleatest.Recorder) {
	t.Helper()
	rec := melleatest.NewRecorder(t)
	s := engine.NewScope((*hook.Set)(nil).With(append(hooks, rec)...), b, component.DefaultFormatter())
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
		if scripted, ok := b.(*melleatest.Backend); ok && scripted.Outside() != 0 {
			t.Errorf("%d requests were made outside a Generation operation", scripted.Outside())
		}
	})
	return s, rec
}

func instruction(text string) component.Component { return component.NewInstruction(text) }

// events returns what a recorder saw as one text, a line an event, nested operations indented.
func events(rec *melleatest.Recorder) string {
	var b strings.Builder
	depth := 0
	for _, e := range rec.Events() {
		if strings.HasPrefix(e, "-") {
			depth--
		}
		b.WriteString(strings.Repeat("  ", depth) + e + "\n")
		if strings.HasPrefix(e, "+") {
			depth++
		}
	}
	return b.String()
}
