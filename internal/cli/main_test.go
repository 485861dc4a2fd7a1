package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/internal/cli"
)

// scratch is a folder for what all tests share.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "mellea-cli"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(scratch)
		os.Exit(code)
	}))
}

// process is a process to run the command in.
type process struct {
	ctx            context.Context
	stdin          string
	env            []string // NAME=value
	hooks          []hook.Source
	stdout, stderr bool // terminals
}

type result struct {
	code           int
	stdout, stderr string
}

func (p process) run(t *testing.T, args ...string) result {
	t.Helper()
	ctx := p.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	var stdout, stderr bytes.Buffer
	code := cli.Run(ctx, cli.System{
		Stdin:   strings.NewReader(p.stdin),
		Stdout:  cli.Output{Writer: &stdout, Terminal: p.stdout},
		Stderr:  cli.Output{Writer: &stderr, Terminal: p.stderr},
		Environ: p.env,
		Hooks:   p.hooks,
	}, args...)
	return result{code, stdout.String(), stderr.String()}
}

// nowhere is the environment of a machine without a model server.
var nowhere = []string{"OLLAMA_HOST=http://127.0.0.1:1"}

// fake is a server that speaks as much of Ollama's and OpenAI's APIs as the command needs, and says what a test scripts.
type fake struct {
	*httptest.Server

	mu       sync.Mutex
	replies  []string // the last one again and again
	requests []request
	paths    []string
	status   int                                        // instead of a reply, when it is not 0
	message  string                                     // of the error
	answer   func(q request) (reply string, status int) // in place of replies; a status that is not 0 is an error
	tool     func(q request) string                     // the JSON of a tool call in place of a reply, "" for none; of Ollama alone
	executed json.RawMessage                            // what tools of the provider did; of OpenAI alone
	hang     chan struct{}                              // closed when a request is there; its reply never comes
}

// request is what a chat asked for, of both APIs.
type request struct {
	Model    string `json:"model"`
	Messages []struct {
		Role, Content string
	} `json:"messages"`
	Stream  *bool          `json:"stream"`
	Options map[string]any `json:"options"`
	body    map[string]any
	header  http.Header
}

func (r request) prompt() string { return r.Messages[len(r.Messages)-1].Content }

func newFake(t *testing.T, replies ...string) *fake {
	t.Helper()
	f := &fake{replies: replies}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"version":"0.0.1"}`)
	})
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"models":[{"name":"tiny:latest","modified_at":"2026-01-01T00:00:00Z","details":{"family":"llama"}}]}`)
	})
	mux.HandleFunc("POST /api/chat", f.ollama)
	mux.HandleFunc("POST /v1/chat/completions", f.openai)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.paths = append(f.paths, r.URL.Path)
		f.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// env is the environment in which the server is Ollama.
func (f *fake) env(more ...string) []string { return append([]string{"OLLAMA_HOST=" + f.URL}, more...) }

// next notes a request and returns what to say to it; ok is false when the request was answered here.
func (f *fake) next(w http.ResponseWriter, r *http.Request) (reply string, q request, ok bool) {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		http.Error(w, "malformed", http.StatusBadRequest)
		return "", q, false
	}
	_ = json.Unmarshal(raw, &q)
	_ = json.Unmarshal(raw, &q.body)
	q.header = r.Header
	f.mu.Lock()
	n := len(f.requests)
	f.requests = append(f.requests, q)
	status, message, hang := f.status, f.message, f.hang
	f.mu.Unlock()
	switch {
	case hang != nil:
		close(hang)
		<-r.Context().Done()
		return "", q, false
	case f.answer != nil:
		if reply, status = f.answer(q); status == 0 {
			return reply, q, true
		}
		message = "the server fails"
		fallthrough
	case status != 0:
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
		return "", q, false
	case len(f.replies) == 0:
		return "fine", q, true
	}
	return f.replies[min(n, len(f.replies)-1)], q, true
}

func (f *fake) ollama(w http.ResponseWriter, r *http.Request) {
	reply, q, ok := f.next(w, r)
	if !ok {
		return
	}
	if f.tool != nil {
		if call := f.tool(q); call != "" {
			fmt.Fprintf(w, `{"model":%q,"message":{"role":"assistant","content":"","tool_calls":[{"function":%s}]},"done":false}`+"\n", q.Model, call)
			fmt.Fprintf(w, `{"model":%q,"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}`+"\n", q.Model)
			return
		}
	}
	say := func(text string, done bool) {
		m := map[string]any{"model": q.Model, "message": map[string]string{"role": "assistant", "content": text}, "done": done}
		if done {
			m["done_reason"], m["prompt_eval_count"], m["eval_count"] = "stop", 10, len(strings.Fields(reply))
		}
		_ = json.NewEncoder(w).Encode(m)
	}
	if q.Stream != nil && !*q.Stream {
		say(reply, true)
		return
	}
	for _, word := range strings.SplitAfter(reply, " ") {
		say(word, false)
	}
	say("", true)
}

func (f *fake) openai(w http.ResponseWriter, r *http.Request) {
	reply, q, ok := f.next(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id": "1", "object": "chat.completion", "model": q.Model,
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": reply, "executed_tools": f.executed}}},
		"usage":   map[string]int{"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
	})
}

// fails makes the server answer with an error, unless status is 0.
func (f *fake) fails(status int, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.message = status, message
}

// hangs makes the server never answer its first request, and returns a channel that is closed when that is there.
func (f *fake) hangs() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang = make(chan struct{})
	return f.hang
}

// chats returns the requests so far.
func (f *fake) chats() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// lastPath returns the path of the last request.
func (f *fake) lastPath() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paths[len(f.paths)-1]
}

// asked returns the only request.
func (f *fake) asked(t *testing.T) request {
	t.Helper()
	all := f.chats()
	if len(all) != 1 {
		t.Fatalf("the server got %d requests, want 1", len(all))
	}
	return all[0]
}

// wantLines fails the test unless text has as many lines as there are parts, each of which holds its part.
func wantLines(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	lines := slices.Collect(strings.Lines(text))
	ok := len(lines) == len(parts)
	for i := 0; ok && i < len(lines); i++ {
		ok = strings.Contains(lines[i], parts[i])
	}
	if !ok {
		t.Errorf("%s = %q, want lines with %q", what, text, parts)
	}
}

// newStuckServer returns the address of a server that never answers. It closes begun with the first request.
func newStuckServer(t *testing.T, begun chan<- struct{}) string {
	t.Helper()
	var once sync.Once
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
		once.Do(func() { close(begun) })
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL
}
