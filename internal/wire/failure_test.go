package wire_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mellea-go/mellea/internal/wire"
)

// noRetry makes failures show at once.
var noRetry = wire.RetryPolicy{Max: -1}

const okHeader = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

// readEvents makes a streamed call and reads it to its error.
func readEvents(c *wire.Client) (events int, err error) {
	res, err := c.Do(context.Background(), wire.Call{Path: "/v1/chat", Body: []byte(`{"prompt":"x"}`), Stream: true})
	if err != nil {
		return 0, err
	}
	defer res.Close()
	in := res.SSE()
	for {
		if _, err := in.Next(); err != nil {
			return events, err
		}
		events++
	}
}

// TestBadReplies is what a server may do to a stream, on the wire.
func TestBadReplies(t *testing.T) {
	t.Parallel()
	forever := func(chunk string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, okHeader+"\r\n")
			for {
				if _, err := io.WriteString(c, chunk); err != nil {
					return
				}
			}
		}
	}
	send := func(s string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, s) } }
	event := "data: {\"secret\":\"" + plantedWords + "\"}\n\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
	for _, tt := range []struct {
		name   string
		serve  func(net.Conn)
		events int
		want   string // {url} is the call's address
		is     error
	}{
		{"cut off between chunks", send(okHeader + "Transfer-Encoding: chunked\r\n\r\n" + chunk), 1, "{url}: the reply was cut off", io.ErrUnexpectedEOF},
		{"cut off within a chunk", send(okHeader + "Transfer-Encoding: chunked\r\n\r\n" + chunk + "ff\r\ndata"), 1, "{url}: the reply was cut off", io.ErrUnexpectedEOF},
		{"shorter than announced", send(okHeader + "Content-Length: 1000\r\n\r\n" + event), 1, "{url}: the reply was cut off", io.ErrUnexpectedEOF},
		{"malformed chunk size", send(okHeader + "Transfer-Encoding: chunked\r\n\r\n" + chunk + plantedWords + "\r\n"), 1, "{url}: the reply is malformed or was broken off", nil},
		{"not HTTP", send(plantedWords + "\r\n\r\n"), 0, "{url}: the server's answer is not HTTP: check the base URL", nil},
		{"malformed status", send("HTTP/1.1 " + plantedWords + "\r\n\r\n"), 0, "{url}: the server's answer is not HTTP: check the base URL", nil},
		{"malformed header", send("HTTP/1.1 200 OK\r\n" + plantedWords + "\r\n\r\n"), 0, "{url}: the server's answer is not HTTP: check the base URL", nil},
		{"web page", send("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>" + plantedWords), 0, "{url}: the server answered with a web page, not data: check the base URL", nil},
		{"damaged compression", send(okHeader + "Content-Encoding: gzip\r\n\r\n" + plantedWords), 0, "{url}: the reply's compression is damaged", gzip.ErrHeader},
		{"endless line", forever(strings.Repeat("x", 4096)), 0, "{url}: the stream has a line longer than the limit of 65536 bytes", nil},
		{"endless event", forever("data: " + plantedWords + "\n"), 0, "{url}: the stream has an event longer than the limit of 65536 bytes", nil},
		{"endless comments", forever(":" + strings.Repeat("x", 1000) + "\n"), 0, "{url}: the reply is longer than the limit of 1048576 bytes", nil},
		{"no reply", send(""), 0, "read {url}: the server closed the connection before it replied", io.EOF},
		{"reset before the reply", reset, 0, "read {url}: the server closed the connection before it replied", syscall.ECONNRESET},
		{
			"reset within the reply",
			func(c net.Conn) { send(okHeader + "\r\n" + event)(c); time.Sleep(20 * time.Millisecond); reset(c) },
			1, "read {url}: the connection was lost in the middle of the reply", syscall.ECONNRESET,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := rawServer(t, tt.serve)
			cfg := secretConfig(base)
			cfg.Retry, cfg.MaxLine, cfg.MaxStream = noRetry, 64<<10, 1<<20
			events, err := readEvents(newClient(t, cfg))
			if err == nil {
				t.Fatal("got no error")
			}
			if got, want := err.Error(), strings.ReplaceAll(tt.want, "{url}", base+"/v1/chat"); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v without %v within", errors.Unwrap(err), tt.is)
			}
			if events != tt.events {
				t.Errorf("got %d events, want %d", events, tt.events)
			}
			assertNoSecret(t, err.Error())
		})
	}
}

