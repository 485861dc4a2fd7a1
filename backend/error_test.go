package backend_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  backend.Error
		want string
	}{
		{"status and code", backend.Error{Provider: "openai", Op: "chat", Status: 404, Code: "model_not_found"}, "openai chat: HTTP 404 (model_not_found)"},
		{"status only", backend.Error{Provider: "openai", Op: "chat", Status: 500}, "openai chat: HTTP 500"},
		{"a code that repeats the status", backend.Error{Provider: "p", Status: 400, Code: "400"}, "p: HTTP 400"},
		{"a code of this package", backend.Error{Provider: "p", Op: "info", Code: backend.CodeInvalidResponse}, "p info: invalid response"},
		{"neither", backend.Error{Provider: "p"}, "p: failed"},
		{"all of it", backend.Error{Provider: "p", Op: "chat", Status: 429, Code: "rate_limit", RequestID: "req-1", RetryAfter: 2 * time.Second, Remedy: "wait"},
			"p chat: HTTP 429 (rate_limit), request req-1, retry after 2s: wait"},
		{"never the provider's text", backend.Error{Provider: "p", Code: "c", Message: "SECRET", Err: errors.New("SECRET")}, "p: c"},
		{"a sentence for a code", backend.Error{Provider: "p", Status: 400, Code: "you said SECRET"}, "p: HTTP 400 (unnamed)"},
		{"a long code", backend.Error{Provider: "p", Status: 400, Code: strings.Repeat("x", 65)}, "p: HTTP 400 (unnamed)"},
		{"a request id that is none", backend.Error{Provider: "p", Code: "c", RequestID: "\x1b[31mred"}, "p: c, request unnamed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestErrorWraps(t *testing.T) {
	t.Parallel()
	err := error(&backend.Error{Provider: "p", Err: io.ErrUnexpectedEOF})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("got an error without its cause, want the cause in it")
	}
	cause := errors.New("the cause")
	cancelled := error(&backend.CancelledError{Cause: cause})
	if !errors.Is(cancelled, context.Canceled) || !errors.Is(cancelled, cause) || errors.Is(cancelled, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.Canceled and the cause in it, and nothing else", cancelled)
	}
	if got, want := cancelled.Error(), "generation cancelled: the cause"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	bare := error(&backend.CancelledError{})
	if got, want := bare.Error(), "generation cancelled"; got != want || !errors.Is(bare, context.Canceled) {
		t.Errorf("got %q, want %q and context.Canceled in it", got, want)
	}
	if got, want := (&backend.PanicError{Value: errors.New("SECRET")}).Error(), "panic with a *errors.errorString"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
