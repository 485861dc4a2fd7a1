package huggingface_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers each request with a status and a body, and tells what it got.
func serve(t *testing.T, status int, contentType, body string) (url string, transport http.RoundTripper, got func() (*http.Request, string)) {
	t.Helper()
	var last *http.Request
	var sent string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		last, sent = r, string(b)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Request-Id", "req-1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	tr := &http.Transport{}
	t.Cleanup(func() { tr.CloseIdleConnections(); s.Close() })
	return s.URL, tr, func() (*http.Request, string) { return last, sent }
}

func ask(stream bool) backend.Request {
	return backend.Request{Messages: content.NewMessages(content.User("hi")), Options: backend.Options{}.WithStream(stream)}
}

func reply(t *testing.T, b backend.Backend, req backend.Request) (backend.Reply, error) {
	t.Helper()
	out, err := b.Generate(t.Context(), req)
	if err != nil {
		return backend.Reply{}, err
	}
	return out.Reply(t.Context())
}

// The replies are in the form that the servers send them.
func TestDialects(t *testing.T) {
	t.Parallel()
	const events, document = "text/event-stream", "application/json"
	tests := map[string]struct {
		server    huggingface.Server
		stream    bool
		typ, body string
		text      string
		calls     []content.ToolCall
		g         backend.Generation // what is compared of it
		finish    string
	}{
		"TGI": {
			server: huggingface.TGI, typ: document,
			body: `{"object":"chat.completion","id":"","created":1733000000,"model":"Qwen/Qwen2.5-7B-Instruct","system_fingerprint":"3.3.4-sha-abc","choices":[{"index":0,"message":{"role":"assistant","content":"Bonjour."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}`,
			text: "Bonjour.", finish: "stop",
			g: backend.Generation{ResponseModel: "Qwen/Qwen2.5-7B-Instruct", SystemFingerprint: "3.3.4-sha-abc", Usage: content.Usage{InputTokens: 12, OutputTokens: 3}},
		},
		"TGI, streamed, without counts": {
			server: huggingface.TGI, stream: true, typ: events,
			body: "data: {\"object\":\"chat.completion.chunk\",\"id\":\"\",\"created\":1733000000,\"model\":\"m\",\"system_fingerprint\":\"3\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Bon\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n" +
				"data: {\"object\":\"chat.completion.chunk\",\"id\":\"\",\"created\":1733000000,\"model\":\"m\",\"system_fingerprint\":\"3\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"jour\"},\"logprobs\":null,\"finish_reason\":\"length\"}],\"usage\":null}\n\ndata: [DONE]\n\n",
			text: "Bonjour", finish: "length", g: backend.Generation{ResponseModel: "m", SystemFingerprint: "3"},
		},
		"TGI, a tool call whose arguments are an object": {
			server: huggingface.TGI, typ: document,
			body:  `{"object":"chat.completion","id":"","model":"m","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"0","type":"function","function":{"description":null,"name":"weather","arguments":{"city":"Paris"}}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
			calls: []content.ToolCall{{ID: "0", Name: "weather", Arguments: `{"city":"Paris"}`}}, finish: "stop",
			g: backend.Generation{ResponseModel: "m", Usage: content.Usage{InputTokens: 1, OutputTokens: 2}},
		},
		"transformers": {
			server: huggingface.Transformers, typ: document,
			body: `{"id":"5b0c","choices":[{"finish_reason":"stop","index":0,"message":{"content":"Hi","role":"assistant"}}],"created":1733000000,"model":"Qwen/Qwen2.5-0.5B-Instruct@main","object":"chat.completion","usage":{"completion_tokens":2,"prompt_tokens":5,"total_tokens":7}}`,
			text: "Hi", finish: "stop",
			g: backend.Generation{ResponseID: "5b0c", ResponseModel: "Qwen/Qwen2.5-0.5B-Instruct@main", Usage: content.Usage{InputTokens: 5, OutputTokens: 2}},
		},
		"transformers, streamed, without a last line": {
			server: huggingface.Transformers, stream: true, typ: events,
			body: "data: {\"id\":\"5b0c\",\"choices\":[{\"delta\":{\"role\":\"assistant\"},\"index\":0}],\"created\":1,\"model\":\"m@main\",\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"\"}\n\n" +
				"data: {\"id\":\"5b0c\",\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"index\":0}],\"created\":1,\"model\":\"m@main\",\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"\"}\n\n" +
				"data: {\"id\":\"5b0c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"index\":0}],\"created\":1,\"model\":\"m@main\",\"object\":\"chat.completion.chunk\",\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":5,\"total_tokens\":7}}\n\n",
			text: "Hi", finish: "stop", g: backend.Generation{ResponseID: "5b0c", ResponseModel: "m@main", Usage: content.Usage{InputTokens: 5, OutputTokens: 2}},
		},
		"the router": {
			typ:  document,
			body: `{"id":"chatcmpl-1","object":"chat.completion","created":1733000000,"model":"openai/gpt-oss-120b","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning":"hm"},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"completion_tokens_details":{"reasoning_tokens":1}},"x_groq":{"id":"req_1"}}`,
			text: "Hi", finish: "stop",
			g: backend.Generation{ResponseID: "chatcmpl-1", ResponseModel: "openai/gpt-oss-120b", Usage: content.Usage{InputTokens: 5, OutputTokens: 2, ReasoningTokens: 1}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, transport, _ := serve(t, 200, tc.typ, tc.body)
			b := huggingface.New(huggingface.WithBaseURL(url), huggingface.WithTransport(transport), huggingface.WithServer(tc.server), huggingface.WithModel("m"))
			r, err := reply(t, b, ask(tc.stream))
			if err != nil {
				t.Fatal(err)
			}
			if r.Message.Text() != tc.text {
				t.Errorf("got text %q, want %q", r.Message.Text(), tc.text)
			}
			var calls []content.ToolCall
			for c := range r.Message.ToolCalls() {
				calls = append(calls, c)
			}
			if diff := cmp.Diff(tc.calls, calls); diff != "" {
				t.Errorf("tool calls (-want +got):\n%s", diff)
			}
			g := r.Generation
			got := backend.Generation{ResponseID: g.ResponseID, ResponseModel: g.ResponseModel, SystemFingerprint: g.SystemFingerprint, Usage: g.Usage}
			if diff := cmp.Diff(fmt.Sprintf("%+v", tc.g), fmt.Sprintf("%+v", got)); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			if g.FinishReasons.Len() != 1 || g.FinishReasons.At(0) != tc.finish || g.RequestID != "req-1" {
				t.Errorf("got finish reasons %v, request id %q, want %s", g.FinishReasons.Slice(), g.RequestID, tc.finish)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status       int
		body         string
		code, remedy string
	}{
		"no token":               {401, `{"error":"Invalid username or password."}`, "", "HF_TOKEN"},
		"no credits":             {402, `{"error":"You have exceeded your monthly included credits for Inference Providers."}`, "", "settings/billing"},
		"a token that may not":   {403, `{"error":"This authentication method does not have sufficient permissions to call Inference Providers on behalf of user x"}`, "", "settings/tokens"},
		"a model nobody serves":  {400, `{"error":{"message":"The requested model 'x' is not supported by any provider you have enabled.","type":"invalid_request_error","param":"model","code":"model_not_supported"}}`, "model_not_supported", "settings/inference-providers"},
		"TGI, too long":          {422, "{\"error\":\"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`\",\"error_type\":\"validation\"}", "validation", "fewer tokens"},
		"TGI, busy":              {429, `{"error":"Model is overloaded","error_type":"overloaded"}`, "overloaded", "busy"},
		"TGI, another format":    {422, "Failed to deserialize the JSON body into the target type: response_format: missing field `value` at line 1 column 9", "", "WithServer(TGI)"},
		"transformers, a field":  {422, `{"detail":"Unsupported fields in the request: {'stream_options'}"}`, "", "WithServer(Transformers)"},
		"transformers, a member": {422, `{"detail":"Unexpected keys in the request: {'top_k'}"}`, "", "WithServer(Transformers)"},
		"loading":                {503, `{"error":"Model x is currently loading","estimated_time":20.0}`, "", "loading"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, transport, _ := serve(t, tc.status, "application/json", tc.body)
			b := huggingface.New(huggingface.WithBaseURL(url), huggingface.WithTransport(transport), huggingface.WithModel("m"), huggingface.WithRetries(0))
			_, err := reply(t, b, ask(false))
			var e *backend.Error
			if !errors.As(err, &e) || e.Status != tc.status || !strings.Contains(e.Remedy, tc.remedy) || tc.code != "" && e.Code != tc.code {
				t.Errorf("got %v (%+v), want status %d, code %q, a remedy about %q", err, e, tc.status, tc.code, tc.remedy)
			}
			if e != nil && e.Message != "" && strings.Contains(err.Error(), e.Message) {
				t.Errorf("the error quotes the server: %v", err)
			}
		})
	}
}

