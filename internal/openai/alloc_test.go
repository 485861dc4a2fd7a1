package openai_test

import (
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
)

func smallChat() backend.Request {
	o, _ := backend.Options{}.WithModel("gpt-4o-mini").WithTemperature(0.7).WithMaxTokens(256).Resolve(nil)
	return backend.Request{
		Messages: content.NewMessages(
			content.System("You are a helpful assistant that answers in one paragraph."),
			content.User("Write a mail to Alice about the launch. \"Quote\" her, on\ntwo lines."),
		),
		Options: o,
	}
}

const usualReply = `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini-2024",` +
	`"choices":[{"index":0,"message":{"role":"assistant","content":"Dear Alice,\n\nthe launch is \"on\".","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":40,"completion_tokens":12,"total_tokens":52,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0}},"system_fingerprint":"fp"}`

const usualChunk = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini-2024","system_fingerprint":"fp",` +
	`"choices":[{"index":0,"delta":{"content":" word\n"},"logprobs":null,"finish_reason":null}],"usage":null}`

func allocs(t *testing.T, most float64, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	if got := testing.AllocsPerRun(200, f); got > most {
		t.Errorf("got %v allocations, want at most %v", got, most)
	}
}

func TestAllocations(t *testing.T) {
	t.Run("request", func(t *testing.T) {
		req, buf := smallChat(), make([]byte, 0, 4096)
		allocs(t, 0, func() {
			if _, err := openai.AppendRequest(buf, req, openai.Style{}); err != nil {
				t.Fatal(err)
			}
		})
	})
	for name, doc := range map[string]string{"reply": usualReply, "chunk": usualChunk} {
		t.Run(name, func(t *testing.T) {
			var d openai.Decoder
			doc := []byte(doc)
			allocs(t, 0, func() {
				if _, err := d.Decode(doc); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
	t.Run("served chunk", func(t *testing.T) {
		ev := &openai.Event{ID: "c", Model: "m", HasMessage: true, Text: []byte("word")}
		buf := make([]byte, 0, 4096)
		allocs(t, 0, func() { openai.AppendChunk(buf, ev) })
	})
}

func BenchmarkAppendRequest(b *testing.B) {
	req, buf := smallChat(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := openai.AppendRequest(buf, req, openai.Style{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, doc := range map[string]string{"reply": usualReply, "chunk": usualChunk} {
		b.Run(name, func(b *testing.B) {
			var d openai.Decoder
			doc := []byte(doc)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
