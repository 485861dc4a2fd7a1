package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/internal/wire"
)

// cannedServer answers every request on a connection with the same bytes and allocates nothing per request,
// so that a measurement of allocations sees the client only. It reads requests with a Content-Length.
func cannedServer(tb testing.TB, reply []byte) (base string) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serveCanned(conn, reply) })
		}
	})
	tb.Cleanup(func() { ln.Close(); conns.Wait() })
	return "http://" + ln.Addr().String()
}

func serveCanned(conn net.Conn, reply []byte) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				for _, d := range bytes.TrimSpace(n) {
					length = length*10 + int(d-'0')
				}
			}
			if len(bytes.TrimSpace(line)) == 0 {
				break
			}
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

func whole(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func chunked(events int) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	event := `data: {"choices":[{"delta":{"content":"word "}}]}` + "\n\n"
	for range events {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(event), event)
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
}

var (
	benchBody  = []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("word ", 100) + `"}]}`)
	benchReply = whole(`{"choices":[{"message":{"content":"` + strings.Repeat("word ", 100) + `"}}]}`)
)

// rawCall is the floor: what a program writes without this package.
func rawCall(tb testing.TB, client *http.Client, url string, out *bytes.Buffer) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(benchBody))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer key")
	res, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	out.Reset()
	if _, err := out.ReadFrom(res.Body); err != nil {
		tb.Fatal(err)
	}
	res.Body.Close()
}

func wireCall(tb testing.TB, client *wire.Client, call wire.Call) {
	res, err := client.Do(context.Background(), call)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := res.ReadAll(0); err != nil {
		tb.Fatal(err)
	}
	res.Close()
}

func wireStream(tb testing.TB, client *wire.Client, call wire.Call) (events int) {
	res, err := client.Do(context.Background(), call)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Close()
	sse := res.SSE()
	for {
		_, err := sse.Next()
		if err == io.EOF {
			return events
		}
		if err != nil {
			tb.Fatal(err)
		}
		events++
	}
}

func newBenchClient(tb testing.TB, base string) *wire.Client {
	transport := wire.NewTransport()
	tb.Cleanup(transport.CloseIdleConnections)
	c, err := wire.New(wire.Config{
		BaseURL:   base,
		Header:    http.Header{"Authorization": {"Bearer key"}},
		Transport: transport,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var traced = wire.Call{Path: "/v1/chat/completions", Body: benchBody, SetHeaders: func(set func(string, string)) {
	set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
}}

func BenchmarkDo(b *testing.B) {
	base := cannedServer(b, benchReply)
	b.Run("raw", func(b *testing.B) {
		transport := wire.NewTransport()
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		var out bytes.Buffer
		b.ReportAllocs()
		for b.Loop() {
			rawCall(b, client, base+"/v1/chat/completions", &out)
		}
	})
	b.Run("wire", func(b *testing.B) {
		c := newBenchClient(b, base)
		call := traced
		call.SetHeaders = nil
		b.ReportAllocs()
		for b.Loop() {
			wireCall(b, c, call)
		}
	})
	b.Run("wire+traceparent", func(b *testing.B) {
		c := newBenchClient(b, base)
		b.ReportAllocs()
		for b.Loop() {
			wireCall(b, c, traced)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	for _, n := range []int{1, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBenchClient(b, cannedServer(b, chunked(n)))
			call := wire.Call{Path: "/v1/chat/completions", Body: benchBody, Stream: true}
			b.ReportAllocs()
			for b.Loop() {
				if got := wireStream(b, c, call); got != n {
					b.Fatalf("got %d events, want %d", got, n)
				}
			}
		})
	}
}