// Each kind of server gets a schema in its own form, or none.
func TestFormat(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse("person", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	for server, want := range map[huggingface.Server]string{
		huggingface.Compatible: `"response_format":{"type":"json_schema","json_schema":{"name":"person","strict":true,"schema":{"type":"object"}}}`,
		huggingface.TGI:        `"response_format":{"type":"json_object","value":{"type":"object"}}`,
	} {
		url, transport, got := serve(t, 200, "application/json", `{"choices":[{"index":0,"message":{"role":"assistant","content":"{}"},"finish_reason":"stop"}]}`)
		b := huggingface.New(huggingface.WithBaseURL(url), huggingface.WithTransport(transport), huggingface.WithServer(server), huggingface.WithModel("m"))
		req := ask(false)
		req.Format = s
		if _, err := reply(t, b, req); err != nil {
			t.Error(err)
		}
		if _, body := got(); !strings.Contains(body, want) {
			t.Errorf("got request %s, want %s in it", body, want)
		}
	}
	b := huggingface.New(huggingface.WithBaseURL("http://localhost:1"), huggingface.WithServer(huggingface.Transformers), huggingface.WithModel("m"))
	req := ask(false)
	req.Format = s
	_, err = b.Generate(t.Context(), req)
	if e := new(backend.Error); !errors.As(err, &e) || e.Code != backend.CodeUnsupported {
		t.Errorf("got %v of transformers, want that it has no schemas", err)
	}
	info, err := b.Info(t.Context())
	if err != nil || info.Capabilities.Structured != backend.StructuredNone || info.Capabilities.Batch {
		t.Errorf("got info %+v, %v, want no schemas and no batches", info, err)
	}
}

type recorder struct{ last *http.Request }

var errRecorded = errors.New("recorded")

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.last = req
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, errRecorded
}

