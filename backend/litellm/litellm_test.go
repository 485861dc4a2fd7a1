package litellm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/content"
)

// answer is a transport that answers every request the same way.
type answer struct {
	status int
	header http.Header
	body   string
	last   *http.Request
}

func (a *answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	a.last = r
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	return &http.Response{StatusCode: max(a.status, 200), Header: h, ContentLength: -1, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

const reply = `{"id":"chatcmpl-body","model":"gpt-4o-mini","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`

func clearEnv(t *testing.T) {
	t.Helper()
	t.Setenv("LITELLM_PROXY_API_BASE", "")
	t.Setenv("LITELLM_PROXY_API_KEY", "")
}

func chat(t *testing.T, b *litellm.Backend) (backend.Reply, error) {
	t.Helper()
	out, err := b.Generate(t.Context(), backend.Request{Messages: content.NewMessages(content.User("hello"))})
	if err != nil {
		return backend.Reply{}, err
	}
	return out.Reply(t.Context())
}

func TestSettings(t *testing.T) {
	tests := map[string]struct {
		base, key string // of the environment
		opts      []litellm.Option
		url, auth string
	}{
		"nothing set":        {url: "http://localhost:4000/v1/chat/completions"},
		"by the environment": {base: "http://proxy.example:8080", key: "sk-env", url: "http://proxy.example:8080/v1/chat/completions", auth: "Bearer sk-env"},
		"with a slash":       {base: "http://proxy.example/", url: "http://proxy.example/v1/chat/completions"},
		"with the version":   {base: "http://proxy.example/v1/", url: "http://proxy.example/v1/chat/completions"},
		"below a path":       {base: "https://gateway.example/litellm", url: "https://gateway.example/litellm/v1/chat/completions"},
		"with a query":       {base: "https://gateway.example/litellm?tenant=a", url: "https://gateway.example/litellm/v1/chat/completions?tenant=a"},
		"options win":        {base: "http://env", key: "sk-env", opts: []litellm.Option{litellm.WithBaseURL("http://opt"), litellm.WithAPIKey("sk-opt")}, url: "http://opt/v1/chat/completions", auth: "Bearer sk-opt"},
		"an authorisation of its own": {key: "sk-env", opts: []litellm.Option{litellm.WithHeader("Authorization", "Token x")},
			url: "http://localhost:4000/v1/chat/completions", auth: "Token x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LITELLM_PROXY_API_BASE", tt.base)
			t.Setenv("LITELLM_PROXY_API_KEY", tt.key)
			server := &answer{body: reply}
			b := litellm.New(append(tt.opts, litellm.WithModel("alias"), litellm.WithTransport(server))...)
			if _, err := chat(t, b); err != nil {
				t.Fatal(err)
			}
			got := []string{server.last.URL.String(), server.last.Header.Get("Authorization")}
			if diff := cmp.Diff(got, []string{tt.url, tt.auth}); diff != "" {
				t.Errorf("address and authorisation (-got +want):\n%s", diff)
			}
			if text := fmt.Sprintf("%v %+v %#v", b, b, b); strings.Contains(text, "sk-") {
				t.Errorf("got %q, want no key in it", text)
			}
		})
	}
	t.Run("no model", func(t *testing.T) {
		clearEnv(t)
		b := litellm.New(litellm.WithTransport(&answer{body: reply}))
		if info, err := b.Info(t.Context()); err != nil || !info.NeedsModel {
			t.Errorf("got %+v, %v, want a backend that needs a model", info, err)
		}
		_, err := chat(t, b)
		if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeConfiguration {
			t.Errorf("got error %v, want code %s", err, backend.CodeConfiguration)
		}
	})
}