// reset closes with RST instead of FIN.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	plain := newServer(t, func(http.ResponseWriter, *http.Request) {})
	secure, _ := newTLSServer(t, func(http.ResponseWriter, *http.Request) {})
	dnsFails := wire.NewTransport()
	dnsFails.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "models.invalid", IsNotFound: true}}
	}
	dialTimeout := wire.NewTransport()
	dialTimeout.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	unreachable := wire.NewTransport()
	unreachable.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	}
	own := roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("no cassette for %s with %s and http://%s:%s@host/x?%s", r.URL, r.Header, plantedUser, plantedPass, plantedQuery)
	})
	for _, tt := range []struct {
		name      string
		base      string
		transport http.RoundTripper
		op, want  string
		is        error
	}{
		{"refused", "http://" + closed, nil, "dial", "dial {base}/v1/chat: nothing listens at " + closed + ": is the server running?", syscall.ECONNREFUSED},
		{"unknown host", "http://models.invalid", dnsFails, "dial", "dial {base}/v1/chat: the host name models.invalid cannot be resolved: check the base URL", nil},
		{"dial timeout", "http://models.test", dialTimeout, "dial", "dial {base}/v1/chat: timed out: is models.test reachable from here?", os.ErrDeadlineExceeded},
		{"no route", "http://models.test", unreachable, "dial", "dial {base}/v1/chat: network is unreachable", syscall.ENETUNREACH},
		{"https to a plain server", strings.Replace(plain.URL, "http:", "https:", 1), nil, "tls", "tls {base}/v1/chat: the server speaks plain HTTP: begin the base URL with http://", nil},
		{"unknown certificate", secure.URL, nil, "tls", "tls {base}/v1/chat: the server's TLS handshake or certificate was not accepted: check the base URL and the trusted certificates", nil},
		{"a transport's own error", "http://host", own, "round trip", "round trip {base}/v1/chat: no cassette for http://***@host/v1/chat with map[Accept:[application/json] Authorization:[***] Content-Type:[application/json] User-Agent:[mellea-go]] and http://***@host/x", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := secretConfig(tt.base)
			cfg.Transport = tt.transport
			retries := 0
			call := post("/v1/chat")
			call.OnRetry = func(wire.Retry) { retries++ }
			_, err := newClient(t, cfg).Do(context.Background(), call)
			e := as[*wire.TransportError](t, err)
			want := strings.ReplaceAll(tt.want, "{base}", tt.base)
			if tt.name == "a transport's own error" {
				want = strings.Replace(want, "http://***@host/v1", "http://host/v1", 1)
			}
			if got := err.Error(); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if e.Op != tt.op {
				t.Errorf("got op %q, want %q", e.Op, tt.op)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v without %v within", e.Err, tt.is)
			}
			if retries != 0 {
				t.Errorf("got %d retries, want none", retries)
			}
			assertNoSecret(t, err.Error())
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newTLSServer serves HTTP/2 and returns a transport that trusts it.
func newTLSServer(tb testing.TB, h http.HandlerFunc) (*httptest.Server, *http.Transport) {
	tb.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	tb.Cleanup(srv.Close)
	transport := wire.NewTransport()
	tb.Cleanup(transport.CloseIdleConnections)
	transport.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	return srv, transport
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	srv, transport := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			panic(http.ErrAbortHandler)
		case "/half":
			fmt.Fprintf(w, "data: %s\n\n", r.Proto)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "data: %s\n\n", r.Proto)
	})
	c := newClient(t, wire.Config{BaseURL: srv.URL, Transport: transport, Retry: wire.RetryPolicy{Max: 1, Base: 1}})
	for _, tt := range []struct {
		path    string
		retries int
		events  int
		want    string // {url} is the call's address; "" is a whole reply
	}{
		{"/whole", 0, 1, ""},
		{"/none", 1, 0, "read {url}: the server closed the connection before it replied"},
		{"/half", 0, 1, "read {url}: the connection was lost in the middle of the reply"},
	} {
		t.Run(tt.path[1:], func(t *testing.T) {
			t.Parallel()
			retries, events := 0, 0
			res, err := c.Do(context.Background(), wire.Call{
				Path: tt.path, Body: []byte("{}"), Stream: true, OnRetry: func(wire.Retry) { retries++ },
			})
			if err == nil {
				defer res.Close()
				var e wire.Event
				for in := res.SSE(); ; events++ {
					if e, err = in.Next(); err != nil {
						break
					}
					if got, want := string(e.Data), "HTTP/2.0"; got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
			}
			if retries != tt.retries || events != tt.events {
				t.Errorf("got %d retries and %d events, want %d and %d", retries, events, tt.retries, tt.events)
			}
			if tt.want == "" {
				if err != io.EOF {
					t.Errorf("got %v, want io.EOF", err)
				}
				return
			}
			as[*wire.TransportError](t, err)
			if got, want := err.Error(), strings.ReplaceAll(tt.want, "{url}", srv.URL+tt.path); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestPlainRequestToTLS(t *testing.T) {
	t.Parallel()
	srv, _ := newTLSServer(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, wire.Config{BaseURL: strings.Replace(srv.URL, "https:", "http:", 1)})
	_, err := c.Do(context.Background(), post("/"))
	e := as[*wire.StatusError](t, err)
	if got, want := e.Remedy, "the server expects TLS: begin the base URL with https://"; e.Status != 400 || got != want {
		t.Errorf("got %d %q, want 400 %q", e.Status, got, want)
	}
}

func TestCompressedReplyIsBoundedInflated(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 10<<20))
	z.Close()
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		w.Write(bomb.Bytes())
	})
	c := newClient(t, wire.Config{BaseURL: srv.URL, MaxBody: 1 << 20})
	res, err := c.Do(context.Background(), post("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	_, err = res.ReadAll(0)
	if e := as[*wire.ProtocolError](t, err); !strings.Contains(e.Reason, "longer than the limit of 1048576 bytes") {
		t.Errorf("got %q", e.Reason)
	}
}

// TestTransportContract feeds replies that only a faulty transport of the user's can make.
func TestTransportContract(t *testing.T) {
	t.Parallel()
	t.Run("neither reply nor error", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, wire.Config{BaseURL: "http://host", Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })})
		_, err := c.Do(context.Background(), post("/"))
		as[*wire.ProtocolError](t, err)
	})
	t.Run("no body", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, wire.Config{BaseURL: "http://host", Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200}, nil
		})})
		res, err := c.Do(context.Background(), post("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Close()
		if body, err := res.ReadAll(0); err != nil || len(body) != 0 {
			t.Errorf("got %q, %v; want nothing", body, err)
		}
	})
	t.Run("it may write to the header", func(t *testing.T) {
		t.Parallel()
		var got []string
		c := newClient(t, wire.Config{BaseURL: "http://host", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			got = append(got, r.Header.Get("X-Seen"))
			r.Header.Set("X-Seen", "yes")
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})})
		for range 2 {
			res, err := c.Do(context.Background(), post("/"))
			if err != nil {
				t.Fatal(err)
			}
			res.Close()
		}
		if want := []string{"", ""}; got[0] != want[0] || got[1] != want[1] {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestResponsePrintsNoSecret(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, plantedWords) })
	res, err := newClient(t, secretConfig(srv.URL)).Do(context.Background(), wire.Call{Path: "/v1", Body: []byte(plantedWords)})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	if _, err := res.ReadAll(0); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if got, want := fmt.Sprintf(verb, res), "wire.Response{200 "+srv.URL+"/v1}"; got != want {
			t.Errorf("%s: got %q, want %q", verb, got, want)
		}
	}
}

