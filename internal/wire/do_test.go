package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/wire"
)

// seen is what a server saw of a request.
type seen struct {
	Method, Path, Query, Body string
	Header                    map[string]string
}

func record(r *http.Request, names ...string) seen {
	b, _ := io.ReadAll(r.Body)
	s := seen{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: string(b), Header: map[string]string{}}
	for _, n := range names {
		s.Header[n] = strings.Join(r.Header[n], "|")
	}
	return s
}

func TestDoSends(t *testing.T) {
	t.Parallel()
	names := []string{"Authorization", "Content-Type", "Accept", "User-Agent", "X-Many", "Traceparent"}
	for _, tt := range []struct {
		name string
		base string // appended to the server's address
		cfg  wire.Config
		call wire.Call
		want seen
	}{
		{
			name: "a body is posted as JSON",
			base: "/v1/",
			cfg:  wire.Config{Header: http.Header{"authorization": {"Bearer k"}}},
			call: wire.Call{Path: "/chat/completions", Body: []byte(`{"a":1}`)},
			want: seen{Method: "POST", Path: "/v1/chat/completions", Body: `{"a":1}`, Header: map[string]string{
				"Authorization": "Bearer k", "Content-Type": "application/json", "Accept": "application/json",
				"User-Agent": "mellea-go", "X-Many": "", "Traceparent": "",
			}},
		},
		{
			name: "no body is a GET without a content type",
			call: wire.Call{Path: "/api/tags"},
			want: seen{Method: "GET", Path: "/api/tags", Header: map[string]string{
				"Authorization": "", "Content-Type": "", "Accept": "application/json",
				"User-Agent": "mellea-go", "X-Many": "", "Traceparent": "",
			}},
		},
		{
			name: "own method, media types, header with two values",
			cfg:  wire.Config{Header: http.Header{"X-Many": {"1", "2"}, "User-Agent": {"me"}}},
			call: wire.Call{Method: "PUT", Path: "/x", Body: []byte("b"), ContentType: "text/plain", Accept: "text/event-stream"},
			want: seen{Method: "PUT", Path: "/x", Body: "b", Header: map[string]string{
				"Authorization": "", "Content-Type": "text/plain", "Accept": "text/event-stream",
				"User-Agent": "me", "X-Many": "1|2", "Traceparent": "",
			}},
		},
		{
			name: "an empty body is posted",
			call: wire.Call{Path: "/x", Body: []byte{}},
			want: seen{Method: "POST", Path: "/x", Header: map[string]string{
				"Authorization": "", "Content-Type": "application/json", "Accept": "application/json",
				"User-Agent": "mellea-go", "X-Many": "", "Traceparent": "",
			}},
		},
		{
			name: "queries of base and call are joined",
			base: "/ml?version=2026-01-01",
			call: wire.Call{Path: "v1/text", Query: "a=b"},
			want: seen{Method: "GET", Path: "/ml/v1/text", Query: "version=2026-01-01&a=b", Header: map[string]string{
				"Authorization": "", "Content-Type": "", "Accept": "application/json",
				"User-Agent": "mellea-go", "X-Many": "", "Traceparent": "",
			}},
		},
		{
			name: "SetHeaders adds and replaces",
			cfg:  wire.Config{Header: http.Header{"Authorization": {"old"}}},
			call: wire.Call{Path: "/", SetHeaders: func(set func(k, v string)) {
				set("traceparent", "00-1-2-01")
				set("authorization", "new")
			}},
			want: seen{Method: "GET", Path: "/", Header: map[string]string{
				"Authorization": "new", "Content-Type": "", "Accept": "application/json",
				"User-Agent": "mellea-go", "X-Many": "", "Traceparent": "00-1-2-01",
			}},
		},
		{
			name: "an escaped base path stays escaped",
			base: "/a%2Fb",
			call: wire.Call{Path: "/c d"},
			want: seen{Method: "GET", Path: "/a/b/c d", Header: map[string]string{
				"Authorization": "", "Content-Type": "", "Accept": "application/json",
				"User-Agent": "mellea-go", "X-Many": "", "Traceparent": "",
			}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { got = record(r, names...) })
			tt.cfg.BaseURL = srv.URL + tt.base
			r, err := newClient(t, tt.cfg).Do(context.Background(), tt.call)
			if err != nil {
				t.Fatal(err)
			}
			discard(t, r)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserInfoBecomesBasicAuth(t *testing.T) {
	t.Parallel()
	var user, pass string
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { user, pass, _ = r.BasicAuth() })
	c := newClient(t, wire.Config{BaseURL: strings.Replace(srv.URL, "//", "//ann:s3cret@", 1)})
	r, err := c.Do(context.Background(), post("/"))
	if err != nil {
		t.Fatal(err)
	}
	discard(t, r)
	if user != "ann" || pass != "s3cret" {
		t.Errorf("got %q %q, want ann s3cret", user, pass)
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
		w.Header().Set("X-Request-ID", "req_1")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, strings.Repeat("x", 100_000))
	})
	c := newClient(t, wire.Config{BaseURL: srv.URL, MaxBody: 200_000})
	before := time.Now()
	r, err := c.Do(context.Background(), post("/v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.FirstRead().IsZero() || !r.LastRead().IsZero() {
		t.Errorf("got read times %v %v before reading, want zero", r.FirstRead(), r.LastRead())
	}
	body, err := r.ReadAll(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(body), strings.Repeat("x", 100_000); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
	if r.Status != 202 || r.ContentType() != "application/json" || r.RequestID() != "req_1" || r.Target() != srv.URL+"/v1" {
		t.Errorf("got %d %q %q %q", r.Status, r.ContentType(), r.RequestID(), r.Target())
	}
	if r.FirstRead().Before(before) || r.LastRead().Before(r.FirstRead()) {
		t.Errorf("got read times %v %v out of order", r.FirstRead(), r.LastRead())
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read after the end: got %v, want io.EOF", err)
	}
	r.Close()
	if err := r.Close(); err != nil {
		t.Errorf("second Close: got %v", err)
	}
	if _, err := r.ReadAll(0); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("ReadAll after Close: got %v, want %v", err, http.ErrBodyReadAfterClose)
	}
}

func TestReplyLimits(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for _, tt := range []struct {
		name    string
		size    int
		chunked bool
		stream  bool
		wantErr bool
	}{
		{"at the limit", limit, false, false, false},
		{"at the limit, chunked", limit, true, false, false},
		{"one over, announced", limit + 1, false, false, true},
		{"one over, chunked", limit + 1, true, false, true},
		{"stream at its limit", 2 * limit, true, true, false},
		{"stream one over", 2*limit + 1, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if !tt.chunked {
					w.Header().Set("Content-Length", fmt.Sprint(tt.size))
				}
				io.WriteString(w, strings.Repeat("x", tt.size/2))
				w.(http.Flusher).Flush()
				io.WriteString(w, strings.Repeat("x", tt.size-tt.size/2))
			})
			c := newClient(t, wire.Config{BaseURL: srv.URL, MaxBody: limit, MaxStream: 2 * limit})
			r, err := c.Do(context.Background(), wire.Call{Path: "/", Stream: tt.stream})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			body, err := r.ReadAll(0)
			if !tt.wantErr {
				if err != nil || len(body) != tt.size {
					t.Errorf("got %d bytes, %v; want %d", len(body), err, tt.size)
				}
				return
			}
			e := as[*wire.ProtocolError](t, err)
			if !strings.Contains(e.Reason, "longer than the limit") {
				t.Errorf("got reason %q", e.Reason)
			}
			if _, err := r.Read(make([]byte, 1)); err != error(e) {
				t.Errorf("read after failure: got %v, want the same error", err)
			}
		})
	}
}

