package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strconv"
	"strings"
	"syscall"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/tool"
)

// A Category is the class of a failure: one of a closed set over all providers. It is the value of
// mellea.error.category on spans, metrics and logs.
type Category string

// The categories.
const (
	RateLimit       Category = semconv.MelleaErrorCategoryRateLimit       // 429
	Timeout         Category = semconv.MelleaErrorCategoryTimeout         // a deadline, a network time-out, 408, 504
	ContentPolicy   Category = semconv.MelleaErrorCategoryContentPolicy   // the provider's content filter
	Auth            Category = semconv.MelleaErrorCategoryAuth            // 401, 403
	InvalidRequest  Category = semconv.MelleaErrorCategoryInvalidRequest  // other 4xx, and settings that cannot work
	TransportError  Category = semconv.MelleaErrorCategoryTransportError  // DNS, refused, reset, TLS, unexpected end
	ServerError     Category = semconv.MelleaErrorCategoryServerError     // 5xx, a malformed or empty reply
	ValidationError Category = semconv.MelleaErrorCategoryValidationError // a validator gave no verdict, or a reply is not the value asked for
	ToolError       Category = semconv.MelleaErrorCategoryToolError       // a tool failed
	Cancelled       Category = semconv.MelleaErrorCategoryCancelled       // given up by the caller or by the library
	Rejected        Category = semconv.MelleaErrorCategoryRejected        // denied by a guard, a check or a review
	Unknown         Category = semconv.MelleaErrorCategoryUnknown
)

// ClassifyError returns the category of err, looking through everything it wraps, and "" for nil.
//
// Precedence follows that of [hook.Ending]: a rejection, then abandonment and cancellation, then the deadline; after them
// what a backend reported, by code and status, and what lies beneath it; last what a validator or parser says.
func ClassifyError(err error) Category {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*hook.Rejection](err); ok {
		return Rejected
	}
	switch {
	case errors.Is(err, hook.ErrAbandoned), errors.Is(err, backend.ErrAbandoned), errors.Is(err, context.Canceled):
		return Cancelled
	}
	if be, ok := errors.AsType[*backend.Error](err); ok {
		if c := classifyBackend(be); c != Unknown {
			return c
		}
	}
	if c := classifyTransport(err); c != Unknown {
		return c
	}
	return classifyProgram(err)
}

func classifyBackend(e *backend.Error) Category {
	code := strings.ToLower(e.Code)
	switch {
	case isContentPolicy(code):
		return ContentPolicy
	case e.Status == 401, e.Status == 403, code == backend.CodeAuthentication:
		return Auth
	case e.Status == 408, e.Status == 504:
		return Timeout
	case e.Status == 429:
		return RateLimit
	case e.Status >= 500:
		return ServerError
	case e.Status >= 400:
		return InvalidRequest
	}
	switch code {
	case backend.CodeTimeout:
		return Timeout
	case backend.CodeInvalidResponse:
		// A reply cut off by the network is the network's failure: the cause decides.
		if c := classifyTransport(e.Err); c != Unknown {
			return c
		}
		return ServerError
	case backend.CodeConfiguration, backend.CodeUnsupported, backend.CodeRedirect:
		return InvalidRequest
	case backend.CodeUnreachable:
		if c := classifyTransport(e.Err); c != Unknown {
			return c
		}
		return TransportError
	}
	if c := classifyTransport(e.Err); c != Unknown {
		return c
	}
	if c, ok := late[code]; ok {
		return c
	}
	if e.Status >= 200 { // the server gave up in the middle of its reply and says nothing that is known here
		return ServerError
	}
	return Unknown
}

