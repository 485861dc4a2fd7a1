package openai_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// replies is a transport that answers with the replies of files, one after the other; the last one stays. The lines of a
// file that begin with "#" say where its shape comes from; what follows is an HTTP reply.
type replies struct {
	t     *testing.T
	dir   string // in testdata; "" is dialects
	mu    sync.Mutex
	files []string
}

func (r *replies) folder() string {
	if r.dir == "" {
		return "dialects"
	}
	return r.dir
}

func (r *replies) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	r.mu.Lock()
	name := r.files[0]
	if len(r.files) > 1 {
		r.files = r.files[1:]
	}
	r.mu.Unlock()
	text, err := os.ReadFile(filepath.Join("testdata", r.folder(), name+".http"))
	if err != nil {
		r.t.Error(err)
		return nil, err
	}
	for bytes.HasPrefix(text, []byte("#")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), req)
}

// What servers of the dialect send, as their documentation has it.
func TestDialects(t *testing.T) {
	clearEnv(t)
	type result struct {
		Text, Reasoning  string
		Calls            []content.ToolCall
		Finish           string
		ID, Model, Print string
		Usage            content.Usage
	}
	tests := map[string]result{
		"openai-chat": {Text: "A wooden boardwalk through a meadow.", Finish: "stop", ID: "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", Model: "gpt-4o-2024-08-06",
			Print: "fp_fc9f1d7035", Usage: content.Usage{InputTokens: 1117, OutputTokens: 46, CacheReadTokens: 1024, CacheWriteTokens: 64, ReasoningTokens: 32}},
		"openai-stream": {Text: "Hello there", Finish: "stop", ID: "chatcmpl-123", Model: "gpt-4o-mini", Print: "fp_44709d6fcb", Usage: content.Usage{InputTokens: 9, OutputTokens: 2}},
		"openai-stream-tools": {Calls: []content.ToolCall{{ID: "call_DdmO9pD3xa9XTPNJ32zg2hcA", Name: "get_weather", Arguments: `{"location":"Paris"}`}, {ID: "call_2", Name: "now", Arguments: "{}"}},
			Finish: "tool_calls", ID: "chatcmpl-123", Model: "gpt-4o-mini", Print: "fp_44709d6fcb", Usage: content.Usage{InputTokens: 80, OutputTokens: 24}},
		"openai-refusal": {Text: "I'm sorry, I cannot assist with that request.", Finish: "refusal", ID: "chatcmpl-9nYAG9LPNonX8DAyrkwYfemr3C8HC", Model: "gpt-4o-2024-08-06",
			Print: "fp_3407719c7f", Usage: content.Usage{InputTokens: 81, OutputTokens: 11}},
		"azure-stream":   {Text: "Color", Finish: "stop", ID: "chatcmpl-7rCNsVeZy0PGnX3H6jK8STps5nZUY", Model: "gpt-35-turbo", Usage: content.Usage{InputTokens: 12, OutputTokens: 1}},
		"vllm-reasoning": {Text: "\n\n9.8 is greater.", Reasoning: "Compare the tenths.", Finish: "stop", ID: "chatcmpl-7f9e3c", Model: "Qwen/Qwen3-8B", Usage: content.Usage{InputTokens: 22, OutputTokens: 40}},
		"vllm-stream": {Reasoning: "Look it up.", Calls: []content.ToolCall{{ID: "chatcmpl-tool-1", Name: "get_weather", Arguments: `{"location": "Oslo"}`}},
			Finish: "tool_calls", ID: "chatcmpl-71", Model: "Qwen/Qwen3-8B", Usage: content.Usage{InputTokens: 170, OutputTokens: 30}},
		"llamacpp-chat":   {Text: "Hi.", Reasoning: "Short.", Finish: "stop", ID: "chatcmpl-dS4c", Model: "gpt-oss-20b", Print: "b6123-79c1160b", Usage: content.Usage{InputTokens: 30, OutputTokens: 8}},
		"llamacpp-stream": {Text: "Hi", Finish: "stop", ID: "chatcmpl-k1", Model: "gpt-oss-20b", Print: "b6123-79c1160b", Usage: content.Usage{InputTokens: 11, OutputTokens: 2}},
		"lmstudio-chat": {Calls: []content.ToolCall{{ID: "365174485", Name: "get_delivery_date", Arguments: `{"order_id":"123"}`}}, Finish: "tool_calls", ID: "chatcmpl-gb1t1uqzefudice8ntxd9i",
			Model: "lmstudio-community/qwen2.5-7b-instruct", Print: "lmstudio-community/qwen2.5-7b-instruct", Usage: content.Usage{InputTokens: 263, OutputTokens: 34}},
		"lmstudio-stream": {Text: "Yes", Reasoning: "Hm.", Finish: "stop", ID: "chatcmpl-w7", Model: "qwen3", Print: "qwen3", Usage: content.Usage{InputTokens: 20, OutputTokens: 4, ReasoningTokens: 2}},
		"ollama-chat":     {Text: "Rome.", Reasoning: "Italy's capital.", Finish: "stop", ID: "chatcmpl-554", Model: "qwen3:0.6b", Print: "fp_ollama", Usage: content.Usage{InputTokens: 17, OutputTokens: 12}},
		"ollama-stream-tools": {Reasoning: "Both.", Calls: []content.ToolCall{{ID: "call_a", Name: "add", Arguments: `{"a":1}`}, {ID: "call_b", Name: "now", Arguments: "{}"}},
			Finish: "tool_calls", ID: "chatcmpl-90", Model: "qwen3:0.6b", Print: "fp_ollama", Usage: content.Usage{InputTokens: 140, OutputTokens: 31}},
		"perplexity-chat":   {Text: "Rome is it.", Finish: "stop", ID: "5c1a", Model: "sonar", Usage: content.Usage{InputTokens: 6, OutputTokens: 4}},
		"perplexity-stream": {Text: "Rome is it.", Finish: "stop", ID: "5c1b", Model: "sonar", Usage: content.Usage{InputTokens: 6, OutputTokens: 3}},
		"mistral-chat": {Calls: []content.ToolCall{{ID: "D681PevKs", Name: "now", Arguments: "{}"}}, Finish: "tool_calls", ID: "8f0c", Model: "mistral-small-latest",
			Usage: content.Usage{InputTokens: 9, OutputTokens: 3, CacheReadTokens: 5}},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(&replies{t: t, files: []string{name}}))
			r, err := chat(t, b, backend.Options{}.WithStream(strings.Contains(name, "stream")))
			if err != nil {
				t.Fatal(err)
			}
			g := r.Generation
			got := result{r.Message.Text(), r.Message.Reasoning(), slices.Collect(r.Message.ToolCalls()), strings.Join(g.FinishReasons.Slice(), " "),
				g.ResponseID, g.ResponseModel, g.SystemFingerprint, g.Usage}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("reply (-got +want):\n%s", diff)
			}
		})
	}
}