// Where requests go, and who gets to see the token.
func TestAddresses(t *testing.T) {
	const token = "hf_secret"
	tests := map[string]struct {
		env, option string
		url         string
		explicit    bool // the token is an option
		sent        bool
	}{
		"nothing":                 {url: "https://router.huggingface.co/v1/chat/completions", sent: true},
		"the hub":                 {env: "https://huggingface.co", url: "https://router.huggingface.co/v1/chat/completions", sent: true},
		"a dedicated endpoint":    {env: "https://x1.us-east-1.aws.endpoints.huggingface.cloud", url: "https://x1.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions", sent: true},
		"one provider":            {env: "https://router.huggingface.co/groq/openai/v1/", url: "https://router.huggingface.co/groq/openai/v1/chat/completions", sent: true},
		"a server here":           {env: "http://localhost:8080", url: "http://localhost:8080/v1/chat/completions"},
		"an option over it":       {env: "http://localhost:8080", option: "http://localhost:9090/api", url: "http://localhost:9090/api/chat/completions"},
		"a server that wants one": {env: "http://localhost:8080", url: "http://localhost:8080/v1/chat/completions", explicit: true, sent: true},
		"somebody else's":         {env: "https://huggingface.co.example.com/v1", url: "https://huggingface.co.example.com/v1/chat/completions"},
		"without encryption":      {env: "http://x.endpoints.huggingface.cloud/v1", url: "http://x.endpoints.huggingface.cloud/v1/chat/completions"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HF_ENDPOINT", tc.env)
			opts := []huggingface.Option{huggingface.WithModel("m"), huggingface.WithRetries(0)}
			if tc.explicit {
				t.Setenv("HF_TOKEN", "")
				opts = append(opts, huggingface.WithToken(token))
			} else {
				t.Setenv("HF_TOKEN", token)
			}
			if tc.option != "" {
				opts = append(opts, huggingface.WithBaseURL(tc.option))
			}
			rec := &recorder{}
			b := huggingface.New(append(opts, huggingface.WithTransport(rec))...)
			if _, err := reply(t, b, ask(false)); !errors.Is(err, errRecorded) {
				t.Fatalf("got %v, want the request recorded", err)
			}
			if got := rec.last.URL.String(); got != tc.url {
				t.Errorf("got address %s, want %s", got, tc.url)
			}
			if got := rec.last.Header.Get("Authorization"); (got == "Bearer "+token) != tc.sent || got != "" && !tc.sent {
				t.Errorf("got authorization %q, want the token sent: %v", got, tc.sent)
			}
			if text := fmt.Sprintf("%v %+v %#v %s", b, b, b, b.LogValue()); strings.Contains(text, token) {
				t.Errorf("the backend prints its token: %s", text)
			}
		})
	}
}

