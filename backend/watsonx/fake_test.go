package watsonx_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
)

const (
	theKey   = "key-that-is-hidden-51d0"
	theModel = "ibm/granite-4-h-small"
)

// memory carries requests to functions, without a network, so that tests with a clock of their own can use it.
type memory struct {
	iam, service func(r *http.Request, body string) *http.Response

	mu       sync.Mutex
	asked    int // exchanges
	requests []sent
}

// sent is a request to the service.
type sent struct{ path, query, authorization, body string }

func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	serve := m.service
	m.mu.Lock()
	if r.URL.Host == "iam.cloud.ibm.com" {
		m.asked++
		serve = m.iam
	} else {
		m.requests = append(m.requests, sent{r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), string(body)})
	}
	m.mu.Unlock()
	res := serve(r, string(body))
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return res, nil
}

func (m *memory) exchanges() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *memory) seen() []sent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]sent(nil), m.requests...)
}

// respond is a reply of a type and status, with a body.
func respond(status int, contentType, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}
}

// says serves the same JSON or event stream each time.
func says(body string) func(*http.Request, string) *http.Response {
	contentType := "application/json"
	if strings.HasPrefix(body, "id: ") || strings.HasPrefix(body, "event: ") || strings.HasPrefix(body, "data: ") {
		contentType = "text/event-stream"
	}
	return func(*http.Request, string) *http.Response { return respond(200, contentType, body) }
}

const aReply = `{"id":"chatcmpl-1","model_id":"` + theModel + `","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},` +
	`"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`

func newMemory(service string) *memory {
	return &memory{iam: says(anAccessToken), service: says(service)}
}

// newBackend returns a backend whose requests t carries.
func newBackend(t http.RoundTripper, opts ...watsonx.Option) *watsonx.Backend {
	return watsonx.New(append([]watsonx.Option{
		watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey(theKey), watsonx.WithProject("a-project"),
		watsonx.WithModel(theModel), watsonx.WithTransport(t),
	}, opts...)...)
}

func request(stream bool) backend.Request {
	return backend.Request{Messages: content.NewMessages(content.User("hello")), Options: backend.Options{}.WithStream(stream)}
}

// chat runs a chat to its end.
func chat(ctx context.Context, b *watsonx.Backend, req backend.Request) (backend.Reply, error) {
	out, err := b.Generate(ctx, req)
	if err != nil {
		return backend.Reply{}, err
	}
	return out.Reply(context.WithoutCancel(ctx))
}

// wantClean checks that an error shows neither the key nor a token, in its text, in what it wraps or in what the server
// said.
func wantClean(tb testing.TB, err error) {
	tb.Helper()
	var texts bytes.Buffer
	for e := err; e != nil; {
		texts.WriteString(e.Error() + "\n")
		if be, ok := e.(*backend.Error); ok {
			texts.WriteString(strings.Join([]string{be.Message, be.Code, be.RequestID, be.Remedy}, "\n"))
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	for _, secret := range []string{theKey, "eyJ"} {
		if strings.Contains(texts.String(), secret) {
			tb.Errorf("the error shows %q: %s", secret, texts.String())
		}
	}
}
