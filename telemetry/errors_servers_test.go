package telemetry_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/backend/watsonx"
)

// dialect is a backend and how its server begins a streamed reply.
type dialect struct {
	name  string
	open  func(address string, transport http.RoundTripper) backend.Backend
	media string
	piece string
}

const firstPiece = `data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}` + "\n\n"

var openAI = dialect{"openai", func(address string, rt http.RoundTripper) backend.Backend {
	return openai.New(openai.WithBaseURL(address+"/v1"), openai.WithModel("m"), openai.WithAPIKey("planted-key"), openai.WithRetries(0), openai.WithTransport(rt))
}, "text/event-stream", firstPiece}

var liteLLM = dialect{"litellm", func(address string, rt http.RoundTripper) backend.Backend {
	return litellm.New(litellm.WithBaseURL(address), litellm.WithModel("m"), litellm.WithAPIKey("planted-key"), litellm.WithRetries(0), litellm.WithTransport(rt))
}, "text/event-stream", firstPiece}

var watsonX = dialect{"watsonx", func(address string, rt http.RoundTripper) backend.Backend {
	return watsonx.New(watsonx.WithBaseURL(address), watsonx.WithModel("m"), watsonx.WithProject("p"), watsonx.WithToken("planted-key"), watsonx.WithRetries(0), watsonx.WithTransport(rt))
}, "text/event-stream", firstPiece}

var dialects = []dialect{openAI, liteLLM, watsonX,
	{"huggingface", func(address string, rt http.RoundTripper) backend.Backend {
		return huggingface.New(huggingface.WithBaseURL(address), huggingface.WithModel("m"), huggingface.WithToken("planted-key"), huggingface.WithRetries(0), huggingface.WithTransport(rt))
	}, "text/event-stream", firstPiece},
	{"ollama", func(address string, rt http.RoundTripper) backend.Backend {
		return ollama.New(ollama.WithBaseURL(address), ollama.WithModel("m"), ollama.WithRetries(0), ollama.WithTransport(rt))
	}, "application/x-ndjson", `{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}` + "\n"},
}

// network is a transport of its own for each test: it keeps no connection, trusts nobody in particular and asks no proxy.
func network() *http.Transport { return &http.Transport{DisableKeepAlives: true} }

// answering starts a server with the handler.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// beginning starts a server that begins a streamed reply of the dialect and goes on with then.
func beginning(t *testing.T, d dialect, then func(http.ResponseWriter, *http.Request)) string {
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", d.media)
		_, _ = io.WriteString(w, d.piece)
		w.(http.Flusher).Flush()
		then(w, r)
	})
}

// silent goes on when the caller has gone.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// mute starts a server that reads requests and says nothing.
func mute(t *testing.T) string {
	return answering(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		silent(w, r)
	})
}

// reset ends the connection of a request the hard way.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// secure starts a server with TLS, whose certificate nobody has signed.
func secure(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it says what the client makes of it
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// nobody returns an address at which nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// unnamed returns a transport whose resolver says that no name exists. It asks nobody outside of the test.
func unnamed(t *testing.T) *http.Transport {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		query := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(query)
			if err != nil {
				return
			}
			if reply := noSuchName(query[:n]); reply != nil {
				_, _ = server.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}}
	rt := network()
	rt.DialContext = dialer.DialContext
	return rt
}

// noSuchName answers a DNS query (RFC 1035 §4.1) with a name error and its own question; nil for what is no query.
func noSuchName(query []byte) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 { // labels, each behind its length
		end += 1 + int(query[end])
	}
	if end += 5; end > len(query) { // the root, the type and the class
		return nil
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end]...)
	return reply
}

// within is the deadline of a call that a test lets pass.
const within = 50 * time.Millisecond