// late are the categories of codes that come within a reply, too late for a status.
var late = map[string]Category{
	"rate_limit_exceeded": RateLimit, "rate_limit_error": RateLimit, "throttling_error": RateLimit, "insufficient_quota": RateLimit,
	"authentication_error": Auth, "permission_error": Auth, "invalid_api_key": Auth,
	"invalid_request_error": InvalidRequest, "invalid_parameter_error": InvalidRequest, "bad_request_error": InvalidRequest,
	"context_length_exceeded": InvalidRequest, "exceed_context_size_error": InvalidRequest, "model_not_found": InvalidRequest,
	"not_found_error": InvalidRequest, "tool_use_failed": InvalidRequest, "image_fetch": InvalidRequest,
	"timeout_error": Timeout,
	"server_error":  ServerError, "internal_server_error": ServerError, "service_unavailable_error": ServerError,
	"overloaded_error": ServerError, "api_error": ServerError, "stream_error": ServerError,
}

func isContentPolicy(code string) bool {
	switch code {
	case "content_filter", "content_policy_violation", "content_policy", "responsibleaipolicyviolation", "moderation_blocked":
		return true
	}
	return false
}

func classifyTransport(err error) Category {
	if err == nil {
		return Unknown
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return Timeout
	}
	if isTLS(err) || isNetwork(err) {
		return TransportError
	}
	return Unknown
}

func isNetwork(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.AlertError](err)
	return ok
}

func classifyProgram(err error) Category {
	if _, ok := errors.AsType[*component.ParseError](err); ok {
		return ValidationError
	}
	if _, ok := errors.AsType[*component.TemplateError](err); ok {
		return InvalidRequest
	}
	if _, ok := errors.AsType[*backend.OptionError](err); ok {
		return InvalidRequest
	}
	if _, ok := errors.AsType[*requirement.CheckError](err); ok {
		return ValidationError
	}
	if isTool(err) {
		return ToolError
	}
	return Unknown
}

// isTool reports whether a call of a tool failed.
func isTool(err error) bool {
	if _, ok := errors.AsType[*tool.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tool.ArgumentError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tool.UnknownError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tool.PanicError](err); ok {
		return true
	}
	_, ok := errors.AsType[*tool.BudgetError](err)
	return ok
}

// ErrorType returns the value of error.type for err, and "" for nil: the code of a [backend.Error] in the chain where it
// looks like one, else its HTTP status, else "panic" for a panic, else the name of the first Go type in the chain that
// is not a mere wrapper of package fmt or errors. It never holds text of an error.
func ErrorType(err error) string {
	if err == nil {
		return ""
	}
	if be, ok := errors.AsType[*backend.Error](err); ok {
		if isToken(be.Code) {
			return be.Code
		}
		if be.Status != 0 {
			return strconv.Itoa(be.Status)
		}
	}
	if errors.Is(err, hook.ErrPanicked) {
		return backend.CodePanic
	}
	if _, ok := errors.AsType[*tool.PanicError](err); ok {
		return backend.CodePanic
	}
	return goType(err)
}

// goType returns the name of the Go type that err is.
func goType(err error) string { return reflect.TypeOf(meaningful(err)).String() }

// meaningful unwraps what fmt.Errorf and errors.Join made. Of several joined errors the first counts.
func meaningful(err error) error {
	for {
		switch reflect.TypeOf(err).String() {
		case "*fmt.wrapError":
			err = errors.Unwrap(err)
		case "*fmt.wrapErrors", "*errors.joinError":
			err = err.(interface{ Unwrap() []error }).Unwrap()[0]
		default:
			return err
		}
	}
}

// isToken reports whether s is short and free of spaces and punctuation, as codes are and sentences are not.
func isToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// summary describes err without a word of content: by the summary of the errors this library makes, and for all others
// not at all, as error.type names their type already.
func summary(err error) string {
	if be, ok := errors.AsType[*backend.Error](err); ok {
		return be.Error()
	}
	if pe, ok := errors.AsType[*component.ParseError](err); ok {
		return pe.Error()
	}
	if ce, ok := errors.AsType[*requirement.CheckError](err); ok {
		return "requirement " + ce.Label + " could not be checked"
	}
	if s := toolSummary(err); s != "" {
		return s
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	case errors.Is(err, hook.ErrPanicked):
		return "panicked"
	}
	return ""
}