// TestConnectionIsReused closes replies in the states a backend leaves them in.
func TestConnectionIsReused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		read   func(*testing.T, *wire.Response)
		want   int32 // connections for two calls
	}{
		{"read whole", 200, func(t *testing.T, r *wire.Response) {
			if _, err := r.ReadAll(0); err != nil {
				t.Error(err)
			}
		}, 1},
		{"a stream left after its last event", 200, func(t *testing.T, r *wire.Response) {
			if _, err := r.SSE().Next(); err != nil {
				t.Error(err)
			}
		}, 1},
		{"not read at all", 200, func(t *testing.T, r *wire.Response) {}, 1},
		{"an error reply", 404, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int32
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(tt.status)
				io.WriteString(w, "data: [DONE]\n\n")
				w.(http.Flusher).Flush()
			})
			transport := wire.NewTransport()
			t.Cleanup(transport.CloseIdleConnections)
			dial := transport.DialContext
			transport.DialContext = countDials(dial, &conns)
			c := newClient(t, wire.Config{BaseURL: srv.URL, Transport: transport})
			for range 2 {
				r, err := c.Do(context.Background(), post("/"))
				if err != nil {
					as[*wire.StatusError](t, err)
					continue
				}
				tt.read(t, r)
				r.Close()
			}
			if got := conns.Load(); got != tt.want {
				t.Errorf("got %d connections, want %d", got, tt.want)
			}
		})
	}
}

