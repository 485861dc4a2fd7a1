package openai_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// canned is a transport that costs next to nothing, so that a measurement sees the backend.
type canned struct {
	header http.Header
	body   string
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Body.Close()
	return &http.Response{StatusCode: http.StatusOK, Header: c.header, ContentLength: -1, Body: io.NopCloser(strings.NewReader(c.body))}, nil
}

func cannedStream(chunks int) *canned {
	const chunk = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini-2024",` +
		`"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n"
	const end = `data: {"id":"chatcmpl-1","model":"gpt-4o-mini-2024","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"chatcmpl-1","model":"gpt-4o-mini-2024","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":200}}` + "\n\ndata: [DONE]\n\n"
	return &canned{header: http.Header{"Content-Type": {"text/event-stream"}}, body: strings.Repeat(chunk, chunks) + end}
}

func cannedReply() *canned {
	return &canned{header: http.Header{"Content-Type": {"application/json"}}, body: `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,` +
		`"model":"gpt-4o-mini-2024","choices":[{"index":0,"message":{"role":"assistant","content":"A few words."},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":9,"completion_tokens":4}}`}
}

func run(tb testing.TB, b *openai.Backend, req backend.Request) {
	out, err := b.Generate(context.Background(), req)
	if err != nil {
		tb.Fatal(err)
	}
	for _, err := range out.Chunks(context.Background()) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	<-out.Done()
}

func request(stream bool) backend.Request {
	return backend.Request{
		Messages: content.NewMessages(content.System("Be brief."), content.User("Say a few words.")),
		Options:  backend.Options{}.WithTemperature(0.5).WithMaxTokens(100).WithStream(stream),
	}
}

func canBackend(c *canned) *openai.Backend {
	return openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithAPIKey("k"), openai.WithModel("m"), openai.WithTransport(c))
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	measure := func(c *canned, stream bool) float64 {
		b, req := canBackend(c), request(stream)
		run(t, b, req) // warm
		return testing.AllocsPerRun(200, func() { run(t, b, req) })
	}
	t.Run("chunk", func(t *testing.T) {
		one, many := measure(cannedStream(1), true), measure(cannedStream(200), true)
		if got := (many - one) / 199; got > 0.5 {
			t.Errorf("got %.2f allocations a chunk, want at most 0.5", got)
		}
	})
	t.Run("chat", func(t *testing.T) {
		const most = 45
		if got := measure(cannedReply(), false); got > most {
			t.Errorf("got %v allocations, want at most %d", got, most)
		}
	})
}

func BenchmarkChat(b *testing.B) {
	backend, req := canBackend(cannedReply()), request(false)
	b.ReportAllocs()
	for b.Loop() {
		run(b, backend, req)
	}
}

func BenchmarkStream200(b *testing.B) {
	backend, req := canBackend(cannedStream(200)), request(true)
	b.ReportAllocs()
	for b.Loop() {
		run(b, backend, req)
	}
}
