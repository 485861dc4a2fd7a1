package integration_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// severing passes connections on to a server and cuts each after a number of bytes of the server's.
type severing struct {
	address string
	limit   atomic.Int64 // bytes; negative passes all on
	passed  atomic.Int64 // bytes of the last connection
}

func newSevering(t *testing.T, target string) *severing {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &severing{address: "http://" + listener.Addr().String()}
	s.limit.Store(-1)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.pass(conn, target) })
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return s
}

// counter counts bytes before they go on, so that all are counted when the client has them.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func (s *severing) pass(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	var up sync.WaitGroup
	up.Go(func() { io.Copy(server, client) })
	var from io.Reader = server
	if n := s.limit.Load(); n >= 0 {
		from = io.LimitReader(server, n)
	}
	s.passed.Store(0)
	n, _ := io.Copy(io.MultiWriter(counter{&s.passed}, client), from)
	if n%2 == 0 { // the kernel of a dead machine says nothing, that of a dead process resets
		client.(*net.TCPConn).SetLinger(0)
	}
	client.Close()
	server.Close()
	up.Wait()
}

// TestConnectionToOllamaCut cuts the connection to a real server at random bytes of a stream: each call ends with a
// typed error, no goroutine is left, and every span has ended.
func TestConnectionToOllamaCut(t *testing.T) {
	const calls = 100
	server := components.StartOllama(t)
	proxy := newSevering(t, strings.TrimPrefix(server.URL, "http://"))
	collector := otlptest.Start(t)
	tel, err := telemetry.Setup(t.Context(), telemetry.WithEnviron([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.HTTP}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tel.Shutdown(context.Background()) })

	transport := &http.Transport{DisableKeepAlives: true}
	b := ollama.New(ollama.WithBaseURL(proxy.address), ollama.WithModel(server.Model), ollama.WithTransport(transport), ollama.WithRetries(0))
	s, err := mellea.Start(t.Context(), b, mellea.WithHooks(tel))
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		_, err := s.Chat(t.Context(), capital, mellea.Options(streamed(question("")).Options))
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if err := tel.ForceFlush(t.Context()); err != nil { // its connection to the collector stays
		t.Fatal(err)
	}
	whole := proxy.passed.Load()
	before := goleak.IgnoreCurrent()
	random := rand.New(rand.NewPCG(3, calls))
	for range calls {
		proxy.limit.Store(random.Int64N(whole * 3 / 4)) // the last line, which ends a reply, is shorter than the rest
		err := ask()
		var e *backend.Error
		if !errors.As(err, &e) || e.Remedy == "" {
			t.Fatalf("cut after %d of %d bytes: %v, want a *backend.Error with a remedy", proxy.limit.Load(), whole, err)
		}
	}
	proxy.limit.Store(-1)
	if err := ask(); err != nil {
		t.Errorf("after all cuts: %v, want a reply", err)
	}
	s.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	failed, fine := 0, 0
	for _, sp := range collector.Spans(t, 2*(calls+2)+2) {
		if sp.Name != "chat "+server.Model {
			continue
		}
		switch typ, _ := sp.Attributes["error.type"].(string); {
		case sp.End.Before(sp.Start):
			t.Errorf("a span from %v to %v, want it ended", sp.Start, sp.End)
		case sp.Status == "error" && typ != "":
			failed++
		case sp.Status == "unset":
			fine++
		}
	}
	if failed != calls || fine != 2 {
		t.Errorf("%d chat spans with error.type and %d without, want %d and 2", failed, fine, calls)
	}
}

// TestOllamaDies ends a real server in the middle of a reply.
func TestOllamaDies(t *testing.T) {
	components.Require(t, components.OllamaServer, components.SmolLM2)
	server, stop, err := components.RunOllama(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithModel(server.Model), ollama.WithRetries(0))
	req := streamed(question(essay))
	req.Options = req.Options.WithMaxTokens(2000)
	out, err := b.Generate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	for _, err := range out.Chunks(t.Context()) {
		if err == nil {
			once.Do(func() { stop() })
		}
	}
	text, err := out.Text(t.Context())
	var e *backend.Error
	if text == "" || !errors.As(err, &e) || e.Remedy == "" {
		t.Errorf("Text = %q, %v, want a piece and a *backend.Error with a remedy", text, err)
	}
	_, err = b.ListModels(t.Context())
	if !errors.As(err, &e) || e.Code != backend.CodeUnreachable {
		t.Errorf("ListModels of a dead server = %v, want code %q", err, backend.CodeUnreachable)
	}
}