// toolSummary is the text of an error of a tool; those hold no word of a model or of the tool's function.
func toolSummary(err error) string {
	if te, ok := errors.AsType[*tool.TimeoutError](err); ok {
		return te.Error()
	}
	if te, ok := errors.AsType[*tool.ArgumentError](err); ok {
		return te.Error()
	}
	if te, ok := errors.AsType[*tool.UnknownError](err); ok {
		return te.Error()
	}
	if te, ok := errors.AsType[*tool.PanicError](err); ok {
		return te.Error()
	}
	if te, ok := errors.AsType[*tool.BudgetError](err); ok {
		return te.Error()
	}
	if te, ok := errors.AsType[*tool.Error](err); ok {
		return te.Error()
	}
	return ""
}

// detail describes err in full. It is content.
func detail(err error) string {
	if be, ok := errors.AsType[*backend.Error](err); ok && be.Message != "" {
		return fmt.Sprintf("%s: %s", err, be.Message)
	}
	if te, ok := errors.AsType[*tool.ArgumentError](err); ok {
		return te.Error() + ": " + strings.Join(te.Problems, " ")
	}
	if te, ok := errors.AsType[*tool.Error](err); ok {
		return te.Error() + ": " + te.Err.Error()
	}
	return err.Error()
}

// boundedErrorType is [ErrorType] for a label: a code that no provider is known to use is replaced by the HTTP status,
// or by "_OTHER", so that invented codes make no series of their own.
func boundedErrorType(err error) string {
	be, ok := errors.AsType[*backend.Error](err)
	if !ok || knownCodes[be.Code] || be.Code == "" {
		return ErrorType(err)
	}
	if be.Status >= 100 && be.Status <= 599 {
		return strconv.Itoa(be.Status)
	}
	return semconv.ErrorTypeOther
}

// knownCodes are those of this library and those that the providers document.
var knownCodes = codesOf(
	// this library's
	backend.CodeInvalidResponse, backend.CodeConfiguration, backend.CodeUnsupported, backend.CodeUnreachable,
	backend.CodeRedirect, backend.CodePanic, backend.CodeTimeout, backend.CodeAuthentication, "image_fetch", "stream_error",
	// OpenAI's and Azure's, which compatible servers use as well
	"account_deactivated", "billing_hard_limit_reached", "content_filter", "content_policy_violation",
	"context_length_exceeded", "DeploymentNotFound", "insufficient_quota", "invalid_api_key", "invalid_image",
	"invalid_prompt", "invalid_request_error", "invalid_value", "missing_required_parameter", "model_not_found",
	"NoCapacity", "rate_limit_exceeded", "ResponsibleAIPolicyViolation", "server_error", "tokens_exceeded",
	"unknown_parameter", "unsupported_country_region_territory", "unsupported_parameter", "unsupported_value",
	// LiteLLM's
	"auth_error", "authentication_error", "bad_request_error", "budget_exceeded", "internal_server_error",
	"expired_key", "key_model_access_denied", "no_db_connection", "not_found_error", "permission_error", "rate_limit_error",
	"service_unavailable_error", "team_model_access_denied", "throttling_error", "timeout_error", "token_not_found_in_db",
	"user_model_access_denied",
	// watsonx's
	"authentication_token_expired", "authentication_token_not_valid", "authorization_rejected",
	"invalid_input_argument", "model_no_support_for_function", "model_not_supported", "quota_reached",
	"request_body_invalid", "token_quota_reached", "downstream_request_failed", "rate_limit_reached_requests",
	// those of Hugging Face's servers
	"generation", "incomplete_generation", "overloaded", "validation",
	// those of other servers that speak OpenAI's API: vLLM, llama.cpp, Ollama, Groq
	"BadRequestError", "NotFoundError", "api_error", "exceed_context_size_error", "tool_use_failed", "unavailable_error",
)

func codesOf(codes ...string) map[string]bool {
	known := make(map[string]bool, len(codes))
	for _, code := range codes {
		known[code] = true
	}
	return known
}