func TestDialectsOfErrors(t *testing.T) {
	clearEnv(t)
	tests := map[string]struct {
		status        int
		code, request string
		says          string // of the remedy
		message       string // of the provider
	}{
		"openai-401":       {401, "invalid_api_key", "req_1", "OPENAI_API_KEY", "Incorrect API key"},
		"openai-quota":     {429, "insufficient_quota", "", "billing", "quota"},
		"azure-filtered":   {400, "content_filter", "7e86-azure", "content filter", "filtered"},
		"azure-401":        {401, "401", "", "API key", "Access denied"},
		"azure-404":        {404, "DeploymentNotFound", "", "model", "deployment"},
		"vllm-400":         {400, "BadRequestError", "", "shorten", "maximum context"},
		"vllm-404":         {404, "NotFoundError", "", `"m"`, "does not exist"},
		"llamacpp-503":     {503, "unavailable_error", "", "again", "Loading model"},
		"llamacpp-context": {400, "exceed_context_size_error", "", "shorten", "context size"},
		// A status that came too late for the header.
		"llamacpp-stream-error":   {500, "server_error", "", "try again", "context is full"},
		"groq-stream-error":       {400, "tool_use_failed", "", "refused the request", "did not match"},
		"openrouter-stream-error": {429, "429", "", "too many requests", "busy"},
		"lmstudio-error":          {200, "", "", "middle of its reply", "crashed"},
		"lmstudio-404":            {404, "", "", `"m"`, "not found"},
		"ollama-404":              {404, "api_error", "", `"m"`, "not found"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithRetries(0), openai.WithTransport(&replies{t: t, files: []string{name}}))
			_, err := chat(t, b, backend.Options{}.WithStream(true))
			e, ok := errors.AsType[*backend.Error](err)
			if !ok {
				t.Fatalf("got error %v, want a *backend.Error", err)
			}
			if e.Status != tt.status || e.Code != tt.code || e.RequestID != tt.request {
				t.Errorf("got status %d, code %q, request %q, want %d, %q, %q", e.Status, e.Code, e.RequestID, tt.status, tt.code, tt.request)
			}
			if !strings.Contains(e.Remedy, tt.says) || !strings.Contains(e.Message, tt.message) {
				t.Errorf("got remedy %q and message %q, want them to speak of %q and %q", e.Remedy, e.Message, tt.says, tt.message)
			}
			if strings.Contains(err.Error(), e.Message) {
				t.Errorf("got %q, want it to leave out the provider's words", err)
			}
		})
	}
}

