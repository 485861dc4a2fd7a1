package watsonx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// What was tried, in errors.
const (
	opChat   = "chat"
	opBatch  = "batch"
	opModels = "models"
	opToken  = "token" // the exchange of the API key
)

// codeContentFilter is not the service's: it says what a moderation did in a sentence.
const codeContentFilter = "content_filter"

const wrongBase = "the base URL should be the scheme and host of a region, such as https://us-south.ml.cloud.ibm.com"

// advice is what the errors of the service say.
var advice = failure.Advice{
	Provider: Provider, Base: wrongBase, Silent: "is it overloaded?",
	Redirect: func(r *wire.RedirectError) string {
		return "the server redirects to " + r.To + ", which is not followed: " + wrongBase
	},
	Status: func(e *backend.Error, s *wire.StatusError) {
		if s.Trace != "" { // what IBM's support asks for
			e.RequestID = s.Trace
		}
		e.Remedy = statusRemedy(s)
	},
}

// fail turns an error from below into one of the contract, once; see [failure.Advice.Error].
func fail(op string, err error) error {
	if value, ok := errors.AsType[*openai.ValueError](err); ok {
		return &backend.Error{Provider: Provider, Op: op, Code: backend.CodeUnsupported, Remedy: value.Name + " " + value.Reason, Err: err}
	}
	return advice.Error(op, err)
}

// failIAM is fail for the exchange of the API key.
func failIAM(err error) error {
	err = fail(opToken, err)
	e, ok := err.(*backend.Error) //nolint:errorlint // just made, or not one
	if !ok {
		return err
	}
	const setting = "WATSONX_IAM_URL or WithIAMURL"
	switch {
	case e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		// IAM says 400 of a key that it does not know.
		if e.Code != "" {
			e.Message = strings.TrimSuffix(e.Code+": "+e.Message, ": ")
		}
		e.Code = backend.CodeAuthentication
		e.Remedy = "IBM Cloud IAM does not accept the API key: check WATSONX_API_KEY or WithAPIKey"
	case e.Code == backend.CodeRedirect:
		e.Remedy = "IBM Cloud IAM redirects elsewhere, where the API key is not sent: check " + setting
	case e.Status == http.StatusTooManyRequests || e.Status >= http.StatusInternalServerError || e.Code == backend.CodeTimeout:
		e.Remedy = "IBM Cloud IAM gave no token: try again later"
	case e.Status != 0:
		e.Remedy = "IBM Cloud IAM gives no tokens there: check " + setting
	default:
		e.Remedy = "IBM Cloud IAM gave no token: " + strings.ReplaceAll(e.Remedy, wrongBase, "check "+setting)
	}
	return e
}

// statusRemedy says what to do about an error status.
func statusRemedy(e *wire.StatusError) string {
	if failure.IsWebPage(e.Remedy) {
		return "the server answered with a web page, not JSON: " + wrongBase
	}
	if e.Remedy != "" {
		return e.Remedy
	}
	switch e.Code {
	case "model_not_supported":
		return "the service does not have the model in this region or plan: check its name"
	case "model_no_support_for_function":
		return "the model cannot do that: use another model, or do without tools, schema or media"
	case "token_quota_reached":
		return "the quota of tokens is used up: wait, or raise the plan"
	case "no_associated_service_instance_error":
		return "no watsonx.ai Runtime service belongs to the project or space: associate one with it"
	case "authorization_rejected", "user_authorization_failed":
		return "the API key may not use the project or space: make its owner a member, or check the id"
	}
	switch s := e.Status; {
	case s == http.StatusUnauthorized:
		return "the service does not accept the token: check that the API key, WATSONX_API_KEY or WithAPIKey, is for this service"
	case s == http.StatusForbidden:
		return "the API key may not do this: check its owner's access to the project or space and to the model"
	case s == http.StatusNotFound:
		return "the service knows no such model or address: check the model's name, the project or space, and that " + wrongBase
	case s == http.StatusMethodNotAllowed:
		return "the server does not take POST there: " + wrongBase
	case s == http.StatusRequestTimeout || s == http.StatusGatewayTimeout:
		return "the service gave up waiting: try again, or ask for a shorter reply"
	case s == http.StatusRequestEntityTooLarge:
		return "the request is too large for the service: shorten the conversation or its media"
	case s == http.StatusTooManyRequests:
		return "too many requests: wait, send fewer at a time, or allow more retries"
	case s >= http.StatusInternalServerError:
		return "the service failed: try again, and give IBM's support the id of the request"
	case s < 300:
		return "the service reported an error in the middle of its reply: Message has its text"
	}
	return "the service refused the request: Message has its text"
}

// nameModel sharpens the remedy of an error that is about the model.
func nameModel(err error, model string) {
	e, ok := errors.AsType[*backend.Error](err)
	if !ok || e.Op == opToken {
		return
	}
	if e.Code == "model_not_supported" || e.Status == http.StatusNotFound && strings.Contains(strings.ToLower(e.Message), "model") {
		e.Remedy = fmt.Sprintf("the service does not have model %q in this region or plan: check its name", model)
	}
}

// invalid is a reply that is not one.
func invalid(op string, res *wire.Response, remedy string, cause error) error {
	return &backend.Error{Provider: Provider, Op: op, Code: backend.CodeInvalidResponse, RequestID: res.RequestID(), Remedy: remedy, Err: cause}
}

// broken is a reply that did not arrive whole.
func broken(op string, res *wire.Response, err error) error {
	if err == io.EOF {
		return invalid(op, res, "the stream ended before the reply did: try again", io.ErrUnexpectedEOF)
	}
	err = fail(op, err)
	if e, ok := err.(*backend.Error); ok { //nolint:errorlint // just made
		e.RequestID = res.RequestID()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			e.Remedy = "the connection ended before the reply did: try again"
		}
	}
	return err
}

// malformed is a reply that is not of the dialect; begun says that a part of it was.
func malformed(op string, res *wire.Response, data []byte, begun bool, cause error) error {
	switch data := bytes.TrimSpace(data); {
	case len(data) == 0:
		return invalid(op, res, "the reply is empty: try again, and check what stands between here and the service", cause)
	case data[0] == '<':
		return invalid(op, res, "the server answered with a web page, not JSON: "+wrongBase, cause)
	case begun:
		return invalid(op, res, "the stream has a chunk that is not of the watsonx.ai API: try again", cause)
	}
	return invalid(op, res, "the reply is not of the watsonx.ai API: check the base URL", cause)
}

// serverError is an error that the service sent as a reply or within one.
func serverError(op string, res *wire.Response, data []byte) error {
	e := res.StreamError(data)
	if e == nil {
		return invalid(op, res, "the service reported an error in the middle of its reply: try again", nil)
	}
	return fail(op, e)
}

// retryOf is the contract's form of a retry.
func retryOf(r wire.Retry) backend.Retry {
	retry := failure.Retry(r)
	if r.Status == http.StatusUnauthorized {
		retry.Reason = "token_renewed"
	}
	return retry
}
