package telemetry_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
)

// scripted is a backend that answers by a function. It keeps the headers that a server would have been sent.
type scripted struct {
	info   backend.Info
	stream bool // by the backend's own options
	answer func(ctx context.Context, n int, req backend.Request, w *backend.Writer) error

	mu      sync.Mutex
	calls   int
	headers []map[string]string
}

// says answers with the texts in turn, the last one again and again.
func says(texts ...string) *scripted {
	return &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte(texts[min(n, len(texts))-1]))
		return nil
	}}
}

func (s *scripted) Info(context.Context) (backend.Info, error) {
	if s.info.Provider == "" {
		s.info = backend.Info{Provider: "openai", Model: "m1", ServerAddress: "models.example.com", ServerPort: 8443}
	}
	return s.info, nil
}

func (s *scripted) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.calls++
	n := s.calls
	sent := map[string]string{}
	backend.Inject(ctx, func(k, v string) { sent[k] = v })
	s.headers = append(s.headers, sent)
	s.mu.Unlock()
	g := backend.Generation{Provider: info.Provider, Model: info.Model, ServerAddress: info.ServerAddress,
		ServerPort: info.ServerPort, InProcess: info.InProcess, Sent: req.Options, Streaming: s.stream || req.Options.Stream()}
	return backend.Start(ctx, req, g, func(ctx context.Context, w *backend.Writer) error {
		err := s.answer(ctx, n, req, w)
		if err == nil {
			g := w.Generation()
			g.FinishReasons = content.ListOf("stop")
			g.Usage = content.Usage{InputTokens: 7, OutputTokens: 3}
		}
		return err
	}), nil
}

// fails is the backend error of a script.
func fails(err error) *scripted {
	return &scripted{answer: func(context.Context, int, backend.Request, *backend.Writer) error { return err }}
}

// start opens a session that the test closes.
func start(t *testing.T, ctx context.Context, b backend.Backend, opts ...mellea.StartOption) *mellea.Session {
	t.Helper()
	s, err := mellea.Start(ctx, b, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// must fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// number is a component whose reply must be a number.
type number struct{}

func (number) Kind() string { return "number" }
func (number) Prompt() (component.Prompt, error) {
	return component.Prompt{Messages: content.NewMessages(content.User("A number, please"))}, nil
}
func (number) Pending() []*backend.Output { return nil }
func (number) Parse(reply content.Message) (int, error) {
	n, err := strconv.Atoi(reply.Text())
	if err != nil {
		return 0, &component.ParseError{Kind: "number", Reason: "not a number: " + reply.Text(), Err: err}
	}
	return n, nil
}

// indexOf returns where text stands in b, -1 when it does not.
func indexOf(b []byte, text string) int { return bytes.Index(b, []byte(text)) }

// GenerateBatch completes each prompt with planted-completion; one that asks to fail does.
func (s *scripted) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return backend.BatchReply{}, err
	}
	sent := map[string]string{}
	backend.Inject(ctx, func(k, v string) { sent[k] = v })
	s.mu.Lock()
	s.headers = append(s.headers, sent)
	s.mu.Unlock()
	r := backend.BatchReply{Generation: backend.Generation{Provider: info.Provider, Model: info.Model, ServerAddress: info.ServerAddress,
		ServerPort: info.ServerPort, Sent: req.Options, Started: time.Now(), RequestID: "req_b", ResponseID: "cmpl-1",
		Retries: content.ListOf(backend.Retry{At: time.Now(), Status: 503, Delay: time.Millisecond})}}
	for prompt := range req.Prompts.Values() {
		if strings.Contains(prompt, "fail") {
			r.Items = r.Items.Append(backend.BatchItem{Err: &backend.Error{Provider: "openai", Op: "batch", Code: "bad_item", Message: "planted-item"}})
			continue
		}
		r.Items = r.Items.Append(backend.BatchItem{Text: "planted-completion", FinishReason: "stop"})
		r.Generation.FinishReasons = r.Generation.FinishReasons.Append("stop")
		r.Generation.Usage = r.Generation.Usage.Add(content.Usage{InputTokens: 7, OutputTokens: 3})
	}
	r.Generation.Ended = time.Now()
	return r, nil
}
