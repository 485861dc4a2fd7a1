package backend_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
)

// An output ends although the goroutine that makes it is exited, as a test that fails there does, or its lifecycle
// panics.
func TestOutputEndsWhateverItsMakersDo(t *testing.T) {
	t.Parallel()
	exits := func(r backend.Reply, _ error) (backend.Reply, error) { runtime.Goexit(); return r, nil }
	panics := func(backend.Reply, error) (backend.Reply, error) { panic(errors.New("SECRET")) }
	for _, tc := range []struct {
		name    string
		produce func(context.Context, *backend.Writer) error
		review  func(backend.Reply, error) (backend.Reply, error)
		text    string
	}{
		{"the producer exits", func(_ context.Context, w *backend.Writer) error {
			w.Text(w.Generation().Started, []byte("a"))
			runtime.Goexit()
			return nil
		}, nil, "a"},
		{"the lifecycle exits", pieces("a"), exits, ""},
		{"the lifecycle panics", pieces("a"), panics, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, hold := range []bool{false, true} {
				out := backend.Start(t.Context(), backend.Request{}.WithLifecycle(&recorder{review: tc.review}, hold), backend.Generation{Provider: "p"}, tc.produce)
				r, err := out.Reply(t.Context())
				var e *backend.Error
				if !errors.As(err, &e) || e.Code != backend.CodePanic || strings.Contains(err.Error(), "SECRET") {
					t.Errorf("got error %v, want one of code %s that quotes nothing", err, backend.CodePanic)
				}
				if got := r.Message.Text(); got != tc.text {
					t.Errorf("got text %q, want %q", got, tc.text)
				}
			}
		})
	}
}

// Whose doing the end of a context was is told whatever cause it was given.
func TestOutputTellsWhoseDoingItsEndWas(t *testing.T) {
	t.Parallel()
	cause := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	out := backend.Start(ctx, backend.Request{}, backend.Generation{}, feed(nil))
	cancel(cause)
	if err := out.Wait(t.Context()); !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("got error %v, want context.Canceled and the cause", err)
	}
}

func TestOutputOf(t *testing.T) {
	t.Parallel()
	req := backend.Request{}.WithLifecycle(&recorder{}, false)
	out := backend.Start(t.Context(), req, backend.Generation{}, pieces("a"))
	defer func() { <-out.Done() }()
	if !out.Of(req) || out.Of(req.Detached()) || out.Of(backend.Request{}.WithLifecycle(&recorder{}, false)) {
		t.Error("got the output of another request, want that of its own")
	}
}
