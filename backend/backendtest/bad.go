package backendtest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mellea-go/mellea/backend"
)

// badInput is something a server may do to a client, and the error that must come of it.
type badInput struct {
	name   string
	script script
	// streamOnly says that it cannot happen to a whole reply.
	streamOnly bool
	code       string // "" is not checked
	status     int
	remedy     string // a word of it
	// inProcess says that it can happen to a model in process too, which has neither status nor code to tell.
	inProcess bool
	// refusedByHeader says that the reply was given up before a backend saw it, and its request id with it.
	refusedByHeader bool
}

const page = "<!doctype html><html><body>" + hiddenReply + "</body></html>"

func (s Suite) badInputs() []badInput {
	failure := func(status int, code string) script {
		return script{status: status, code: code, message: hiddenMessage + " about model " + ownModel + " and key " + hiddenKey}
	}
	html := func(status int) script {
		return script{status: status, raw: []byte(page), contentType: "text/html; charset=utf-8"}
	}
	text := func(body string) script { return script{raw: []byte(body), contentType: "text/plain"} }
	return []badInput{
		{name: "400", script: failure(400, "bad_thing"), code: "bad_thing", status: 400},
		{name: "401", script: failure(401, "invalid_api_key"), status: 401, remedy: "key"},
		{name: "403", script: failure(403, ""), status: 403},
		{name: "404 of a model", script: failure(404, s.ModelUnknown), status: 404, remedy: ownModel},
		{name: "404 with a page: the wrong address", script: html(404), status: 404, remedy: "base URL"},
		{name: "429", script: failure(429, "rate_limit_exceeded"), status: 429},
		{name: "500", script: failure(500, "server_error"), status: 500, inProcess: true},
		{name: "502 with a page of a gateway", script: html(502), status: 502},
		{name: "a page instead of JSON", script: html(0), code: backend.CodeInvalidResponse, remedy: "base URL", refusedByHeader: true},
		{name: "a page that calls itself JSON", script: script{raw: []byte(page), contentType: "application/json"}, code: backend.CodeInvalidResponse, remedy: "base URL"},
		{name: "plain text", script: text(hiddenReply), code: backend.CodeInvalidResponse},
		{name: "an empty body", script: text(""), code: backend.CodeInvalidResponse},
		{name: "a document of another kind", script: script{raw: []byte(`{"` + hiddenReply + `":1}`), contentType: "application/json"}, code: backend.CodeInvalidResponse},
		{name: "no reply in the reply", script: script{raw: s.Dialect.Missing(false), contentType: s.Dialect.ContentType(false)}, code: backend.CodeInvalidResponse},
		{name: "no reply in the stream", script: script{raw: s.Dialect.Missing(true), contentType: s.Dialect.ContentType(true)}, streamOnly: true, code: backend.CodeInvalidResponse},
		{name: "a reply without a word", script: script{reply: Reply{ID: "x", Model: "m", Text: []string{""}, Finish: "stop", Usage: s.Usage}}, code: backend.CodeInvalidResponse, inProcess: true},
		{name: "a malformed chunk", script: script{reply: s.reply(), damage: true}, streamOnly: true, code: backend.CodeInvalidResponse},
		{name: "an endless body", script: script{reply: s.reply(), endless: true}, code: backend.CodeInvalidResponse},
	}
}

func runBadInput(t *testing.T, s Suite) {
	for _, bad := range s.badInputs() {
		if s.InProcess {
			if !bad.inProcess {
				continue
			}
			bad.status, bad.code, bad.script.message, bad.refusedByHeader = 0, "", "", true
		}
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, stream bool) {
				if bad.streamOnly && !stream {
					t.Skip("whole replies have no chunks")
				}
				_, b := s.serve(t, always(bad.script))
				r, err := generate(t, b, ask(stream))
				e := wantError(t, s, err)
				if e.Status != bad.status && bad.status != 0 {
					t.Errorf("got status %d, want %d", e.Status, bad.status)
				}
				if bad.code != "" && e.Code != bad.code {
					t.Errorf("got code %q, want %q", e.Code, bad.code)
				}
				if !strings.Contains(e.Remedy, bad.remedy) {
					t.Errorf("got remedy %q, want it to speak of %q", e.Remedy, bad.remedy)
				}
				if e.RequestID != requestID && !bad.refusedByHeader {
					t.Errorf("got request id %q in the error, want %q", e.RequestID, requestID)
				}
				if bad.script.message != "" && !strings.Contains(e.Message, hiddenMessage) {
					t.Errorf("got message %q, want the provider's", e.Message)
				}
				if g := r.Generation; g.Provider != s.Provider || g.Model == "" || g.Ended.IsZero() {
					t.Errorf("got metadata %+v, want it complete after an error too", g)
				}
			})
		})
	}
	if s.InProcess {
		return
	}
	t.Run("nothing listens", func(t *testing.T) {
		t.Parallel()
		_, err := generate(t, s.backendAt(t, unusedAddress(t)), ask(false))
		e := wantError(t, s, err)
		if e.Code != backend.CodeUnreachable || !strings.Contains(e.Remedy, "running") {
			t.Errorf("got code %q, remedy %q, want %q and a question whether the server is running", e.Code, e.Remedy, backend.CodeUnreachable)
		}
	})
	t.Run("an address that is none", func(t *testing.T) {
		t.Parallel()
		for _, url := range []string{"localhost:1234", "ftp://localhost", "http://", "http://user:" + hiddenKey + "@local host"} {
			b := s.backendAt(t, url)
			_, err := b.Info(patient(t))
			if got := wantError(t, s, err).Code; got != backend.CodeConfiguration {
				t.Errorf("Info: got code %q, want %q", got, backend.CodeConfiguration)
			}
			_, err = b.Generate(patient(t), ask(false))
			if got := wantError(t, s, err).Code; got != backend.CodeConfiguration {
				t.Errorf("Generate: got code %q, want %q", got, backend.CodeConfiguration)
			}
		}
	})
	t.Run("a redirect to another host", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			var reached atomic.Bool
			other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
			t.Cleanup(other.Close)
			_, b := s.serve(t, always(script{status: 307, header: map[string]string{"Location": other.URL + "/v1/x?secret=" + hiddenKey}}))
			_, err := generate(t, b, ask(stream))
			e := wantError(t, s, err)
			if e.Code != backend.CodeRedirect || !strings.Contains(e.Remedy, other.URL) {
				t.Errorf("got code %q, remedy %q, want %q and the address it leads to", e.Code, e.Remedy, backend.CodeRedirect)
			}
			if reached.Load() {
				t.Error("the redirect was followed, want it refused")
			}
		})
	})
}

// unusedAddress returns an address where nothing listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + ln.Addr().String()
}
