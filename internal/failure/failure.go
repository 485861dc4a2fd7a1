// Package failure turns the errors of internal/wire into those of backends, which differ by provider in little more than
// what they advise.
package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/wire"
)

// Advice is what the errors of one backend say.
type Advice struct {
	// Provider is the value of gen_ai.provider.name.
	Provider string
	// Base says what the base URL should be, for a reply that is a web page.
	Base string
	// Status completes an error that the server sent with a status: it sets the remedy.
	Status func(e *backend.Error, s *wire.StatusError)
	// Lost is added to the remedy when there is no connection to the server; nil adds nothing.
	Lost func(t *wire.TransportError) string
	// Redirect is the remedy of a redirect, which is not followed.
	Redirect func(r *wire.RedirectError) string
	// Silent says why a server may have fallen silent, as a question that ends with a question mark.
	Silent string
}

// Error makes an error of a call into one of the contract, once. The causes of contexts stay as they are: the output
// says what they mean.
func (a Advice) Error(op string, err error) error {
	e := &backend.Error{Provider: a.Provider, Op: op, Err: err}
	var (
		status    *wire.StatusError
		transport *wire.TransportError
		protocol  *wire.ProtocolError
		redirect  *wire.RedirectError
		idle      *wire.IdleTimeoutError
		setting   *wire.ConfigError
	)
	switch {
	case errors.As(err, &status):
		e.Status, e.Code, e.Message = status.Status, status.Code, status.Message
		e.RetryAfter, e.RequestID = status.RetryAfter, status.RequestID
		a.Status(e, status)
	case errors.As(err, &transport):
		e.Code, e.Remedy = backend.CodeUnreachable, transport.Reason
		if transport.Remedy != "" {
			e.Remedy += ": " + transport.Remedy
		}
		if a.Lost != nil {
			e.Remedy += a.Lost(transport)
		}
	case errors.As(err, &redirect):
		e.Code, e.Status, e.Remedy = backend.CodeRedirect, redirect.Status, a.Redirect(redirect)
	case errors.As(err, &idle):
		e.Code = backend.CodeTimeout
		e.Remedy = fmt.Sprintf("the server sent nothing for %v: %s The stream timeout bounds the wait", idle.Idle, a.Silent)
	case errors.As(err, &protocol):
		e.Code, e.Remedy = backend.CodeInvalidResponse, protocol.Reason
		if IsWebPage(protocol.Reason) {
			e.Remedy = a.WebPage()
		}
	case errors.As(err, &setting):
		e.Code, e.Remedy = backend.CodeConfiguration, setting.Error()
	default:
		return err
	}
	return e
}

// WebPage is the remedy of a reply that is a web page.
func (a Advice) WebPage() string {
	return "the server answered with a web page, not JSON: " + a.Base
}

// IsWebPage reports whether a reason or a remedy of the wire is that the reply is a web page.
func IsWebPage(reason string) bool { return strings.Contains(reason, "web page") }

// CutOff tells the end of a connection from the other failures of a read.
func CutOff(err error) bool {
	var transport *wire.TransportError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &transport)
}

// Retry is the contract's form of a retry.
func Retry(r wire.Retry) backend.Retry {
	reason := "connection_reset"
	switch {
	case r.Status == http.StatusTooManyRequests:
		reason = "rate_limit"
	case r.Status != 0:
		reason = "server_error"
	case errors.Is(r.Err, context.DeadlineExceeded):
		reason = "timeout"
	}
	return backend.Retry{At: r.At, Delay: r.Delay, Status: r.Status, Reason: reason}
}
