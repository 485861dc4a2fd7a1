package wire_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	plantedKey   = "sk-planted-key-0123456789"
	plantedUser  = "planted-user"
	plantedPass  = "planted-password"
	plantedQuery = "planted-query-value"
	plantedWords = "planted words of the server"
)

// newClient returns a client with its own transport, which is closed with the test.
func newClient(tb testing.TB, cfg wire.Config) *wire.Client {
	tb.Helper()
	if cfg.Transport == nil {
		t := wire.NewTransport()
		tb.Cleanup(t.CloseIdleConnections)
		cfg.Transport = t
	}
	c, err := wire.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func newServer(tb testing.TB, h http.HandlerFunc) *httptest.Server {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return srv
}

// rawServer gives each connection to serve after its first request was read, and closes it then.
func rawServer(tb testing.TB, serve func(net.Conn)) (base string) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				io.Copy(io.Discard, req.Body)
				serve(conn)
			})
		}
	})
	tb.Cleanup(func() { ln.Close(); running.Wait() })
	return "http://" + ln.Addr().String()
}

// memServer serves h over in-memory pipes, which synctest can see through.
func memServer(tb testing.TB, h http.HandlerFunc) *http.Transport {
	tb.Helper()
	ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h}
	var running sync.WaitGroup
	running.Go(func() { srv.Serve(ln) })
	t := &http.Transport{DialContext: ln.dial, DisableCompression: true}
	tb.Cleanup(func() {
		t.CloseIdleConnections()
		srv.Close()
		running.Wait()
	})
	return t
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "mem", Net: "mem"} }

// as is errors.AsType for table tests: the error must be a T.
func as[T error](tb testing.TB, err error) T {
	tb.Helper()
	var e T
	if !errors.As(err, &e) {
		tb.Fatalf("got %T (%v), want %T", err, err, e)
	}
	return e
}

func post(path string) wire.Call { return wire.Call{Path: path, Body: []byte(`{}`)} }

// discard reads the rest of a reply and closes it.
func discard(tb testing.TB, r *wire.Response) {
	tb.Helper()
	if _, err := io.Copy(io.Discard, r); err != nil {
		tb.Error(err)
	}
	r.Close()
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func countDials(dial dialFunc, n *atomic.Int32) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
}
