package telemetry_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/internal/otlptest"
)

// dying is a model server that dies in the middle of each stream: after a number of bytes of its reply, by a reset of
// the connection or by closing it.
type dying struct {
	raw string // the whole reply, header included

	mu     sync.Mutex
	random *rand.Rand
}

func newDying(contentType string, frames ...string) *dying {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", contentType)
	for _, f := range frames {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(f), f)
	}
	return &dying{raw: b.String(), random: rand.New(rand.NewPCG(7, 500))}
}

func (d *dying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	d.mu.Lock()
	after, reset := d.random.IntN(len(d.raw)), d.random.IntN(2) == 0
	d.mu.Unlock()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = buffered.WriteString(d.raw[:after])
	_ = buffered.Flush()
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// A server that dies in the middle of a stream leaves no span open: each call ends with a typed error, on its own span
// and on the one around it.
func TestSpansEndWhenTheServerDies(t *testing.T) {
	t.Parallel()
	const calls = 500
	var native, compatible []string
	for i := range 10 {
		native = append(native, fmt.Sprintf(`{"model":"m1","message":{"role":"assistant","content":"word %d "},"done":false}`+"\n", i))
		compatible = append(compatible, fmt.Sprintf(`data: {"id":"1","model":"m1","choices":[{"index":0,"delta":{"content":"word %d "}}]}`+"\n\n", i))
	}
	tests := map[string]struct {
		server *dying
		dial   func(url string, transport http.RoundTripper) backend.Backend
	}{
		"ollama": {newDying("application/x-ndjson", native...), func(url string, rt http.RoundTripper) backend.Backend {
			return ollama.New(ollama.WithBaseURL(url), ollama.WithModel("m1"), ollama.WithTransport(rt), ollama.WithRetries(0))
		}},
		"openai": {newDying("text/event-stream", compatible...), func(url string, rt http.RoundTripper) backend.Backend {
			return openai.New(openai.WithBaseURL(url), openai.WithAPIKey("k"), openai.WithModel("m1"), openai.WithTransport(rt), openai.WithRetries(0))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(tt.server)
			transport := &http.Transport{DisableKeepAlives: true}
			t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
			collector := otlptest.Start(t)
			tel := setup(t, collector)
			s := start(t, t.Context(), tt.dial(web.URL, transport), mellea.WithHooks(tel))
			for i := range calls {
				_, err := s.Instruct(t.Context(), "one", mellea.Options(backend.Options{}.WithStream(true)))
				if _, ok := errors.AsType[*backend.Error](err); !ok {
					t.Fatalf("call %d: %v, want a *backend.Error", i, err)
				}
				if i%100 == 99 { // no more than the queue holds
					flush(t, tel)
				}
			}
			_ = s.Close()
			flush(t, tel)
			ended := map[string]int{}
			for _, sp := range collector.Spans(t, 2*calls+2) {
				if sp.Name == "session" || sp.Name == "start_session" {
					continue
				}
				ended[sp.Name]++
				typ, _ := sp.Attributes["error.type"].(string)
				if typ != backend.CodeInvalidResponse && typ != backend.CodeUnreachable {
					t.Errorf("%s: error.type %q, want that of a broken connection", sp.Name, typ)
				}
				if sp.Status != "error" || sp.Attributes["mellea.outcome"] != "error" || sp.Attributes["mellea.error.category"] == nil || sp.End.Before(sp.Start) {
					t.Errorf("%s: status %s, outcome %v, category %v, %v to %v, want an error that has ended", sp.Name, sp.Status,
						sp.Attributes["mellea.outcome"], sp.Attributes["mellea.error.category"], sp.Start, sp.End)
				}
			}
			if ended["chat m1"] != calls || ended["action"] != calls {
				t.Errorf("%d chat spans and %d action spans ended, want %d of each", ended["chat m1"], ended["action"], calls)
			}
		})
	}
}
