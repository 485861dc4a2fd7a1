package bench

import (
	"context"
	"net/http"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/hookpoint"
)

// A chat call through a session with tracing on, over the OpenAI dialect.
func TestChatAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const most = 130
	url := serve(t, chatResponse())
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	defer client.CloseIdleConnections()
	traced, plain := session(t, url, true), session(t, url, false)
	elsewhere := hookpoint.SessionReset.On(func(context.Context, hookpoint.SessionResetting) {})
	listening := session(t, url, false, mellea.WithHooks(elsewhere))

	low := testing.AllocsPerRun(200, func() { floor(t, client, url) })
	off := testing.AllocsPerRun(200, func() { chat(t, plain) })
	on := testing.AllocsPerRun(200, func() { chat(t, traced) })
	t.Logf("allocations of a chat call: raw net/http %.0f, tracing off %.0f, tracing on %.0f", low, off, on)
	if idle := testing.AllocsPerRun(200, func() { chat(t, listening) }); idle > off {
		t.Errorf("hooks that listen elsewhere add %.0f allocations to a call, want 0", idle-off)
	}
	if on > most {
		t.Errorf("a chat call with tracing on allocates %.0f times, want at most %d", on, most)
	}
}

// The same with traces, metrics and logs on, log events included.
func TestEverythingAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const most = 170
	s := session(t, serve(t, chatResponse()), false, mellea.WithHooks(everything(t)))
	chat(t, s)
	got := testing.AllocsPerRun(200, func() { chat(t, s) })
	t.Logf("allocations of a chat call with traces, metrics and logs on: %.0f", got)
	if got > most {
		t.Errorf("a chat call with traces, metrics and logs on allocates %.0f times, want at most %d", got, most)
	}
}

// A chunk more of a streamed reply, tracing on.
func TestStreamAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const most = 1.0
	one, many := session(t, serve(t, streamResponse(1)), true), session(t, serve(t, streamResponse(200)), true)
	if got, want := stream(t, many), 200; got != want {
		t.Fatalf("%d chunks, want %d", got, want)
	}
	low := testing.AllocsPerRun(100, func() { stream(t, one) })
	high := testing.AllocsPerRun(100, func() { stream(t, many) })
	perChunk := (high - low) / 199
	t.Logf("allocations of a streamed call: 1 chunk %.0f, 200 chunks %.0f, %.2f a chunk", low, high, perChunk)
	if perChunk > most {
		t.Errorf("a streamed chunk allocates %.2f times, want at most %.0f", perChunk, most)
	}
}
