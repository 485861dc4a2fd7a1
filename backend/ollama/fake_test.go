package ollama_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The shape of the API's requests, as Ollama documents it. The fake refuses what is not in it.
type (
	chatRequest struct {
		Model       string         `json:"model"`
		Messages    []message      `json:"messages"`
		Stream      *bool          `json:"stream"`
		Format      any            `json:"format"`
		KeepAlive   any            `json:"keep_alive"`
		Tools       []toolSpec     `json:"tools"`
		Options     map[string]any `json:"options"`
		Think       any            `json:"think"`
		Truncate    *bool          `json:"truncate"`
		Shift       *bool          `json:"shift"`
		Logprobs    bool           `json:"logprobs"`
		TopLogprobs int            `json:"top_logprobs"`
	}
	generateRequest struct {
		Model     string         `json:"model"`
		Prompt    *string        `json:"prompt"`
		Suffix    string         `json:"suffix"`
		Raw       bool           `json:"raw"`
		Stream    *bool          `json:"stream"`
		Format    any            `json:"format"`
		KeepAlive any            `json:"keep_alive"`
		Options   map[string]any `json:"options"`
		Think     any            `json:"think"`
		Truncate  *bool          `json:"truncate"`
		Shift     *bool          `json:"shift"`
	}
	message struct {
		Role       string     `json:"role"`
		Content    string     `json:"content"`
		Thinking   string     `json:"thinking"`
		Images     [][]byte   `json:"images"`
		ToolCalls  []toolCall `json:"tool_calls"`
		ToolName   string     `json:"tool_name"`
		ToolCallID string     `json:"tool_call_id"`
	}
	toolCall struct {
		ID       string `json:"id"`
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function"`
	}
	toolSpec struct {
		Type     string `json:"type"`
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"function"`
	}
)

// knownOptions are the members of the options object; the real server ignores others with a warning in its log.
var knownOptions = map[string]bool{
	"num_keep": true, "seed": true, "num_predict": true, "top_k": true, "top_p": true, "min_p": true, "typical_p": true,
	"repeat_last_n": true, "temperature": true, "repeat_penalty": true, "presence_penalty": true,
	"frequency_penalty": true, "stop": true, "num_ctx": true, "num_batch": true, "num_gpu": true, "num_thread": true,
}

// fake is a server of the API that records requests and answers as it is told.
type fake struct {
	URL    string
	client *http.Transport

	mu       sync.Mutex
	requests []chatRequest
	tagged   int // requests to /api/tags
	headers  http.Header
}

// newFake starts a server whose /api/chat answers with chat and whose /api/tags lists models, a JSON array.
func newFake(t *testing.T, models string, chat http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{client: &http.Transport{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"version":"0.17.4"}`) })
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		f.tagged++
		f.mu.Unlock()
		fmt.Fprintf(w, `{"models":%s}`, models)
	})
	mux.HandleFunc("POST /api/chat", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		var req chatRequest
		if err := dec.Decode(&req); err != nil {
			t.Errorf("request %s: %v", body, err)
		}
		for name := range req.Options {
			if !knownOptions[name] {
				t.Errorf("request has an unknown option %q", name)
			}
		}
		f.mu.Lock()
		f.requests = append(f.requests, req)
		f.headers = r.Header
		f.mu.Unlock()
		chat(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() { f.client.CloseIdleConnections(); server.Close() })
	f.URL = server.URL
	return f
}

func (f *fake) backend(opts ...ollama.Option) *ollama.Backend {
	all := []ollama.Option{ollama.WithBaseURL(f.URL), ollama.WithTransport(f.client), ollama.WithModel("m")}
	return ollama.New(append(all, opts...)...)
}

func (f *fake) last(t *testing.T) chatRequest {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) == 0 {
		t.Fatal("no request arrived")
	}
	return f.requests[len(f.requests)-1]
}

// answer writes objects as lines and flushes after each.
func answer(objects ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for _, o := range objects {
			io.WriteString(w, o+"\n")
			w.(http.Flusher).Flush()
		}
	}
}

const plainReply = `{"model":"m:latest","created_at":"2026-01-02T03:04:05Z","message":{"role":"assistant","content":"Hello"},` +
	`"done":true,"done_reason":"stop","total_duration":1,"prompt_eval_count":12,"eval_count":3}`

func ask(text string) backend.Request {
	return backend.Request{Messages: content.NewMessages(content.User(text))}
}

func streaming(req backend.Request) backend.Request {
	req.Options = req.Options.WithStream(true)
	return req
}

// generate runs one generation to its end.
func generate(t *testing.T, b backend.Backend, req backend.Request) (backend.Reply, error) {
	t.Helper()
	out, err := b.Generate(t.Context(), req)
	if err != nil {
		return backend.Reply{}, err
	}
	return out.Reply(context.Background())
}
