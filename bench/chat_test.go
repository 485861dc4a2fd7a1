package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/telemetry"
)

// discard is an exporter that drops spans, so that what is measured is making them.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }

// session opens a session over the OpenAI dialect, with tracing when traced, that is closed with the test.
func session(tb testing.TB, url string, traced bool, opts ...mellea.StartOption) *mellea.Session {
	tb.Helper()
	if traced {
		tel, err := telemetry.Setup(context.Background(), telemetry.WithTraces(true), telemetry.WithSpanExporter(discard{}),
			telemetry.WithLookupEnv(func(string) (string, bool) { return "", false }))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
		opts = append(opts, mellea.WithHooks(tel))
	}
	b := openai.New(openai.WithBaseURL(url), openai.WithModel("m-1"), openai.WithAPIKey("k"))
	s, err := mellea.Start(context.Background(), b, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// discardLogs is an exporter that drops log records.
type discardLogs struct{}

func (discardLogs) Export(context.Context, []sdklog.Record) error { return nil }
func (discardLogs) ForceFlush(context.Context) error              { return nil }
func (discardLogs) Shutdown(context.Context) error                { return nil }

// everything is telemetry with traces, metrics and logs on, events included, that ends with the test.
func everything(tb testing.TB) *telemetry.Telemetry {
	tb.Helper()
	tel, err := telemetry.Setup(context.Background(), telemetry.WithSpanExporter(discard{}),
		telemetry.WithMetricReader(sdkmetric.NewManualReader()), telemetry.WithLogExporter(discardLogs{}),
		telemetry.WithLogger(slog.New(slog.DiscardHandler)),
		telemetry.WithLookupEnv(func(string) (string, bool) { return "", false }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

func chat(tb testing.TB, s *mellea.Session) {
	res, err := s.Chat(context.Background(), prompt)
	if err != nil || res.Text() != "Hello! How can I help you today?" {
		tb.Fatalf("chat: %q, %v", res.Text(), err)
	}
}

// floor is the same exchange with nothing but net/http and encoding/json.
func floor(tb testing.TB, client *http.Client, url string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/chat/completions", strings.NewReader(chatBody))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer k")
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		tb.Fatal(err)
	}
	var reply struct {
		ID, Model string
		Choices   []struct {
			Message      struct{ Role, Content string }
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			PromptTokens     int `json:"prompt_tokens"`
			CompletionTokens int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal(body, &reply); err != nil || reply.Choices[0].Message.Content == "" {
		tb.Fatalf("floor: %v", err)
	}
}

// floorStream reads a streamed reply with nothing but net/http, a line scanner and encoding/json.
func floorStream(tb testing.TB, client *http.Client, url string) int {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/chat/completions", strings.NewReader(chatBody))
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	n := 0
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		data, ok := bytes.CutPrefix(sc.Bytes(), []byte("data: "))
		if !ok || bytes.Equal(data, []byte("[DONE]")) {
			continue
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			tb.Fatal(err)
		}
		if len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
			n++
		}
	}
	return n
}

// stream reads a streamed reply to its end and returns how many text chunks it had.
func stream(tb testing.TB, s *mellea.Session) int {
	out, err := s.StartInstruct(context.Background(), prompt)
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	for _, err := range out.Chunks(context.Background()) {
		if err != nil {
			tb.Fatal(err)
		}
		n++
	}
	return n
}