// TestBodyIsTheCallersAfterClose has a server answer before it read the request. Under -race it shows that
// nothing reads the body once the response is closed.
func TestBodyIsTheCallersAfterClose(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") })
	c := newClient(t, wire.Config{BaseURL: srv.URL})
	buf := wire.GetBuffer()
	defer wire.PutBuffer(buf)
	for range 20 {
		buf.Reset()
		buf.WriteString(strings.Repeat("x", 1<<20))
		r, err := c.Do(context.Background(), wire.Call{Path: "/", Body: buf.Bytes()})
		if err == nil {
			r.Close()
		}
		clear(buf.Bytes())
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		call     wire.Call
		location string // {self} is the server's own address
		status   int
		want     string // of the error, {self} replaced; "" is success
	}{
		{"a GET within the server is followed", wire.Call{Path: "/v1/models"}, "/v2/models", 301, ""},
		{"a GET within the server, absolute", wire.Call{Path: "/v1/models"}, "{self}/v2/models", 308, ""},
		{
			"a POST is not", post("/v1/chat"), "{self}/v2/chat", 307,
			"{self}/v1/chat: HTTP 307 redirects to {self}/v2/chat, which is not followed: set the base URL to the address of the server itself",
		},
		{
			"a POST to another host", post("/chat"), "https://" + plantedUser + ":" + plantedPass + "@other.example/v1/chat?token=" + plantedQuery, 307,
			"{self}/chat: HTTP 307 redirects to https://other.example/v1/chat, which is not followed: set the base URL to https://other.example/v1",
		},
		{
			"a GET to another port", wire.Call{Path: "/v1/models"}, "http://127.0.0.1:1/v1/models", 302,
			"{self}/v1/models: HTTP 302 redirects to http://127.0.0.1:1/v1/models, which is not followed: set the base URL to http://127.0.0.1:1",
		},
		{
			"a GET to another scheme", wire.Call{Path: "/v1/models"}, "https://{host}/v1/models", 302,
			"{self}/v1/models: HTTP 302 redirects to https://{host}/v1/models, which is not followed: set the base URL to https://{host}",
		},
		{
			"a loop", wire.Call{Path: "/v1/models"}, "/v1/models", 302,
			"{self}/v1/models: HTTP 302 redirects to {self}/v1/models, which is not followed: set the base URL to {self}",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var self string
			fill := func(s string) string {
				return strings.NewReplacer("{self}", self, "{host}", strings.TrimPrefix(self, "http://")).Replace(s)
			}
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/models" {
					io.WriteString(w, r.Header.Get("Authorization"))
					return
				}
				w.Header().Set("Location", fill(tt.location))
				w.WriteHeader(tt.status)
				io.WriteString(w, plantedWords)
			})
			self = srv.URL
			c := newClient(t, wire.Config{BaseURL: srv.URL, Header: http.Header{"Authorization": {"Bearer " + plantedKey}}})
			r, err := c.Do(context.Background(), tt.call)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if body, err := r.ReadAll(0); err != nil || string(body) != "Bearer "+plantedKey {
					t.Errorf("got %q, %v", body, err)
				}
				return
			}
			as[*wire.RedirectError](t, err)
			if got, want := err.Error(), fill(tt.want); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			assertNoSecret(t, err.Error())
		})
	}
}