func TestInfo(t *testing.T) {
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_ENDPOINT", "")
	_, err := huggingface.New(huggingface.WithModel("m")).Info(t.Context())
	if e := new(backend.Error); !errors.As(err, &e) || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, "HF_TOKEN") {
		t.Errorf("got %v of the router without a token, want that one is needed", err)
	}
	b := huggingface.New(huggingface.WithToken("hf_x"), huggingface.WithModel("m"))
	info, err := b.Info(t.Context())
	want := backend.Info{Provider: "huggingface", Model: "m", ServerAddress: "router.huggingface.co", ServerPort: 443,
		Capabilities: backend.Capabilities{Images: true, Audio: true, Tools: true, Structured: backend.StructuredSchema}}
	if diff := cmp.Diff(want, info); diff != "" || err != nil {
		t.Errorf("info (-want +got):\n%s, %v", diff, err)
	}
	if _, err := b.GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("x")}); err == nil {
		t.Error("the router makes raw completions, want that it has none")
	}
	tgi, err := huggingface.New(huggingface.WithBaseURL("http://localhost:8080"), huggingface.WithServer(huggingface.TGI)).Info(t.Context())
	if err != nil || tgi.Model != "tgi" || tgi.ServerPort != 8080 {
		t.Errorf("got %+v, %v of TGI without a model, want that any name will do", tgi, err)
	}
}

func TestListModels(t *testing.T) {
	t.Parallel()
	url, transport, got := serve(t, 200, "application/json", `{"object":"list","data":[{"id":"openai/gpt-oss-120b","object":"model","created":1754000000,"owned_by":"openai","providers":[{"provider":"groq","status":"live"}]}]}`)
	models, err := huggingface.New(huggingface.WithBaseURL(url), huggingface.WithTransport(transport)).ListModels(t.Context())
	if err != nil || len(models) != 1 || models[0].Name != "openai/gpt-oss-120b" || models[0].Owner != "openai" {
		t.Errorf("got %+v, %v, want the one model", models, err)
	}
	if r, _ := got(); r.URL.Path != "/v1/models" {
		t.Errorf("got path %s, want /v1/models", r.URL.Path)
	}
}
