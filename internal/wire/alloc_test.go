package wire_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/mellea-go/mellea/internal/wire"
)

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
}

// repeat reads the same bytes over and over, like a stream that has warmed up.
func repeat(s string) io.Reader {
	off := 0
	return readerFunc(func(p []byte) (int, error) {
		n := copy(p, s[off:])
		off = (off + n) % len(s)
		return n, nil
	})
}

func TestReadersDoNotAllocate(t *testing.T) {
	skipUnderRace(t)
	for name, in := range map[string]string{
		"one line":     "data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n",
		"name and id":  "event: delta\r\nid: 17\r\ndata: {}\r\n\r\nid: 18\r\ndata: {}\r\n\r\n",
		"several data": ": comment\ndata: a\ndata: b\ndata: c\n\n",
	} {
		s := wire.NewSSE(repeat(in), 0)
		next := func() {
			if _, err := s.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2000 {
			next()
		}
		if got := testing.AllocsPerRun(2000, next); got != 0 {
			t.Errorf("SSE, %s: got %v allocations an event, want 0", name, got)
		}
	}
	d := wire.NewNDJSON(repeat("{\"message\":{\"content\":\"word\"}}\n"), 0)
	next := func() {
		if _, err := d.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2000 {
		next()
	}
	if got := testing.AllocsPerRun(2000, next); got != 0 {
		t.Errorf("NDJSON: got %v allocations a line, want 0", got)
	}
}

// TestCallAllocations holds a call to the price of raw net/http and a few, and a chunk to nothing.
func TestCallAllocations(t *testing.T) {
	skipUnderRace(t)
	const runs = 200
	base := cannedServer(t, benchReply)
	transport := wire.NewTransport()
	defer transport.CloseIdleConnections()
	raw := &http.Client{Transport: transport}
	var out bytes.Buffer
	floor := testing.AllocsPerRun(runs, func() { rawCall(t, raw, base+"/v1/chat/completions", &out) })
	c := newBenchClient(t, base)
	call := testing.AllocsPerRun(runs, func() { wireCall(t, c, traced) })
	if over := call - floor; over > 5 {
		t.Errorf("got %v allocations a call, %v more than net/http alone, want at most 5", call, over)
	}

	perStream := func(n int) float64 {
		c := newBenchClient(t, cannedServer(t, chunked(n)))
		call := traced
		call.Stream = true
		return testing.AllocsPerRun(runs, func() { wireStream(t, c, call) })
	}
	if got := (perStream(200) - perStream(1)) / 199; got > 0.02 {
		t.Errorf("got %v allocations a chunk, want 0", got)
	}
}
