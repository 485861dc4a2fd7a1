package openai_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// clearEnv gives a test an environment without the variables that New reads.
func clearEnv(t *testing.T) {
	for _, name := range []string{"OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"} {
		t.Setenv(name, "")
	}
}

// answer is a transport that replies to every request with a document and remembers the last one.
type answer struct {
	contentType, body string
	last              *http.Request
	sent              []byte
}

func (a *answer) RoundTrip(r *http.Request) (*http.Response, error) {
	a.last = r
	if r.Body != nil {
		a.sent, _ = io.ReadAll(r.Body)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {a.contentType}}, ContentLength: -1,
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}, nil
}

func whole(text string) *answer {
	return &answer{contentType: "application/json", body: fmt.Sprintf(`{"choices":[{"message":{"content":%q},"finish_reason":"stop"}]}`, text)}
}

func stream(events ...string) *answer {
	return &answer{contentType: "text/event-stream", body: "data: " + strings.Join(events, "\n\ndata: ") + "\n\n"}
}

func chat(t *testing.T, b *openai.Backend, o backend.Options) (backend.Reply, error) {
	t.Helper()
	out, err := b.Generate(t.Context(), backend.Request{Messages: content.NewMessages(content.User("hi")), Options: o})
	if err != nil {
		return backend.Reply{}, err
	}
	return out.Reply(t.Context())
}

