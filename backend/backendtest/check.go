package backendtest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
)

// patience bounds what can only take longer when something hangs. Nothing is measured against it.
const patience = 20 * time.Second

// patient returns a context for waiting.
func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// lifecycle is the engine's part in the generations of the suite: it checks that each ends exactly once and in time.
type lifecycle struct {
	t        testing.TB
	out      atomic.Pointer[backend.Output]
	chunks   atomic.Int64
	finished atomic.Int64
}

// Chunk implements [backend.Lifecycle].
func (l *lifecycle) Chunk(backend.Chunk) { l.chunks.Add(1) }

// Finish implements [backend.Lifecycle].
func (l *lifecycle) Finish(r backend.Reply, err error) (backend.Reply, error) {
	if l.finished.Add(1) > 1 {
		l.t.Error("Finish was called again, want it once")
	}
	if out := l.out.Load(); out != nil {
		select {
		case <-out.Done():
			l.t.Error("Done closed before Finish had returned")
		default:
		}
	}
	return r, err
}

// start starts a generation. It is over, with Finish called once, before the test ends.
func start(tb testing.TB, ctx context.Context, b backend.Backend, req backend.Request) *backend.Output { //nolint:revive // the test first, as everywhere here
	tb.Helper()
	l := &lifecycle{t: tb}
	out, err := b.Generate(ctx, req.WithLifecycle(l, false))
	if err != nil {
		tb.Fatalf("Generate: %v", err)
	}
	l.out.Store(out)
	tb.Cleanup(func() {
		select {
		case <-out.Done():
		case <-time.After(patience):
			tb.Error("the generation outlived the test")
			return
		}
		if got := l.finished.Load(); got != 1 {
			tb.Errorf("got %d calls of Finish, want 1", got)
		}
		r, _ := out.Reply(context.Background())
		if got, want := int(l.chunks.Load()), r.Generation.Chunks; got != want {
			tb.Errorf("got %d calls of Chunk, want one for each of %d chunks", got, want)
		}
	})
	return out
}

// generate runs a generation to its end.
func generate(tb testing.TB, b backend.Backend, req backend.Request) (backend.Reply, error) {
	tb.Helper()
	ctx := patient(tb)
	r, err := start(tb, context.Background(), b, req).Reply(ctx)
	if ctx.Err() != nil {
		tb.Fatalf("the generation hangs: %v", err)
	}
	return r, err
}

// wantError checks what holds for every error of a backend and returns it.
func wantError(tb testing.TB, s Suite, err error) *backend.Error {
	tb.Helper()
	if err == nil {
		tb.Fatal("got no error, want one")
	}
	var e *backend.Error
	if !errors.As(err, &e) {
		tb.Fatalf("got error %T %v, want a *backend.Error", err, err)
	}
	if e.Provider != s.Provider {
		tb.Errorf("got an error of provider %q, want %q", e.Provider, s.Provider)
	}
	if e.Remedy == "" {
		tb.Errorf("got error %q without a remedy, want one", e)
	}
	if e.Code == "" && e.Status == 0 {
		tb.Errorf("got error %q with neither code nor status, want one of them", e)
	}
	eachText(err, func(text string) {
		for _, hidden := range []string{hiddenKey, hiddenPrompt, hiddenReply, hiddenMessage} {
			if strings.Contains(text, hidden) {
				tb.Errorf("the text of an error holds %q: %s", hidden, text)
			}
		}
	})
	return e
}

// eachText calls f with the text of err and of all that it wraps.
func eachText(err error, f func(string)) {
	if err == nil {
		return
	}
	f(err.Error())
	switch u := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		eachText(u.Unwrap(), f)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			eachText(e, f)
		}
	}
}
