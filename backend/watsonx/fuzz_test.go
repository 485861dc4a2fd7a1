package watsonx_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
)

// wantTyped checks an error that a server provoked: it is of the contract, says what to do and repeats nothing.
func wantTyped(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*backend.Error](err)
	if !ok || e.Remedy == "" || e.Code == "" && e.Status == 0 || e.Provider != "ibm.watsonx.ai" {
		t.Errorf("got error %#v, want a *backend.Error with a code and a remedy", err)
	}
}

func FuzzStream(f *testing.F) {
	for _, s := range []string{
		chunks(delta(`"role":"assistant","content":""`, ""), delta(`"content":"Ciao"`, ""), delta(`"content":""`, "stop")) + usageChunk,
		chunks(delta(`"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"\"{}\""}}]`, "tool_calls")),
		chunks(delta(`"reasoning_content":"hm"`, "")) + "id: 3\nevent: close\ndata: {}\n\n",
		"id: 1\nevent: error\ndata: {\"errors\":[{\"code\":\"c\",\"message\":\"m\"}],\"trace\":\"t\",\"status_code\":500}\n\n",
		"data: {\"choices\":[{\"index\":0,\"finish_reason\":null}]," + blocked + "}\n\n", "data: [DONE]\n\n", ": \n\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response { return respond(200, "text/event-stream", string(body)) }
		out, err := newBackend(m).Generate(t.Context(), request(true))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for c, err := range out.Chunks(t.Context()) {
			if err != nil {
				break
			}
			if c.Kind == backend.ChunkText {
				text.WriteString(c.Text)
			}
		}
		r, err := out.Reply(context.Background())
		wantTyped(t, err)
		if got := r.Message.Text(); got != text.String() || !utf8.ValidString(got) {
			t.Errorf("got text %q from chunks %q, want them equal and valid", got, text.String())
		}
		if err == nil && r.Generation.FinishReasons.Len() > 1 {
			t.Errorf("got finish reasons %v, want at most one", r.Generation.FinishReasons.Slice())
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{aReply, whole(`"content":"a","reasoning_content":"b","refusal":"c"`, "length"), `{"errors":[{"code":"1"}],"status_code":1e9}`, `{"choices":[{}],` + blocked + `}`, `[`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response { return respond(200, "application/json", string(body)) }
		_, err := chat(t.Context(), newBackend(m), request(false))
		wantTyped(t, err)
	})
}

func FuzzCompletion(f *testing.F) {
	for _, s := range []string{completion("a", "eos_token"), completion("", "error"), `{"results":[{"generated_text":"","moderations":{"hap":[]}}]}`, `{"results":null}`, `{"errors":[]}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response { return respond(200, "application/json", string(body)) }
		reply, err := newBackend(m).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("p")})
		wantTyped(t, err)
		if u := reply.Generation.Usage; u.InputTokens < 0 || u.OutputTokens < 0 {
			t.Errorf("got usage %+v, want no negative counts", u)
		}
	})
}

// FuzzToken checks that whatever IAM says, what is sent as a token is one line of visible ASCII.
func FuzzToken(f *testing.F) {
	for _, s := range []string{anAccessToken, `{"access_token":"a\r\nX-Evil: 1"}`, `{"access_token":"\u00e9"}`, `{"access_token":"a","expires_in":-1e308}`, `{"access_token":"a","expiration":1e999}`, `{}`, ``} {
		f.Add([]byte(s), "Fri, 02 Jan 1970 00:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, body []byte, date string) {
		m := newMemory(aReply)
		m.iam = func(*http.Request, string) *http.Response {
			return respond(200, "application/json", string(body), "Date", date)
		}
		_, err := chat(t.Context(), newBackend(m), request(false))
		wantTyped(t, err)
		for _, r := range m.seen() {
			value, bearer := strings.CutPrefix(r.authorization, "Bearer ")
			if !bearer || value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Errorf("got authorization %q, want a bearer token of visible ASCII", r.authorization)
			}
		}
	})
}

func FuzzModels(f *testing.F) {
	for _, s := range []string{`{"resources":[{"model_id":"a","provider":"b","lifecycle":[{"id":"available","start_date":"2025-02-03"}]}],"next":{"href":"https://x/?start=1"}}`, `{"resources":[]}`, `{"next":3}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response { return respond(200, "application/json", string(body)) }
		_, err := newBackend(m).ListModels(t.Context())
		wantTyped(t, err)
	})
}

// FuzzIAMURL checks that an address of IAM is either used as it is, over TLS or locally, or refused.
func FuzzIAMURL(f *testing.F) {
	for _, s := range []string{watsonx.DefaultIAMURL, "http://localhost:1", "http://iam.example.com", "https://u:p@h", "https://h?x", "https://[::1", "", "https://h/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		m := newMemory(aReply)
		m.service = func(r *http.Request, _ string) *http.Response {
			if r.URL.Path == "/ml/v1/text/chat" && r.Method == http.MethodPost && r.URL.Host == "us-south.ml.cloud.ibm.com" {
				return respond(200, "application/json", aReply)
			}
			if r.URL.User != nil || r.URL.RawQuery != "" || r.URL.Scheme != "https" && r.URL.Scheme != "http" {
				t.Errorf("got a request to %s, want it refused", r.URL)
			}
			return respond(200, "application/json", anAccessToken)
		}
		_, err := chat(t.Context(), newBackend(m, watsonx.WithIAMURL(address)), request(false))
		wantTyped(t, err)
	})
}
