package component_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output returns an output that is done, with a text or an error.
func output(t *testing.T, text string, err error) *backend.Output {
	t.Helper()
	o := backend.Start(t.Context(), backend.Request{}, backend.Generation{Provider: "test"},
		func(_ context.Context, w *backend.Writer) error {
			w.Text(w.Generation().Started, []byte(text))
			return err
		})
	<-o.Done()
	return o
}

// running returns an output that ends with the test.
func running(t *testing.T) *backend.Output {
	t.Helper()
	o := backend.Start(t.Context(), backend.Request{}, backend.Generation{Provider: "test"},
		func(ctx context.Context, _ *backend.Writer) error {
			<-ctx.Done()
			return ctx.Err()
		})
	t.Cleanup(func() {
		o.Cancel(nil)
		<-o.Done()
	})
	return o
}

// render returns the text of the one message that c renders to.
func render(t *testing.T, f *component.Formatter, c component.Component, model string) string {
	t.Helper()
	r, err := f.Render(c, model)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := r.Messages.Last()
	if !ok || r.Messages.Len() != 1 || m.Role() != content.RoleUser {
		t.Fatalf("got %d messages, the last of role %q; want one of the user", r.Messages.Len(), m.Role())
	}
	if r.Length != len(m.Text()) {
		t.Errorf("Length = %d, want that of the text, %d", r.Length, len(m.Text()))
	}
	return m.Text()
}
