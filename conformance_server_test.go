package mellea_test

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// A modelServer speaks the OpenAI dialect and replies as it is told.
func modelServer(t *testing.T, reply func(n int, r backendtest.Received) (status int, code string, reply backendtest.Reply)) *openai.Backend {
	t.Helper()
	address, transport := serveModel(t, nil, reply)
	return openai.New(openai.WithBaseURL(address+"/v1"), openai.WithModel("gpt-4o-mini"), openai.WithAPIKey("sk-test"),
		openai.WithRetries(1), openai.WithTransport(transport), openai.WithLogger(slog.New(slog.DiscardHandler)))
}

// serveModel runs a server that speaks the OpenAI dialect, replies as it is told and adds a header to every reply. It
// returns its address, and a transport for its clients.
func serveModel(t *testing.T, header http.Header, reply func(n int, r backendtest.Received) (status int, code string, reply backendtest.Reply)) (string, *http.Transport) {
	t.Helper()
	var requests atomic.Int64
	dialect := backendtest.ChatCompletions{Known: []string{"service_tier"}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		received, err := dialect.Decode(r.URL.Path, body)
		if err != nil {
			t.Errorf("request: %v\n%s", err, body)
		}
		status, code, answer := reply(int(requests.Add(1)), received)
		w.Header().Set("X-Request-Id", "req-1")
		maps.Copy(w.Header(), header)
		if status != http.StatusOK {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(status)
			_, _ = w.Write(dialect.Failure(status, code, "no, said the server"))
			return
		}
		w.Header().Set("Content-Type", dialect.ContentType(received.Stream))
		if n := len(received.Prompts); n > 0 {
			one := backendtest.Completion{Text: strings.Join(answer.Text, ""), Finish: answer.Finish, Model: answer.Model, Usage: answer.Usage}
			_, _ = w.Write(dialect.Completions(slices.Repeat([]backendtest.Completion{one}, n)))
			return
		}
		if !received.Stream {
			_, _ = w.Write(dialect.Reply(answer))
			return
		}
		for _, frame := range dialect.Frames(answer) {
			_, _ = w.Write(frame)
		}
	}))
	t.Cleanup(web.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return web.URL, transport
}

// answers is a server that judges everything to be met and else says the texts in turn.
func answers(texts ...string) func(int, backendtest.Received) (int, string, backendtest.Reply) {
	var n atomic.Int64
	return func(_ int, r backendtest.Received) (int, string, backendtest.Reply) {
		text := "yes"
		if !strings.Contains(r.Prompt(), "yes") {
			text = texts[min(int(n.Add(1)), len(texts))-1]
		}
		return http.StatusOK, "", backendtest.Reply{ID: "chatcmpl-1", Model: "gpt-4o-mini-2024-07-18", Text: strings.SplitAfter(text, " "),
			Reasoning: []string{"hm"}, Finish: "stop",
			Usage: content.Usage{InputTokens: 31, OutputTokens: 12, CacheReadTokens: 8, CacheWriteTokens: 2, ReasoningTokens: 4,
				Text: content.Modality{InputTokens: 20, OutputTokens: 7, CacheReadTokens: 6}, Image: content.Modality{InputTokens: 10, OutputTokens: 4, CacheReadTokens: 1},
				Audio: content.Modality{InputTokens: 1, OutputTokens: 1, CacheReadTokens: 1}}}
	}
}

func refuses(status int, code string) func(int, backendtest.Received) (int, string, backendtest.Reply) {
	return func(int, backendtest.Received) (int, string, backendtest.Reply) {
		return status, code, backendtest.Reply{}
	}
}