func TestConfiguration(t *testing.T) {
	tests := []struct {
		name       string
		env        map[string]string
		options    []openai.Option
		wantURL    string
		wantHeader map[string]string
		provider   string
	}{
		{
			name: "the environment", env: map[string]string{"OPENAI_API_KEY": "sk-env", "OPENAI_ORG_ID": "org", "OPENAI_PROJECT_ID": "proj"},
			wantURL:    "https://api.openai.com/v1/chat/completions",
			wantHeader: map[string]string{"Authorization": "Bearer sk-env", "Openai-Organization": "org", "Openai-Project": "proj"},
			provider:   "openai",
		},
		{
			name: "options win", env: map[string]string{"OPENAI_API_KEY": "sk-env", "OPENAI_BASE_URL": "https://env.example/v1", "OPENAI_ORG_ID": "org"},
			options: []openai.Option{openai.WithAPIKey("sk-opt"), openai.WithBaseURL("https://opt.example/api/"), openai.WithOrganization("other"), openai.WithProject("p")},
			wantURL: "https://opt.example/api/chat/completions", provider: "openai",
			wantHeader: map[string]string{"Authorization": "Bearer sk-opt", "Openai-Organization": "other", "Openai-Project": "p"},
		},
		{
			name: "a base URL of the environment", env: map[string]string{"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://env.example/v1"},
			wantURL: "https://env.example/v1/chat/completions", provider: "openai", wantHeader: map[string]string{"Authorization": "Bearer k"},
		},
		{
			name:    "Azure",
			options: []openai.Option{openai.WithAPIKey("k"), openai.WithBaseURL("https://me.openai.azure.com/openai/deployments/d?api-version=2024-10-21")},
			wantURL: "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21", provider: "azure.ai.openai",
			wantHeader: map[string]string{"Api-Key": "k", "Authorization": ""},
		},
		{
			name:    "a server without a key",
			options: []openai.Option{openai.WithAPIKey(""), openai.WithBaseURL("https://models.example.com/v1"), openai.WithProvider("vllm")},
			wantURL: "https://models.example.com/v1/chat/completions", provider: "vllm", wantHeader: map[string]string{"Authorization": ""},
		},
		{
			name: "a header of the program's own takes the place of the key", env: map[string]string{"OPENAI_API_KEY": "k"},
			options: []openai.Option{openai.WithHeader("Authorization", "Custom x"), openai.WithHeader("X-Team", "t")},
			wantURL: "https://api.openai.com/v1/chat/completions", provider: "openai", wantHeader: map[string]string{"Authorization": "Custom x", "X-Team": "t"},
		},
		{
			name: "user-info takes the place of the environment's key", env: map[string]string{"OPENAI_API_KEY": "k"},
			options: []openai.Option{openai.WithBaseURL("https://user:pass@models.example.com/v1")},
			wantURL: "https://models.example.com/v1/chat/completions", provider: "openai", wantHeader: map[string]string{"Authorization": "Basic dXNlcjpwYXNz"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clearEnv(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			server := whole("hi")
			b := openai.New(append(tt.options, openai.WithModel("m"), openai.WithTransport(server))...)
			info, err := b.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.Provider != tt.provider || info.Capabilities.Structured != backend.StructuredSchema {
				t.Errorf("got info %+v, want provider %q and structured output", info, tt.provider)
			}
			if _, err := chat(t, b, backend.Options{}); err != nil {
				t.Fatal(err)
			}
			if got := server.last.URL.String(); got != tt.wantURL {
				t.Errorf("got URL %q, want %q", got, tt.wantURL)
			}
			for name, want := range tt.wantHeader {
				if got := server.last.Header.Get(name); got != want {
					t.Errorf("got header %s %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestConfigurationErrors(t *testing.T) {
	tests := []struct {
		name    string
		options []openai.Option
		remedy  string
	}{
		{"no key for a public server", []openai.Option{openai.WithModel("m")}, "OPENAI_API_KEY"},
		{"a base URL without a scheme", []openai.Option{openai.WithAPIKey("k"), openai.WithModel("m"), openai.WithBaseURL("localhost:8000/v1")}, "base URL"},
		{"a key with a newline", []openai.Option{openai.WithAPIKey("sk-SECRET\n"), openai.WithModel("m")}, "newline"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clearEnv(t)
			b := openai.New(tt.options...)
			_, infoErr := b.Info(t.Context())
			_, callErr := b.Generate(t.Context(), backend.Request{})
			for _, err := range []error{infoErr, callErr} {
				var e *backend.Error
				if !errors.As(err, &e) || e.Code != backend.CodeConfiguration {
					t.Fatalf("got error %v, want a *backend.Error with code %s", err, backend.CodeConfiguration)
				}
				if !strings.Contains(e.Remedy, tt.remedy) || strings.Contains(err.Error(), "SECRET") {
					t.Errorf("got %q, want it to speak of %s and to quote no key", err, tt.remedy)
				}
			}
		})
	}
}

func TestLocalServersNeedNoKey(t *testing.T) {
	clearEnv(t)
	for base, want := range map[string]bool{
		"http://localhost:8000/v1": true, "http://127.0.0.1/v1": true, "http://[::1]:1234/v1": true, "http://vllm:8000/v1": true,
		"http://192.168.1.9/v1": true, "http://gpu.local/v1": true, "http://models.corp.internal/v1": true,
		"https://api.openai.com/v1": false, "https://models.example.com/v1": false, "http://8.8.8.8/v1": false,
	} {
		_, err := openai.New(openai.WithBaseURL(base), openai.WithModel("m")).Info(t.Context())
		if got := err == nil; got != want {
			t.Errorf("%s: got a backend without a key: %t, want %t", base, got, want)
		}
	}
}

// A model may be named by the session or the call, so Info does not ask for one; a call without any does.
func TestNoModel(t *testing.T) {
	clearEnv(t)
	b := openai.New(openai.WithAPIKey("k"))
	if info, err := b.Info(t.Context()); err != nil || !info.NeedsModel {
		t.Errorf("got %+v, %v, want an Info that needs a model", info, err)
	}
	var e *backend.Error
	if _, err := b.Generate(t.Context(), backend.Request{}); !errors.As(err, &e) || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, "WithModel") {
		t.Errorf("got error %v, want a configuration error that names WithModel", err)
	}
}

// What answered is told by whole replies and by streams.
func TestSystemThatAnswered(t *testing.T) {
	clearEnv(t)
	head := `"system_fingerprint":"fp_1","service_tier":"flex",`
	for name, server := range map[string]*answer{
		"whole":    {contentType: "application/json", body: `{` + head + `"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`},
		"streamed": stream(`{`+head+`"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`, "[DONE]"),
	} {
		b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(server))
		r, err := chat(t, b, backend.Options{}.WithStream(name == "streamed"))
		if err != nil {
			t.Fatal(err)
		}
		if g := r.Generation; g.SystemFingerprint != "fp_1" || g.ServiceTier != "flex" {
			t.Errorf("%s: got fingerprint %q and tier %q", name, g.SystemFingerprint, g.ServiceTier)
		}
	}
}

func TestModelOfTheCall(t *testing.T) {
	clearEnv(t)
	server := whole("hi")
	b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithTransport(server))
	r, err := chat(t, b, backend.Options{}.WithModel("called"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Generation.Model != "called" || !bytes.Contains(server.sent, []byte(`"model":"called"`)) {
		t.Errorf("got model %q and request %s, want the call's", r.Generation.Model, server.sent)
	}
}

func TestOptionsOfTheBackend(t *testing.T) {
	clearEnv(t)
	server := whole("hi")
	b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(server),
		openai.WithMaxTokensField("max_tokens"),
		openai.WithOptions(backend.Options{}.WithSeed(1).WithMaxTokens(10).WithExtra("chat_template_kwargs", map[string]any{"a": 1})))
	_, err := chat(t, b, backend.Options{}.WithSeed(2).WithThinking("on").WithExtra("chat_template_kwargs", map[string]any{"b": 2}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"seed":2,"reasoning_effort":"medium",` +
		`"chat_template_kwargs":{"a":1,"b":2,"enable_thinking":true}}`
	if diff := cmp.Diff(string(server.sent), want); diff != "" {
		t.Errorf("request (-got +want):\n%s", diff)
	}
}

// OpenAI itself refuses what it does not know, so that is left out there, unless the program used OpenAI's own words.
func TestOpenAIHasNoTopK(t *testing.T) {
	clearEnv(t)
	var log bytes.Buffer
	server := whole("hi")
	b := openai.New(openai.WithAPIKey("k"), openai.WithModel("m"), openai.WithTransport(server), openai.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if _, err := chat(t, b, backend.Options{}.WithTopK(3).WithThinking("off")); err != nil {
		t.Fatal(err)
	}
	if got := string(server.sent); strings.Contains(got, "top_k") || strings.Contains(got, "enable_thinking") || !strings.Contains(got, `"reasoning_effort":"none"`) {
		t.Errorf("got request %s, want only what OpenAI knows", got)
	}
	if got := strings.Count(log.String(), "top-k"); got != 1 {
		t.Errorf("got %d warnings, want 1:\n%s", got, log.String())
	}
	if _, err := chat(t, b, backend.Options{}.WithExtra("top_k", 3)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(server.sent, []byte(`"top_k":3`)) {
		t.Errorf("got request %s, want an extra passed through", server.sent)
	}
}

// Each server is told the bound on the reply by the name it knows: one that is not known is dropped without a word, or
// refused.
func TestMaxTokensField(t *testing.T) {
	clearEnv(t)
	for _, tt := range []struct {
		url     string
		options []openai.Option
		want    string
	}{
		{url: openai.DefaultBaseURL, want: "max_completion_tokens"},
		{url: "https://me.openai.azure.com/openai/v1", want: "max_completion_tokens"},
		{url: "http://localhost:11434/v1", want: "max_tokens"},
		{url: "https://models.example.com/v1", want: "max_tokens"},
		{url: "https://proxy.example.com/v1", options: []openai.Option{openai.WithMaxTokensField("max_completion_tokens")}, want: "max_completion_tokens"},
		{url: openai.DefaultBaseURL, options: []openai.Option{openai.WithMaxTokensField("max_tokens")}, want: "max_tokens"},
	} {
		server := whole("hi")
		b := openai.New(append(tt.options, openai.WithBaseURL(tt.url), openai.WithAPIKey("k"), openai.WithModel("m"), openai.WithTransport(server))...)
		if _, err := chat(t, b, backend.Options{}.WithMaxTokens(4)); err != nil {
			t.Fatal(err)
		}
		if want := `"` + tt.want + `":4`; !bytes.Contains(server.sent, []byte(want)) || bytes.Count(server.sent, []byte("tokens")) != 1 {
			t.Errorf("%s: got request %s, want %s", tt.url, server.sent, want)
		}
	}
}

func TestFinish(t *testing.T) {
	clearEnv(t)
	tests := []struct {
		name    string
		server  *answer
		options backend.Options
		text    string
		finish  []string
		code    string // of the error, "" for none
	}{
		{"a refusal is the reply", &answer{contentType: "application/json", body: `{"choices":[{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"stop"}]}`},
			backend.Options{}, "I cannot.", []string{"refusal"}, ""},
		{"a refusal, streamed", stream(`{"choices":[{"delta":{"refusal":"I "}}]}`, `{"choices":[{"delta":{"refusal":"cannot."}}]}`, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`, "[DONE]"),
			backend.Options{}.WithStream(true), "I cannot.", []string{"refusal"}, ""},
		{"the content filter cut it off", stream(`{"choices":[{"delta":{"content":"abc"}}]}`, `{"choices":[{"delta":{},"finish_reason":"content_filter"}]}`, "[DONE]"),
			backend.Options{}.WithStream(true), "abc", []string{"content_filter"}, "content_filter"},
		{"nothing but reasoning, bound reached", &answer{contentType: "application/json", body: `{"choices":[{"message":{"content":"","reasoning_content":"hm"},"finish_reason":"length"}]}`},
			backend.Options{}, "", []string{"length"}, ""},
		{"nothing, bound reached", whole(""), backend.Options{}, "", []string{"stop"}, backend.CodeInvalidResponse},
		{"nothing, because of a stop sequence", whole(""), backend.Options{}.WithStop("x"), "", []string{"stop"}, ""},
		{"[DONE] without a finish reason", stream(`{"choices":[{"delta":{"content":"a"}}]}`, "[DONE]"), backend.Options{}.WithStream(true), "a", nil, ""},
		{"a finish reason without [DONE]", stream(`{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`), backend.Options{}.WithStream(true), "a", []string{"stop"}, ""},
		{"neither", stream(`{"choices":[{"delta":{"content":"a"}}]}`), backend.Options{}.WithStream(true), "a", nil, backend.CodeInvalidResponse},
		{"a whole reply to a wish for a stream", whole("a"), backend.Options{}.WithStream(true), "a", []string{"stop"}, ""},
		{"an error in the middle", stream(`{"choices":[{"delta":{"content":"a"}}]}`, `{"error":{"message":"SECRET","code":"overloaded","type":"server_error"}}`),
			backend.Options{}.WithStream(true), "a", nil, "overloaded"},
		{"an error instead of a reply", &answer{contentType: "application/json", body: `{"error":{"message":"SECRET","code":429}}`}, backend.Options{}, "", nil, "429"},
		{"an error event", &answer{contentType: "text/event-stream", body: "event: error\ndata: {\"message\":\"SECRET\"}\n\n"}, backend.Options{}.WithStream(true), "", nil, backend.CodeInvalidResponse},
		{"comments keep the connection alive", &answer{contentType: "text/event-stream", body: ": OPENROUTER PROCESSING\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"},
			backend.Options{}.WithStream(true), "a", []string{"stop"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(tt.server))
			r, err := chat(t, b, tt.options)
			var e *backend.Error
			switch {
			case tt.code == "" && err != nil:
				t.Fatal(err)
			case tt.code != "" && (!errors.As(err, &e) || e.Code != tt.code || e.Remedy == ""):
				t.Errorf("got error %v, want a *backend.Error with code %q and a remedy", err, tt.code)
			case tt.code != "" && strings.Contains(err.Error(), "SECRET"):
				t.Errorf("got %q, want it to quote nothing", err)
			}
			if r.Message.Text() != tt.text {
				t.Errorf("got text %q, want %q", r.Message.Text(), tt.text)
			}
			if diff := cmp.Diff(r.Generation.FinishReasons.Slice(), tt.finish); diff != "" {
				t.Errorf("finish reasons (-got +want):\n%s", diff)
			}
		})
	}
}

// Servers number the deltas of tool calls in several ways; what comes of it is the same.
func TestToolCallDeltas(t *testing.T) {
	clearEnv(t)
	delta := func(calls string) string { return `{"choices":[{"delta":{"tool_calls":[` + calls + `]}}]}` }
	want := []content.ToolCall{{ID: "a", Name: "f", Arguments: `{"x":1}`}, {ID: "b", Name: "g", Arguments: `{}`}}
	tests := []struct {
		name   string
		deltas []string
	}{
		{"as OpenAI does", []string{
			delta(`{"index":0,"id":"a","function":{"name":"f","arguments":""}}`), delta(`{"index":0,"function":{"arguments":"{\"x\":"}}`), delta(`{"index":0,"function":{"arguments":"1}"}}`),
			delta(`{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}`)}},
		{"interleaved", []string{
			delta(`{"index":0,"id":"a","function":{"name":"f"}},{"index":1,"id":"b","function":{"name":"g"}}`), delta(`{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":"{\"x\":1}"}}`)}},
		{"the id on every delta", []string{
			delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}`), delta(`{"index":0,"id":"a","function":{"arguments":"1}"}}`), delta(`{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}`)}},
		{"all of them 0, told apart by id", []string{
			delta(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), delta(`{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}`)}},
		{"no numbers, in one chunk", []string{delta(`{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","function":{"name":"g","arguments":"{}"}}`)}},
		{"no numbers, in pieces", []string{
			delta(`{"id":"a","function":{"name":"f"}}`), delta(`{"function":{"arguments":"{\"x\":1}"}}`), delta(`{"id":"b","function":{"name":"g","arguments":"{}"}}`)}},
		{"wild numbers", []string{
			delta(`{"index":70000,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), delta(`{"index":90000,"id":"b","function":{"name":"g","arguments":"{}"}}`)}},
		{"arguments as an object", []string{
			delta(`{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}},{"index":1,"id":"b","function":{"name":"g","arguments":{}}}`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := stream(append(tt.deltas, `{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]")...)
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(server))
			r, err := chat(t, b, backend.Options{}.WithStream(true))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Collect(r.Message.ToolCalls()), want); diff != "" {
				t.Errorf("tool calls (-got +want):\n%s", diff)
			}
		})
	}
	t.Run("more than any model asks for", func(t *testing.T) {
		var deltas []string
		for i := range 300 {
			deltas = append(deltas, delta(fmt.Sprintf(`{"index":%d,"id":"c%d","function":{"name":"f"}}`, i, i)))
		}
		b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(stream(deltas...)))
		_, err := chat(t, b, backend.Options{}.WithStream(true))
		var e *backend.Error
		if !errors.As(err, &e) || e.Code != backend.CodeInvalidResponse {
			t.Errorf("got error %v, want code %s", err, backend.CodeInvalidResponse)
		}
	})
}

