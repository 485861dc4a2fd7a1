package ollama

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/wire"
)

// Codes for what Ollama says in a sentence; it numbers no errors itself.
const (
	codeNoModel = "model_not_found"
	codeStream  = "stream_error" // the server failed after the reply had begun
)

// advice is what errors say of the server.
var advice = failure.Advice{
	Provider: provider, Base: "is it Ollama? check OLLAMA_HOST or the base URL", Silent: "is it overloaded or loading the model?",
	Status: func(e *backend.Error, s *wire.StatusError) {
		if e.Remedy = s.Remedy; e.Remedy == "" {
			e.Remedy = remedyFor(s.Status, s.Message)
		}
	},
	Lost: func(t *wire.TransportError) string {
		if t.Op != "dial" {
			return ""
		}
		return "; start it with `ollama serve` or set OLLAMA_HOST"
	},
	Redirect: (*wire.RedirectError).Error,
}

// fail turns an error from below into one of the contract, once; see [failure.Advice.Error].
func fail(op string, err error) error { return advice.Error(op, err) }

// remedyFor knows the sentences of the server that a user can do something about.
func remedyFor(status int, message string) string {
	has := func(part string) bool { return strings.Contains(message, part) }
	switch {
	case status == http.StatusUnauthorized:
		return "the server wants credentials: check the key or password in the base URL, or sign in with `ollama signin`"
	case status == http.StatusForbidden:
		return "the server does not allow this: check its settings, and those of a proxy in between"
	case status == http.StatusNotFound:
		return "the server does not know this path: is it Ollama? check OLLAMA_HOST or the base URL"
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return "the server is busy: ask for less at a time, or raise OLLAMA_MAX_QUEUE or OLLAMA_NUM_PARALLEL"
	case has("does not support tools"):
		return "this model cannot call tools: choose one that can, or offer none"
	case has("does not support thinking"), has("think value"):
		return "this model does not think that way: leave the thinking option off, or choose another model"
	case has("does not support chat"):
		return "this model only embeds: choose one that chats"
	case has("more system memory"), has("out of memory"):
		return "the model does not fit into memory: choose a smaller one or a smaller context window"
	case status >= http.StatusInternalServerError:
		return "the server's log (`ollama serve`, or the service's journal) says more"
	}
	return "the server refuses the request: the error's message says why"
}

// noModel completes the error of a request whose model the server does not have.
func noModel(err error, model string) error {
	var e *backend.Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound && strings.Contains(e.Message, "model") {
		e.Code, e.Remedy = codeNoModel, pullRemedy(model)
	}
	return err
}

// showable reports whether a name can be part of a command that is shown.
func showable(model string) bool {
	for _, r := range model {
		if r <= ' ' || r > '~' || r == '`' {
			return false
		}
	}
	return true
}

func pullRemedy(model string) string {
	if !showable(model) {
		return "the model is not installed and its name is not one Ollama knows: `ollama list` shows those it has"
	}
	return "the model is not installed: `ollama pull " + model + "`"
}

// invalid is a reply that is not what the API promises, or not all of it. It holds nothing of the reply.
func invalid(op string, resp *wire.Response, remedy string) error {
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeInvalidResponse, RequestID: resp.RequestID(), Remedy: remedy}
}

func malformed(op string, resp *wire.Response) error {
	return invalid(op, resp, "the reply is not what Ollama's API promises: is it Ollama? check OLLAMA_HOST or the base URL")
}

// cutOff says that a stream ended before its last line.
func cutOff(op string, resp *wire.Response) error {
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeInvalidResponse, RequestID: resp.RequestID(),
		Remedy: "the reply ended before it was complete: the server, or a proxy in between, gave up; its log says more",
		Err:    io.ErrUnexpectedEOF}
}

// broken is a failure to read a reply that had begun.
func broken(op string, resp *wire.Response, err error) error {
	err = fail(op, err)
	if e, ok := errors.AsType[*backend.Error](err); ok {
		e.RequestID = resp.RequestID()
	}
	return err
}

// failStream makes an error of an error object inside a reply that began with status 200.
func failStream(op string, s *wire.StatusError) error {
	if s.Code == strconv.Itoa(s.Status) {
		s.Code = "" // it came too late for the header
	}
	if s.Code == "" {
		s.Code = codeStream
	}
	if s.Remedy == "" && s.Status < http.StatusBadRequest {
		s.Remedy = remedyFor(http.StatusInternalServerError, s.Message)
	}
	return fail(op, s)
}

// notPulled completes the error of an installation with what the server's sentence means.
func notPulled(err error) error {
	e, ok := errors.AsType[*backend.Error](err)
	if !ok {
		return err
	}
	if e.Status == http.StatusOK {
		e.Status = 0 // the header of a reply whose body is the failure
	}
	has := func(part string) bool { return strings.Contains(e.Message, part) }
	switch {
	case has("file does not exist"), has("manifest unknown"):
		e.Code, e.Remedy = codeNoModel, "the registry has no such model: look for it at https://ollama.com/library"
	case has("invalid model name"):
		e.Code, e.Remedy = backend.CodeConfiguration, "that is not a model's name: it looks like llama3.2 or llama3.2:1b"
	case has("insecure protocol"), has("HTTP response to HTTPS client"):
		e.Code, e.Remedy = backend.CodeConfiguration, "the registry speaks no TLS: if you trust the network, pull with ollama.AllowInsecure (--insecure)"
	case has("digest mismatch"):
		e.Remedy = "what arrived is not the file that the registry announced: pull again, it is fetched anew"
	case has("max retries exceeded"), has("EOF"), has("connection reset"):
		e.Code, e.Remedy = backend.CodeUnreachable, "the connection between the server and the registry broke: pull again, it goes on where it was"
	case has("no such host"), has("connection refused"), has("dial tcp"), has("i/o timeout"):
		e.Code, e.Remedy = backend.CodeUnreachable, "the server cannot reach the registry: check its network, and HTTPS_PROXY where it runs"
	case has("newer version of Ollama"), has("requires a newer version"):
		e.Remedy = "the model needs a newer server: bring Ollama up to date"
	case has("no space left"):
		e.Remedy = "the disk of the server is full: remove a model with `ollama rm`, or set OLLAMA_MODELS to a larger one"
	}
	return e
}

func optionError(op string, err error) error {
	var o *backend.OptionError
	if !errors.As(err, &o) {
		return err
	}
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeConfiguration, Remedy: o.Error(), Err: err}
}

func unsupported(remedy string) error {
	return &backend.Error{Provider: provider, Op: opChat, Code: backend.CodeUnsupported, Remedy: remedy}
}

func misconfigured(remedy string) error {
	return &backend.Error{Provider: provider, Op: opChat, Code: backend.CodeConfiguration, Remedy: remedy}
}
