package failure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/wire"
)

var advice = failure.Advice{
	Provider: "p", Base: "look at the base URL", Silent: "is it busy?",
	Status:   func(e *backend.Error, s *wire.StatusError) { e.Remedy = "status " + s.Message },
	Lost:     func(t *wire.TransportError) string { return "; start it" },
	Redirect: func(r *wire.RedirectError) string { return "it is at " + r.To },
}

func TestError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want backend.Error
	}{
		"a status": {&wire.StatusError{Status: 429, Code: "c", Message: "m", RetryAfter: time.Second, RequestID: "r"},
			backend.Error{Status: 429, Code: "c", Message: "m", RetryAfter: time.Second, RequestID: "r", Remedy: "status m"}},
		"no connection":    {&wire.TransportError{Reason: "refused", Remedy: "is it there?"}, backend.Error{Code: backend.CodeUnreachable, Remedy: "refused: is it there?; start it"}},
		"a redirect":       {&wire.RedirectError{Status: 307, To: "http://there"}, backend.Error{Status: 307, Code: backend.CodeRedirect, Remedy: "it is at http://there"}},
		"silence":          {&wire.IdleTimeoutError{Idle: time.Second}, backend.Error{Code: backend.CodeTimeout, Remedy: "the server sent nothing for 1s: is it busy? The stream timeout bounds the wait"}},
		"something else":   {&wire.ProtocolError{Reason: "cut off"}, backend.Error{Code: backend.CodeInvalidResponse, Remedy: "cut off"}},
		"a web page":       {&wire.ProtocolError{Reason: "it is a web page"}, backend.Error{Code: backend.CodeInvalidResponse, Remedy: "the server answered with a web page, not JSON: look at the base URL"}},
		"a setting":        {&wire.ConfigError{Setting: "base URL", Reason: "has no host"}, backend.Error{Code: backend.CodeConfiguration, Remedy: "base URL has no host"}},
		"one that is deep": {fmt.Errorf("a: %w", &wire.ProtocolError{Reason: "cut off"}), backend.Error{Code: backend.CodeInvalidResponse, Remedy: "cut off"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := errors.AsType[*backend.Error](advice.Error("chat", tt.err))
			if !ok {
				t.Fatalf("%T is no *backend.Error", tt.err)
			}
			tt.want.Provider, tt.want.Op = "p", "chat"
			if diff := cmp.Diff(*got, tt.want, cmpopts.IgnoreFields(backend.Error{}, "Err")); diff != "" {
				t.Errorf("error (-got +want):\n%s", diff)
			}
			if !errors.Is(got, tt.err) {
				t.Error("the cause is lost")
			}
		})
	}
	if got := advice.Error("chat", context.Canceled); got != context.Canceled {
		t.Errorf("the cause of a context became %v", got)
	}
}

func TestCutOff(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{io.EOF: true, io.ErrUnexpectedEOF: true, &wire.TransportError{}: true, &wire.ProtocolError{}: false, context.Canceled: false} {
		if got := failure.CutOff(fmt.Errorf("read: %w", err)); got != want {
			t.Errorf("CutOff(%T) = %t, want %t", err, got, want)
		}
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		retry wire.Retry
		want  string
	}{
		{wire.Retry{Status: 429}, "rate_limit"}, {wire.Retry{Status: 503}, "server_error"},
		{wire.Retry{Err: context.DeadlineExceeded}, "timeout"}, {wire.Retry{Err: io.EOF}, "connection_reset"},
	} {
		tt.retry.Delay = time.Second
		got := failure.Retry(tt.retry)
		if want := (backend.Retry{Delay: time.Second, Status: tt.retry.Status, Reason: tt.want}); got != want {
			t.Errorf("Retry(%+v) = %+v, want %+v", tt.retry, got, want)
		}
	}
}
