package bench

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	chatReply = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help you today?"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}`
	prompt    = "Say hello in one short sentence."
)

// chatBody is the request that this library sends for a chat of prompt, and so what the floor sends too.
const chatBody = `{"model":"m-1","messages":[{"role":"user","content":"` + prompt + `"}]}`

// serve runs a server on loopback that answers every request with reply, which is a whole HTTP response. Beyond its
// first request a connection costs it no allocation, so that what is measured is the client.
func serve(tb testing.TB, reply []byte) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { answer(c, reply) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String() + "/v1"
}

var (
	headerEnd     = []byte("\r\n\r\n")
	contentLength = []byte("Content-Length: ")
)

func answer(c net.Conn, reply []byte) {
	defer func() { _ = c.Close() }()
	buf := make([]byte, 0, 64<<10)
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return
		}
		buf = buf[:len(buf)+n]
		for {
			head := bytes.Index(buf, headerEnd)
			if head < 0 {
				break
			}
			length := 0
			if i := bytes.Index(buf[:head], contentLength); i >= 0 {
				for _, d := range buf[i+len(contentLength) : head] {
					if d < '0' || d > '9' {
						break
					}
					length = length*10 + int(d-'0')
				}
			}
			end := head + len(headerEnd) + length
			if len(buf) < end {
				break
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
			buf = buf[:copy(buf, buf[end:])]
		}
	}
}

func chatResponse() []byte {
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req-1\r\nContent-Length: " +
		strconv.Itoa(len(chatReply)) + "\r\n\r\n" + chatReply)
}

// streamResponse is a streamed reply of n text chunks.
func streamResponse(n int) []byte {
	var b strings.Builder
	chunk := func(delta, finish, rest string) {
		fmt.Fprintf(&b, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":%s,"finish_reason":%s}]%s}`+"\n\n", delta, finish, rest)
	}
	chunk(`{"role":"assistant","content":""}`, "null", "")
	for i := range n {
		chunk(fmt.Sprintf(`{"content":"word%d "}`, i), "null", "")
	}
	chunk(`{}`, `"stop"`, "")
	b.WriteString(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}` + "\n\n")
	b.WriteString("data: [DONE]\n\n")
	body := b.String()
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Request-Id: req-1\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}