// What the proxy says of a call is in its headers: docs.litellm.ai/docs/proxy/response_headers.
func TestHeaders(t *testing.T) {
	clearEnv(t)
	type told struct {
		RequestID, ResponseID, Deployment, Model, ResponseModel string
		Cost                                                    backend.Cost
	}
	tests := map[string]struct {
		header http.Header
		want   told
	}{
		"all of them": {
			http.Header{"X-Litellm-Call-Id": {"call-1"}, "X-Litellm-Model-Id": {"dep-1"}, "X-Litellm-Response-Cost": {"2.85e-05"}, "X-Request-Id": {"gateway"}},
			told{"call-1", "chatcmpl-body", "dep-1", "alias", "gpt-4o-mini", backend.Cost{USD: 2.85e-05, Reported: true}},
		},
		"nothing":      {nil, told{"", "chatcmpl-body", "", "alias", "gpt-4o-mini", backend.Cost{}}},
		"free of cost": {http.Header{"X-Litellm-Response-Cost": {"0.0"}}, told{"", "chatcmpl-body", "", "alias", "gpt-4o-mini", backend.Cost{Reported: true}}},
		"none, in words": {http.Header{"X-Litellm-Response-Cost": {"None"}, "X-Litellm-Model-Id": {"None"}},
			told{"", "chatcmpl-body", "", "alias", "gpt-4o-mini", backend.Cost{}}},
		"nonsense":   {http.Header{"X-Litellm-Response-Cost": {"NaN"}}, told{"", "chatcmpl-body", "", "alias", "gpt-4o-mini", backend.Cost{}}},
		"negative":   {http.Header{"X-Litellm-Response-Cost": {"-1"}}, told{"", "chatcmpl-body", "", "alias", "gpt-4o-mini", backend.Cost{}}},
		"infinitely": {http.Header{"X-Litellm-Response-Cost": {"Inf"}}, told{"", "chatcmpl-body", "", "alias", "gpt-4o-mini", backend.Cost{}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := chat(t, litellm.New(litellm.WithModel("alias"), litellm.WithTransport(&answer{header: tt.header, body: reply})))
			if err != nil {
				t.Fatal(err)
			}
			g := r.Generation
			got := told{g.RequestID, g.ResponseID, g.Deployment, g.Model, g.ResponseModel, g.Cost}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("metadata (-got +want):\n%s", diff)
			}
			if g.Provider != "litellm" || g.ServerAddress != "localhost" || g.ServerPort != 4000 {
				t.Errorf("got provider %q at %s:%d, want that of the proxy", g.Provider, g.ServerAddress, g.ServerPort)
			}
		})
	}
}