func TestDialectsOfCompletions(t *testing.T) {
	clearEnv(t)
	prompts := content.ListOf("a", "b")
	b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(&replies{t: t, files: []string{"openai-completions"}}))
	r, err := b.GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts})
	if err != nil {
		t.Fatal(err)
	}
	want := []backend.BatchItem{{Text: " first", FinishReason: "length"}, {Text: " second", FinishReason: "stop"}}
	if diff := cmp.Diff(r.Items.Slice(), want); diff != "" {
		t.Errorf("completions (-got +want):\n%s", diff)
	}
	if got, want := r.Generation.Usage, (content.Usage{InputTokens: 5, OutputTokens: 7}); got != want {
		t.Errorf("got usage %+v, want %+v", got, want)
	}
	// A server with one prompt a request refuses the list, and is then asked prompt by prompt.
	b = openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithTransport(&replies{t: t, files: []string{"ollama-array", "ollama-completion"}}))
	r, err = b.GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts})
	if err != nil {
		t.Fatal(err)
	}
	one := backend.BatchItem{Text: "one", FinishReason: "stop", Usage: content.Usage{InputTokens: 4, OutputTokens: 1}}
	if diff := cmp.Diff(r.Items.Slice(), []backend.BatchItem{one, one}); diff != "" {
		t.Errorf("completions one by one (-got +want):\n%s", diff)
	}
}

// Azure has several forms of address; a request for a model and a list go where each has them.
func TestAzure(t *testing.T) {
	clearEnv(t)
	tests := map[string]struct {
		base       string
		opts       []openai.Option
		chat, list string
		model      string
	}{
		"the endpoint alone": {"https://r.openai.azure.com", nil,
			"https://r.openai.azure.com/openai/v1/chat/completions", "https://r.openai.azure.com/openai/v1/models", ""},
		"its v1": {"https://r.openai.azure.com/openai/v1/", nil,
			"https://r.openai.azure.com/openai/v1/chat/completions", "https://r.openai.azure.com/openai/v1/models", ""},
		"its v1 by version": {"https://r.openai.azure.com/?api-version=preview", nil,
			"https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview", "https://r.openai.azure.com/openai/v1/models?api-version=preview", ""},
		"with a date": {"https://r.openai.azure.com?api-version=2024-10-21", nil,
			"https://r.openai.azure.com/openai/deployments/called/chat/completions?api-version=2024-10-21", "https://r.openai.azure.com/openai/models?api-version=2024-10-21", ""},
		"with a date by option": {"https://r.openai.azure.com/openai", []openai.Option{openai.WithAPIVersion("2024-10-21")},
			"https://r.openai.azure.com/openai/deployments/called/chat/completions?api-version=2024-10-21", "https://r.openai.azure.com/openai/models?api-version=2024-10-21", ""},
		"a deployment": {"https://r.openai.azure.com/openai/deployments/mine?api-version=2024-10-21", nil,
			"https://r.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21", "https://r.openai.azure.com/openai/models?api-version=2024-10-21", "mine"},
		"a deployment and what follows": {"https://r.cognitiveservices.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21", nil,
			"https://r.cognitiveservices.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21", "https://r.cognitiveservices.azure.com/openai/models?api-version=2024-10-21", "mine"},
		"models of Foundry": {"https://r.services.ai.azure.com/models?api-version=2024-05-01-preview", nil,
			"https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview", "https://r.services.ai.azure.com/models/models?api-version=2024-05-01-preview", ""},
		"behind another name": {"https://gateway.example", []openai.Option{openai.WithAzure()},
			"https://gateway.example/openai/v1/chat/completions", "https://gateway.example/openai/v1/models", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := whole("hi")
			b := openai.New(append(tt.opts, openai.WithBaseURL(tt.base), openai.WithAPIKey("sk-azure"), openai.WithTransport(server))...)
			info, err := b.Info(t.Context())
			if err != nil || info.Provider != openai.ProviderAzure || info.Model != tt.model {
				t.Errorf("got %+v, %v, want provider %s and model %q", info, err, openai.ProviderAzure, tt.model)
			}
			if _, err := chat(t, b, backend.Options{}.WithModel("called")); err != nil {
				t.Fatal(err)
			}
			if got := server.last.URL.String(); got != tt.chat {
				t.Errorf("got a chat at %s, want %s", got, tt.chat)
			}
			if key, auth := server.last.Header.Get("Api-Key"), server.last.Header.Get("Authorization"); key != "sk-azure" || auth != "" {
				t.Errorf("got api-key %q and authorisation %q, want the key in the first", key, auth)
			}
			_, _ = b.ListModels(t.Context()) // where it asks is what counts
			if got := server.last.URL.String(); got != tt.list {
				t.Errorf("got a list from %s, want %s", got, tt.list)
			}
		})
	}
}
