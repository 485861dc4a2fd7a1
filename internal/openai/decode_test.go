package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
)

// A whole reply that has an empty delta beside its message is what the message says.
func TestDecodeWhole(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"a message":            `{"choices":[{"message":{"role":"assistant","content":"Hello"}}]}`,
		"a delta behind it":    `{"choices":[{"message":{"role":"assistant","content":"Hello"},"delta":{"role":"assistant","content":""}}]}`,
		"a delta before it":    `{"choices":[{"delta":{"role":"assistant","content":""},"message":{"role":"assistant","content":"Hello"}}]}`,
		"a delta in its place": `{"choices":[{"delta":{"role":"assistant","content":"Hello"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openai.Decoder{Whole: true}
			got, err := d.Decode([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			want := openai.Event{Choices: 1, HasMessage: true, HasRole: true, Text: []byte("Hello")}
			if diff := cmp.Diff(*got, want, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("event (-got +want):\n%s", diff)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc string
		want      openai.Event
	}{
		{"a reply", usualReply, openai.Event{
			ID: "chatcmpl-1", Model: "gpt-4o-mini-2024", Fingerprint: "fp", Created: 1700000000, Choices: 1, HasMessage: true, HasRole: true,
			Text: []byte("Dear Alice,\n\nthe launch is \"on\"."), FinishReason: "stop", HasUsage: true,
			Usage: content.Usage{InputTokens: 40, OutputTokens: 12, CacheReadTokens: 8},
		}},
		{"a chunk", usualChunk, openai.Event{
			ID: "chatcmpl-1", Model: "gpt-4o-mini-2024", Fingerprint: "fp", Created: 1700000000, Choices: 1, HasMessage: true, Text: []byte(" word\n"),
		}},
		{"a chunk of usage only", `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9,
			"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":1,"text_tokens":8,"accepted_prediction_tokens":0},
			"prompt_tokens_details":{"cached_tokens":1,"audio_tokens":2,"image_tokens":5}}}`, openai.Event{HasUsage: true, Usage: content.Usage{
			InputTokens: 3, OutputTokens: 9, CacheReadTokens: 1, ReasoningTokens: 4, Text: content.Modality{OutputTokens: 8},
			Image: content.Modality{InputTokens: 5}, Audio: content.Modality{InputTokens: 2, OutputTokens: 1},
		}}},
		{"top-level cache counts are preferred", `{"usage":{"cache_read_input_tokens":7,"cache_creation_input_tokens":2,"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":1}}}`,
			openai.Event{HasUsage: true, Usage: content.Usage{InputTokens: 9, CacheReadTokens: 7, CacheWriteTokens: 2}}},
		{"what went into the cache, in the breakdown", `{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":4}}}`,
			openai.Event{HasUsage: true, Usage: content.Usage{InputTokens: 9, CacheReadTokens: 1, CacheWriteTokens: 4}}},
		{"counts without a breakdown", `{"usage":{"cached_tokens":3,"reasoning_tokens":2,"prompt_tokens":9,"completion_tokens":4}}`,
			openai.Event{HasUsage: true, Usage: content.Usage{InputTokens: 9, OutputTokens: 4, CacheReadTokens: 3, ReasoningTokens: 2}}},
		{"counts of Mistral and DeepSeek", `{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":0},"num_cached_tokens":5,"prompt_cache_hit_tokens":5,"prompt_cache_miss_tokens":4}}`,
			openai.Event{HasUsage: true, Usage: content.Usage{InputTokens: 9, CacheReadTokens: 5}}},
		{"a breakdown and the whole", `{"usage":{"cached_tokens":3,"prompt_tokens_details":{"cached_tokens":2},"reasoning_tokens":7,"completion_tokens_details":{"reasoning_tokens":6}}}`,
			openai.Event{HasUsage: true, Usage: content.Usage{CacheReadTokens: 2, ReasoningTokens: 6}}},
		{"odd counts", `{"usage":{"prompt_tokens":-3,"completion_tokens":2.9,"cache_read_input_tokens":null,"prompt_tokens_details":null}}`,
			openai.Event{HasUsage: true, Usage: content.Usage{OutputTokens: 2}}},
		{"no usage yet", `{"usage":null}`, openai.Event{}},
		{"reasoning_content", `{"choices":[{"delta":{"reasoning_content":"hm"}}]}`, openai.Event{Choices: 1, HasMessage: true, Reasoning: []byte("hm")}},
		{"reasoning", `{"choices":[{"delta":{"reasoning":"hm","reasoning_content":null}}]}`, openai.Event{Choices: 1, HasMessage: true, Reasoning: []byte("hm")}},
		{"content in parts", `{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},{"text":"m"}]},{"type":"text","text":"a"},{"type":"x"},{"text":"b"}]}}]}`,
			openai.Event{Choices: 1, HasMessage: true, Reasoning: []byte("hm"), Text: []byte("ab")}},
		{"what is new behind all so far", `{"choices":[{"message":{"role":"assistant","content":"Hello there","tool_calls":[{"id":"a"}]},"delta":{"content":" there"}}]}`,
			openai.Event{Choices: 1, HasMessage: true, HasRole: true, Text: []byte(" there")}},
		{"what is new before all so far", `{"choices":[{"delta":{"role":"assistant"},"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}]}`,
			openai.Event{Choices: 1, HasMessage: true, HasRole: true, FinishReason: "stop"}},
		{"a message in a chunk", `{"choices":[{"message":{"content":"Hello"},"delta":null}]}`, openai.Event{Choices: 1, HasMessage: true, Text: []byte("Hello")}},
		{"a refusal", `{"choices":[{"message":{"role":"assistant","content":null,"refusal":"no"},"finish_reason":"stop"}]}`,
			openai.Event{Choices: 1, HasMessage: true, HasRole: true, Refusal: []byte("no"), FinishReason: "stop"}},
		{"tool calls", `{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":"{\""}},
			{"index":null,"function":{"arguments":{"x": 1}}},{"function":null}]},"finish_reason":"tool_calls"}]}`,
			openai.Event{Choices: 1, HasMessage: true, FinishReason: "tool_calls", ToolCalls: []openai.ToolCall{
				{Index: 1, ID: "a", Name: "f", Arguments: []byte(`{"`)}, {Index: -1, Arguments: []byte(`{"x": 1}`)}, {Index: -1}}}},
		{"the first choice of several", `{"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"stop"},{"index":0,"delta":{"content":"a"}}]}`,
			openai.Event{Choices: 2, HasMessage: true, Text: []byte("a")}},
		{"invalid UTF-8", "{\"choices\":[{\"delta\":{\"content\":\"a\xff\"}}]}", openai.Event{Choices: 1, HasMessage: true, Text: []byte("a\uFFFD")}},
		{"a surrogate that stands alone", `{"choices":[{"delta":{"content":"a\ud800"}}]}`, openai.Event{Choices: 1, HasMessage: true, Text: []byte("a\uFFFD")}},
		{"the last of two members", `{"id":"a","id":"b"}`, openai.Event{ID: "b"}},
		{"an error", `{"error":{"message":"m"}}`, openai.Event{HasError: true}},
		{"no error", `{"error":null}`, openai.Event{}},
		{"errors", `{"errors":[{"code":"c"}],"trace":"t","error":null}`, openai.Event{HasError: true}},
		{"a model by its id", `{"model_id":"m"}`, openai.Event{Model: "m"}},
		{"a model twice", `{"model_id":"m","model":"n"}`, openai.Event{Model: "n"}},
		{"a model twice, the other way", `{"model":"n","model_id":"m"}`, openai.Event{Model: "n"}},
		{"moderations", `{"moderations":{"pii":[{"score":0.8}]}}`, openai.Event{Moderated: true}},
		{"no moderations", `{"moderations":{}}`, openai.Event{}},
		{"a finish reason of its own", `{"choices":[{"finish_reason":"eos"}]}`, openai.Event{Choices: 1, FinishReason: "eos"}},
		{"a cost", `{"usage":{"prompt_tokens":1,"cost":0.00014}}`, openai.Event{Usage: content.Usage{InputTokens: 1}, HasUsage: true, CostUSD: 0.00014, HasCost: true}},
		{"a cost that is no number", `{"usage":{"cost":{"total":1}}}`, openai.Event{HasUsage: true}},
		{"a cost below nothing", `{"usage":{"cost":-1}}`, openai.Event{HasUsage: true}},
		{"a cost beyond numbers", `{"usage":{"cost":1e999}}`, openai.Event{HasUsage: true}},
		{"no choices", `{"choices":null}`, openai.Event{}},
		{"nothing", `{}`, openai.Event{}},
	}
	var reused openai.Decoder
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time with warm buffers
				got, err := reused.Decode([]byte(tt.doc))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(*got, tt.want, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("event (-got +want):\n%s", diff)
				}
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, doc, want string }{
		{"nothing", ``, "the document is not a JSON object"},
		{"a page", `<html>`, "the document is not a JSON object"},
		{"a string", `"SECRET"`, "the document is not a JSON object"},
		{"half a document", `{"id":"SECRET`, "the document is not valid JSON"},
		{"half an object", `{"id":"SECRET"`, "the document is not valid JSON"},
		{"a bare word", `{"id":SECRET}`, "the document is not valid JSON"},
		{"two documents", `{} {"SECRET":1}`, "the document is followed by more text"},
		{"an id that is a number", `{"id":1}`, "field id is not a string"},
		{"choices that are an object", `{"choices":{"SECRET":1}}`, "field choices is not an array"},
		{"a choice that is text", `{"choices":["SECRET"]}`, "field choices is not an object"},
		{"content that is a number", `{"choices":[{"delta":{"content":1}}]}`, "field content is not a string"},
		{"usage that is text", `{"usage":{"prompt_tokens":"SECRET"}}`, "field prompt_tokens is not a number"},
		{"a reply with a thousand calls", `{"choices":[{"delta":{"tool_calls":[` + strings.Repeat(`{},`, 1000) + `{}]}}]}`, "field tool_calls has too many elements"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d openai.Decoder
			_, err := d.Decode([]byte(tt.doc))
			if _, ok := errors.AsType[*openai.FormatError](err); !ok {
				t.Fatalf("got error %v, want a *FormatError", err)
			}
			if got, want := err.Error(), "openai: "+tt.want; got != want {
				t.Errorf("got error %q, want %q", got, want)
			}
		})
	}
}

func TestEventIsStableWithinOneDocument(t *testing.T) {
	t.Parallel()
	var d openai.Decoder
	long := strings.Repeat(`x\n`, 10000)
	ev, err := d.Decode([]byte(`{"choices":[{"delta":{"content":"first","reasoning_content":"` + long + `","refusal":"last"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(ev.Text) + string(ev.Refusal); got != "firstlast" || len(ev.Reasoning) != 20000 {
		t.Errorf("got %q and %d bytes of reasoning, want the strings read before the buffer grew intact", got, len(ev.Reasoning))
	}
}