// Secrets of one call are kept out of what anybody repeats of them.
func TestSecretsOfACall(t *testing.T) {
	t.Parallel()
	const word = "token-of-this-call"
	echo := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", word)
		if r.URL.Path == "/v1/stream" {
			io.WriteString(w, `data: {"error":{"message":"`+word+`","code":"`+word+`"},"trace":"`+word+`"}`+"\n\n")
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":[{"code":"`+word+`","message":"not with `+word+`"}],"trace":"`+word+`"}`)
	})
	call := wire.Call{Path: "/chat", Body: []byte(`{}`), Secrets: []string{word},
		SetHeaders: func(set func(key, value string)) { set("Authorization", "Bearer "+word) }}
	check := func(t *testing.T, err error) {
		t.Helper()
		text := err.Error()
		if e, ok := errors.AsType[*wire.StatusError](err); ok {
			text = strings.Join([]string{text, e.Message, e.Code, e.RequestID, e.Trace}, " ")
		}
		if strings.Contains(text, word) || !strings.Contains(text, "***") {
			t.Errorf("got %q, want the secret masked", text)
		}
	}
	t.Run("a status", func(t *testing.T) {
		t.Parallel()
		_, err := newClient(t, wire.Config{BaseURL: echo.URL + "/v1"}).Do(t.Context(), call)
		check(t, err)
	})
	t.Run("an error in a stream", func(t *testing.T) {
		t.Parallel()
		call := call
		call.Path, call.Stream = "/stream", true
		r, err := newClient(t, wire.Config{BaseURL: echo.URL + "/v1"}).Do(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		event, err := r.SSE().Next()
		if err != nil {
			t.Fatal(err)
		}
		check(t, r.StreamError(event.Data))
	})
	t.Run("a transport", func(t *testing.T) {
		t.Parallel()
		own := roundTripper(func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("no cassette for %v", r.Header) })
		_, err := newClient(t, wire.Config{BaseURL: echo.URL, Transport: own}).Do(t.Context(), call)
		check(t, err)
	})
}