// The header of a stream leaves before its cost is known; a proxy with include_cost_in_streaming_usage tells it at the end.
func TestCostOfAStream(t *testing.T) {
	clearEnv(t)
	server := &answer{header: http.Header{"Content-Type": {"text/event-stream"}}, body: `data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"cost":0.0000285}}` + "\n\ndata: [DONE]\n\n"}
	b := litellm.New(litellm.WithModel("alias"), litellm.WithTransport(server), litellm.WithOptions(backend.Options{}.WithStream(true)))
	r, err := chat(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Generation.Cost, (backend.Cost{USD: 0.0000285, Reported: true}); got != want {
		t.Errorf("got cost %+v, want %+v", got, want)
	}
}

// The proxy's errors, in the shape of its ProxyException: a word for the kind in type, the status in code.
func TestErrors(t *testing.T) {
	clearEnv(t)
	tests := map[string]struct {
		status     int
		body       string
		code, says string
	}{
		"a key it does not know": {401, `{"error":{"message":"Authentication Error, Invalid proxy server token passed. SECRET","type":"token_not_found_in_db","param":"key","code":"401"}}`,
			"token_not_found_in_db", "LITELLM_PROXY_API_KEY"},
		"a key that has expired": {401, `{"error":{"message":"Authentication Error - Expired Key. SECRET","type":"expired_key","param":"key","code":"401"}}`, "expired_key", "expired"},
		"a model not allowed":    {403, `{"error":{"message":"key not allowed to access model. SECRET","type":"key_model_access_denied","param":"model","code":"403"}}`, "key_model_access_denied", "allow it"},
		"a budget that is spent": {429, `{"error":{"message":"Budget has been exceeded! Current cost: 1, Max budget: 0. SECRET","type":"budget_exceeded","param":null,"code":"429"}}`, "budget_exceeded", "budget"},
		"too many requests":      {429, `{"error":{"message":"Rate limit exceeded for api_key: SECRET","type":"throttling_error","param":null,"code":"429"}}`, "throttling_error", "too many requests"},
		"no deployment":          {429, `{"error":{"message":"No deployments available for selected model, Try again in 5 seconds. SECRET","type":"None","param":"None","code":"429"}}`, "429", "no deployment"},
		"a model it does not know": {400, `{"error":{"message":"/chat/completions: Invalid model name passed in model=SECRET","type":"invalid_request_error","param":"model","code":"400"}}`,
			"invalid_request_error", "model_list"},
		"a model for which it has no pattern": {400, `{"error":{"message":"litellm.BadRequestError: You passed in model=SECRET. There are no healthy deployments for this model","type":"invalid_request_error","param":null,"code":"400"}}`,
			"invalid_request_error", "model_list"},
		"a filter of a provider": {400, `{"error":{"message":"litellm.BadRequestError: litellm.ContentPolicyViolationError: SECRET","type":null,"param":null,"code":"400"}}`,
			"content_policy_violation", "content filter"},
		"no database":   {400, `{"error":{"message":"No connected db. SECRET","type":"no_db_connection","param":null,"code":"400"}}`, "no_db_connection", "database"},
		"as a detail":   {500, `{"detail":{"error":"SECRET"}}`, "", "log"},
		"of a provider": {503, `{"error":{"message":"litellm.ServiceUnavailableError: SECRET","type":null,"param":null,"code":"503"}}`, "503", "log"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"X-Litellm-Call-Id": {"call-9"}, "X-Litellm-Model-Id": {"dep-9"}}
			b := litellm.New(litellm.WithModel("alias"), litellm.WithRetries(0), litellm.WithTransport(&answer{status: tt.status, header: header, body: tt.body}))
			r, err := chat(t, b)
			e, ok := errors.AsType[*backend.Error](err)
			if !ok {
				t.Fatalf("got error %v, want a *backend.Error", err)
			}
			if e.Status != tt.status || e.Code != tt.code || e.RequestID != "call-9" {
				t.Errorf("got status %d, code %q, request %q, want %d, %q, call-9", e.Status, e.Code, e.RequestID, tt.status, tt.code)
			}
			if !strings.Contains(e.Remedy, tt.says) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %q, want it to speak of %q and to quote nothing", err, tt.says)
			}
			if g := r.Generation; g.RequestID != "call-9" || g.Deployment != "dep-9" {
				t.Errorf("got request %q, deployment %q, want them of a call that failed too", g.RequestID, g.Deployment)
			}
		})
	}
}

// The cost of a batch is that of its requests together.
func TestBatchCost(t *testing.T) {
	clearEnv(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(string(body), `"prompt":[`) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"message":"prompt must be a string","type":"None","code":"400"}}`)
			return
		}
		w.Header().Set("X-Litellm-Response-Cost", "0.25")
		w.Header().Set("X-Litellm-Call-Id", "call")
		fmt.Fprint(w, `{"id":"cmpl","model":"m","choices":[{"index":0,"text":"t","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	defer web.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	b := litellm.New(litellm.WithBaseURL(web.URL), litellm.WithModel("m"), litellm.WithTransport(transport))
	r, err := b.GenerateBatch(context.Background(), backend.BatchRequest{Prompts: content.ListOf("a", "b", "c")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Generation.Cost, (backend.Cost{USD: 0.75, Reported: true}); got != want {
		t.Errorf("got cost %+v, want %+v", got, want)
	}
	if r.Failed() != 0 || r.Items.At(2).Usage.Total() != 2 {
		t.Errorf("got items %+v, want three with their usage", r.Items.Slice())
	}
}