func TestPrintsMasked(t *testing.T) {
	clearEnv(t)
	for _, b := range []*openai.Backend{
		openai.New(openai.WithAPIKey("sk-SECRET"), openai.WithBaseURL("https://u:SECRET@h.example/v1?k=SECRET"), openai.WithHeader("X-Team", "SECRET")),
		openai.New(openai.WithAPIKey("sk-SECRET"), openai.WithBaseURL("SECRET")),
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("made", "backend", b)
		for _, text := range []string{fmt.Sprint(b), fmt.Sprintf("%+v %#v %s %q", b, b, b, b), log.String()} {
			if strings.Contains(text, "SECRET") {
				t.Errorf("got %q, want no secret in it", text)
			}
		}
	}
}

func TestHTTPClientsTransportIsUsed(t *testing.T) {
	clearEnv(t)
	server := whole("hi")
	b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithHTTPClient(&http.Client{Transport: server}))
	if _, err := chat(t, b, backend.Options{}); err != nil || server.last == nil {
		t.Errorf("got error %v and request %v, want the client's transport to carry it", err, server.last)
	}
	// A client without one stands for http.DefaultTransport.
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, server.body) }))
	defer web.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	b = openai.New(openai.WithBaseURL(web.URL), openai.WithModel("m"), openai.WithHTTPClient(http.DefaultClient))
	if _, err := chat(t, b, backend.Options{}); err != nil {
		t.Error(err)
	}
}
