package watsonx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
)

// endless repeats a piece for ever, or until the client is gone.
type endless struct {
	piece []byte
	off   int
	sent  *atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.piece[e.off:])
	e.off = (e.off + n) % len(e.piece)
	e.sent.Add(int64(n))
	return n, nil
}

func (*endless) Close() error { return nil }

// A service that sends without end is given up at the bound, and what it sent is not held.
func TestEndlessBodies(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	text := []byte(chunks(delta(`"content":"word "`, "")))
	tests := map[string]struct {
		stream      bool
		contentType string
		piece       []byte
	}{
		"a whole reply":            {false, "application/json", []byte(`{"choices":[`)},
		"white space":              {false, "application/json", []byte(` `)},
		"a stream of text":         {true, "text/event-stream", text},
		"a stream of comments":     {true, "text/event-stream", []byte(": keep alive\n\n")},
		"a line":                   {true, "text/event-stream", []byte(`data: xxxxxxxxx`)},
		"an event of many lines":   {true, "text/event-stream", []byte("data: x\n")},
		"ids":                      {true, "text/event-stream", []byte("id: 1\n")},
		"tool calls":               {true, "text/event-stream", []byte(chunks(delta(`"tool_calls":[{"index":0,"function":{"name":"f","arguments":"\"x"}}]`, "")))},
		"whole to a streamed wish": {true, "application/json", []byte(`[[[[[[`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			m := newMemory("")
			m.service = func(*http.Request, string) *http.Response {
				res := respond(200, tt.contentType, "")
				res.Body = &endless{piece: tt.piece, sent: &sent}
				return res
			}
			_, err := chat(t.Context(), newBackend(m, watsonx.WithReplyLimit(limit)), request(tt.stream))
			if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeInvalidResponse {
				t.Errorf("got error %v, want code %s", err, backend.CodeInvalidResponse)
			}
			if got := sent.Load(); got > limit+64<<10 {
				t.Errorf("got %d bytes read, want an end at %d", got, limit)
			}
		})
	}
	t.Run("a batch", func(t *testing.T) {
		t.Parallel()
		var sent atomic.Int64
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response {
			res := respond(200, "application/json", "")
			res.Body = &endless{piece: []byte(`{"results":[`), sent: &sent}
			return res
		}
		_, err := newBackend(m, watsonx.WithReplyLimit(limit)).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("p")})
		wantTyped(t, err)
		if _, err := newBackend(m, watsonx.WithReplyLimit(limit)).ListModels(t.Context()); err == nil {
			t.Error("got no error of an endless list of models, want one")
		}
	})
	t.Run("an error", func(t *testing.T) {
		t.Parallel()
		var sent atomic.Int64
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response {
			res := respond(400, "application/json", "")
			res.Body = &endless{piece: []byte(`{"errors":[{"message":"`), sent: &sent}
			return res
		}
		_, err := chat(t.Context(), newBackend(m), request(false))
		wantTyped(t, err)
		if got := sent.Load(); got > 256<<10 {
			t.Errorf("got %d bytes of an error read, want only its beginning", got)
		}
	})
}

// A document nested without end costs no stack.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"choices":[`, 200_000)
	for _, body := range []string{deep, `{"new":` + strings.Repeat("[", 1_000_000), "id: 1\nevent: message\ndata: " + `{"moderations":` + strings.Repeat(`{"a":`, 500_000) + "\n\n"} {
		_, err := chat(t.Context(), newBackend(newMemory(body)), request(strings.HasPrefix(body, "id: ")))
		if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeInvalidResponse {
			t.Errorf("got error %v, want code %s", err, backend.CodeInvalidResponse)
		}
	}
	for _, iam := range []string{`{"access_token":` + strings.Repeat("[", 200_000), `{"x":` + strings.Repeat(`{"a":`, 40_000)} {
		m := newMemory(aReply)
		m.iam = says(iam)
		_, err := chat(t.Context(), newBackend(m), request(false))
		wantTyped(t, err)
	}
}

// The token and the key follow no redirect, to another host or to the same, of any kind of request.
func TestRedirectsGetNoToken(t *testing.T) {
	t.Parallel()
	var stolen atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen.Store(true)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		lead := func(to string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}
		}
		bad := httptest.NewServer(lead(thief.URL + "/identity/token"))
		good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, anAccessToken) }))
		transport := &http.Transport{}
		service := newBackend(transport, watsonx.WithBaseURL(bad.URL), watsonx.WithIAMURL(good.URL))
		iam := newBackend(transport, watsonx.WithBaseURL(good.URL), watsonx.WithIAMURL(bad.URL))
		for _, b := range []*watsonx.Backend{service, iam} {
			_, chatErr := chat(context.Background(), b, request(true))
			_, listErr := b.ListModels(context.Background())
			_, batchErr := b.GenerateBatch(context.Background(), backend.BatchRequest{Prompts: content.ListOf("p")})
			for _, err := range []error{chatErr, listErr, batchErr} {
				if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeRedirect {
					t.Errorf("%d: got error %v, want code %s", status, err, backend.CodeRedirect)
				}
				wantClean(t, err)
			}
		}
		transport.CloseIdleConnections()
		bad.Close()
		good.Close()
	}
	if stolen.Load() {
		t.Error("a redirect was followed to another server, want none to be")
	}
}

// Whatever a service puts into its header, its ids and its codes comes out of an error as one line.
func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	m := newMemory("")
	m.service = func(r *http.Request, _ string) *http.Response {
		return respond(500, "application/json", `{"errors":[{"code":"x\r\ny `+r.Header.Get("Authorization")+`","message":"a\nb"}],"trace":"\u001b[31mred\nline","status_code":500}`,
			"X-Request-Id", "\x1b[31m"+r.Header.Get("Authorization"))
	}
	_, err := chat(t.Context(), newBackend(m, watsonx.WithRetries(0)), request(false))
	wantTyped(t, err)
	wantClean(t, err)
	if strings.ContainsAny(err.Error(), "\r\n\x1b") {
		t.Errorf("got error %q, want one line without control characters", err)
	}
}

// A reply that is large, but not too large, costs memory of its own order.
func TestLargeReplyIsNotCopiedManyTimes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const size = 8 << 20
	m := newMemory("")
	body := whole(`"content":"`+strings.Repeat("x", size)+`"`, "stop")
	m.service = func(*http.Request, string) *http.Response {
		res := respond(200, "application/json", "")
		res.Body = io.NopCloser(bytes.NewReader([]byte(body)))
		return res
	}
	b := newBackend(m)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := chat(t.Context(), b, request(false))
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := len(r.Message.Text()); got != size {
		t.Errorf("got %d bytes of text, want %d", got, size)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 12*size {
		t.Errorf("got %d bytes allocated for a reply of %d, want less than 12 times as much", got, size)
	}
}
