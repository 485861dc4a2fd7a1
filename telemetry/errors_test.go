package telemetry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
)

type timeout struct{}

func (timeout) Error() string   { return "slow" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// The classifier sees through what wraps an error (epic 3b.12, 3b.13).
func TestClassifyError(t *testing.T) {
	t.Parallel()
	status := func(n int) error { return &backend.Error{Provider: "p", Status: n} }
	code := func(c string) error { return &backend.Error{Provider: "p", Code: c} }
	tests := []struct {
		err      error
		category telemetry.Category
		typ      string
	}{
		{nil, "", ""},
		{status(400), telemetry.InvalidRequest, "400"},
		{status(401), telemetry.Auth, "401"},
		{status(403), telemetry.Auth, "403"},
		{status(404), telemetry.InvalidRequest, "404"},
		{status(408), telemetry.Timeout, "408"},
		{status(409), telemetry.InvalidRequest, "409"},
		{status(422), telemetry.InvalidRequest, "422"},
		{status(429), telemetry.RateLimit, "429"},
		{status(500), telemetry.ServerError, "500"},
		{status(503), telemetry.ServerError, "503"},
		{status(504), telemetry.Timeout, "504"},
		{&backend.Error{Status: 429, Code: "rate_limit_exceeded"}, telemetry.RateLimit, "rate_limit_exceeded"},
		{&backend.Error{Status: 400, Code: "content_filter"}, telemetry.ContentPolicy, "content_filter"},
		{&backend.Error{Status: 400, Code: "content_policy_violation"}, telemetry.ContentPolicy, "content_policy_violation"},
		{&backend.Error{Status: 400, Code: "a sentence, not a code"}, telemetry.InvalidRequest, "400"},
		{&backend.Error{Status: 400, Code: strings.Repeat("x", 65)}, telemetry.InvalidRequest, "400"},
		{code(backend.CodeInvalidResponse), telemetry.ServerError, "invalid_response"},
		{&backend.Error{Code: backend.CodeInvalidResponse, Err: io.ErrUnexpectedEOF}, telemetry.TransportError, "invalid_response"},
		{code(backend.CodeUnreachable), telemetry.TransportError, "unreachable"},
		{code(backend.CodeConfiguration), telemetry.InvalidRequest, "configuration"},
		{code(backend.CodeUnsupported), telemetry.InvalidRequest, "unsupported"},
		{code(backend.CodeRedirect), telemetry.InvalidRequest, "redirect"},
		{code(backend.CodePanic), telemetry.Unknown, "panic"},
		{&backend.Error{Code: backend.CodeAuthentication, Status: 400}, telemetry.Auth, "authentication"},
		{&backend.Error{Code: "timeout", Err: context.DeadlineExceeded}, telemetry.Timeout, "timeout"},
		{&backend.Error{Code: backend.CodeUnreachable, Err: &url.Error{Op: "Post", Err: timeout{}}}, telemetry.Timeout, "unreachable"},
		{&backend.Error{}, telemetry.Unknown, "*backend.Error"},
		{code(backend.CodeTimeout), telemetry.Timeout, "timeout"},
		{code(backend.CodeAuthentication), telemetry.Auth, "authentication"},
		{&backend.Error{Status: 200, Code: "rate_limit_exceeded"}, telemetry.RateLimit, "rate_limit_exceeded"},
		{&backend.Error{Status: 200, Code: "Authentication_Error"}, telemetry.Auth, "Authentication_Error"},
		{&backend.Error{Status: 200, Code: "invalid_request_error"}, telemetry.InvalidRequest, "invalid_request_error"},
		{&backend.Error{Status: 200, Code: "timeout_error"}, telemetry.Timeout, "timeout_error"},
		{&backend.Error{Status: 200, Code: "server_error"}, telemetry.ServerError, "server_error"},
		{&backend.Error{Status: 200, Code: "something_new"}, telemetry.ServerError, "something_new"},
		{&backend.Error{Status: 200}, telemetry.ServerError, "200"},
		{code("model_not_found"), telemetry.InvalidRequest, "model_not_found"},
		{code("image_fetch"), telemetry.InvalidRequest, "image_fetch"},
		{&backend.Error{Code: "image_fetch", Err: &net.DNSError{}}, telemetry.TransportError, "image_fetch"},
		{fmt.Errorf("a: %w, b: %w", errors.New("first"), errors.Join(nil, fmt.Errorf("c: %w", &net.DNSError{IsTimeout: true}))), telemetry.Timeout, "*errors.errorString"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", status(429))), telemetry.RateLimit, "429"},
		{errors.Join(errors.New("first"), status(429)), telemetry.RateLimit, "429"},
		{context.DeadlineExceeded, telemetry.Timeout, "context.deadlineExceededError"},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), telemetry.Timeout, "context.deadlineExceededError"},
		{timeout{}, telemetry.Timeout, "telemetry_test.timeout"},
		{context.Canceled, telemetry.Cancelled, "*errors.errorString"},
		{&backend.CancelledError{}, telemetry.Cancelled, "*backend.CancelledError"},
		{hook.ErrAbandoned, telemetry.Cancelled, "*errors.errorString"},
		{backend.ErrAbandoned, telemetry.Cancelled, "*errors.errorString"},
		{hook.Reject("over_budget", "why"), telemetry.Rejected, "*hook.Rejection"},
		{fmt.Errorf("%w: %w", hook.Reject("over_budget", "why"), context.Canceled), telemetry.Rejected, "*hook.Rejection"},
		{hook.ErrPanicked, telemetry.Unknown, "panic"},
		{&net.DNSError{}, telemetry.TransportError, "*net.DNSError"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, telemetry.TransportError, "*net.OpError"},
		{syscall.ECONNRESET, telemetry.TransportError, "syscall.Errno"},
		{io.ErrUnexpectedEOF, telemetry.TransportError, "*errors.errorString"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, telemetry.TransportError, "*tls.CertificateVerificationError"},
		{x509.UnknownAuthorityError{}, telemetry.TransportError, "x509.UnknownAuthorityError"},
		{tls.RecordHeaderError{}, telemetry.TransportError, "tls.RecordHeaderError"},
		{&component.ParseError{Kind: "json"}, telemetry.ValidationError, "*component.ParseError"},
		{&component.TemplateError{}, telemetry.InvalidRequest, "*component.TemplateError"},
		{&backend.OptionError{}, telemetry.InvalidRequest, "*backend.OptionError"},
		{&requirement.CheckError{Err: errors.New("x")}, telemetry.ValidationError, "*requirement.CheckError"},
		{&requirement.CheckError{Err: status(429)}, telemetry.RateLimit, "429"},
		{errors.New("text"), telemetry.Unknown, "*errors.errorString"},
	}
	for _, test := range tests {
		if got := telemetry.ClassifyError(test.err); got != test.category {
			t.Errorf("ClassifyError(%T %v) = %q, want %q", test.err, test.err, got, test.category)
		}
		if got := telemetry.ErrorType(test.err); got != test.typ {
			t.Errorf("ErrorType(%T %v) = %q, want %q", test.err, test.err, got, test.typ)
		}
	}
}

func ExampleClassifyError() {
	err := fmt.Errorf("write the mail: %w", &backend.Error{Provider: "openai", Status: 429, Code: "rate_limit_exceeded"})
	fmt.Println(telemetry.ClassifyError(err), telemetry.ErrorType(err))
	// Output: rate_limit rate_limit_exceeded
}
