package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// fail turns an error from below into one of the contract, once; see [failure.Advice.Error].
func (c *Client) fail(op string, err error) error {
	if value, ok := errors.AsType[*openai.ValueError](err); ok {
		return &backend.Error{Provider: c.cfg.Provider, Op: op, Code: backend.CodeUnsupported, Remedy: value.Name + " " + value.Reason, Err: err}
	}
	return c.advice().Error(op, err)
}

// advice is what the client's errors say.
func (c *Client) advice() failure.Advice {
	return failure.Advice{
		Provider: c.cfg.Provider, Base: c.cfg.Base, Silent: "is it overloaded or loading the model?",
		Redirect: func(r *wire.RedirectError) string {
			return "the server redirects to " + r.To + ", which is not followed: set the base URL to " + strings.TrimSuffix(r.To, "/chat/completions")
		},
		Status: func(e *backend.Error, s *wire.StatusError) {
			e.Remedy = c.statusRemedy(s)
			if c.cfg.Remedy != nil {
				if remedy := c.cfg.Remedy(e); remedy != "" {
					e.Remedy = remedy
				}
			}
		},
	}
}

// statusRemedy says what to do about an error status.
func (c *Client) statusRemedy(e *wire.StatusError) string {
	if failure.IsWebPage(e.Remedy) {
		return c.advice().WebPage()
	}
	if e.Remedy != "" {
		return e.Remedy
	}
	switch s := e.Status; {
	case e.Code == "content_filter" || e.Code == "content_policy_violation":
		return "the provider's content filter refused the request: change it"
	case e.Code == "context_length_exceeded" || e.Code == "exceed_context_size_error" || strings.Contains(e.Message, "maximum context length"):
		return "the conversation is longer than the model's context: shorten it or ask for fewer tokens"
	case e.Code == "insufficient_quota":
		return "the account has no quota left: check its plan and billing"
	case s == http.StatusUnauthorized:
		return "check the API key: " + c.cfg.Key
	case s == http.StatusPaymentRequired:
		return "the account has no credit left: check its plan and billing"
	case s == http.StatusForbidden:
		return "the API key may not do this: check its project, its permissions and the model"
	case s == http.StatusNotFound:
		return "the server knows no such model or address: check the model's name, and that " + c.cfg.Base
	case s == http.StatusMethodNotAllowed:
		return "the server does not take POST there: " + c.cfg.Base
	case s == http.StatusRequestTimeout || s == http.StatusGatewayTimeout:
		return "the server gave up waiting: try again, or ask for a shorter reply"
	case s == http.StatusRequestEntityTooLarge:
		return "the request is too large for the server: shorten the conversation or its media"
	case s == http.StatusTooManyRequests:
		return "too many requests: wait, send fewer at a time, or allow more retries"
	case s >= 500:
		return "the server failed: try again, and look at its log"
	case s < 300:
		return "the server reported an error in the middle of its reply: Message has its text"
	}
	return "the server refused the request: Message has its text"
}

// nameModel sharpens the remedy of a 404 that is about the model.
func (c *Client) nameModel(e *backend.Error, model string) {
	if e.Status == http.StatusNotFound && (strings.Contains(e.Code, "model") || strings.Contains(strings.ToLower(e.Message), "model")) {
		e.Remedy = fmt.Sprintf("the server does not know model %q: check its name, or load it there", model)
	}
}

// invalid is a reply that is not one.
func (c *Client) invalid(op Operation, res *wire.Response, remedy string, cause error) error {
	return &backend.Error{Provider: c.cfg.Provider, Op: op.String(), Code: backend.CodeInvalidResponse,
		RequestID: res.RequestID(), Remedy: remedy, Err: cause}
}

// filtered is a reply that the provider's content filter cut off.
func (c *Client) filtered(op Operation, res *wire.Response) error {
	return &backend.Error{Provider: c.cfg.Provider, Op: op.String(), Code: openai.FinishContentFilter, RequestID: res.RequestID(),
		Remedy: "the provider's content filter cut the reply off: change the request"}
}

// broken is a reply that did not arrive whole.
func (c *Client) broken(op Operation, res *wire.Response, err error) error {
	if err == io.EOF {
		return c.invalid(op, res, "the stream ended before the reply did: try again, and look at the server's log", io.ErrUnexpectedEOF)
	}
	err = c.fail(op.String(), err)
	if e, ok := err.(*backend.Error); ok { //nolint:errorlint // just made
		e.RequestID = res.RequestID()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			e.Remedy = "the connection ended before the reply did: try again, and look at the server's log"
		}
	}
	return err
}

// malformed is a reply or a chunk that is not of the dialect.
func (c *Client) malformed(op Operation, res *wire.Response, data []byte, cause error, begun bool) error {
	switch data := bytes.TrimSpace(data); {
	case len(data) == 0:
		return c.invalid(op, res, "the reply is empty: try again, and check what stands between here and the server", cause)
	case data[0] == '<':
		return c.invalid(op, res, c.advice().WebPage(), cause)
	case begun:
		return c.invalid(op, res, "the stream has a chunk that is not of a chat-completions API: look at the server's log", cause)
	}
	return c.invalid(op, res, "the reply is not of a chat-completions API: check the base URL", cause)
}

// serverError is an error that the server sent as a reply.
func (c *Client) serverError(op Operation, res *wire.Response, data []byte) error {
	if e := res.StreamError(data); e != nil {
		return c.fail(op.String(), e)
	}
	return c.invalid(op, res, "the server reported an error in the middle of its reply: look at its log", nil)
}

func whole(data []byte) bool { return string(data) == openai.Done || jsontext.Value(data).IsValid() }
