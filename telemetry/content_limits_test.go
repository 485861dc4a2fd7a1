package telemetry_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/redact"
)

// Binary data for which there is no room becomes a reference to it: never half a base64.
func TestContentCapOfBinaryParts(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("\x89PNG\r\n\x1a\n" + strings.Repeat("\xfe", 3000)))
	picture := must[content.Image](t)(content.NewImage([]byte("\x89PNG\r\n\x1a\n" + strings.Repeat("\xfe", 3000))))
	sound := must[content.Audio](t)(content.NewAudio("audio/wav", []byte("\xffshort")))
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true), telemetry.WithContentMaxBytes(600), telemetry.WithContentStrings())
	generate(t, tel, hookpoint.GenerationStart{Messages: content.NewMessages(
		content.User("older"), content.NewMessage(content.RoleUser, content.Text("What is this?"), picture, sound))}, hookpoint.GenerationEnd{}, nil)
	flush(t, tel)
	got := server.Spans(t, 1)[0].Attributes
	want := `[{"parts":[{"content":"older","type":"text"}],"role":"user"},{"parts":[{"content":"What is this?","type":"text"},` +
		`{"mime_type":"image/png","modality":"image","size":3008,"type":"uri","uri":"ni:///sha-256;` + base64.RawURLEncoding.EncodeToString(digest[:]) + `"},` +
		`{"content":"/3Nob3J0","mime_type":"audio/wav","modality":"audio","type":"blob"}],"role":"user"}]`
	if diff := cmp.Diff(got["gen_ai.input.messages"], any(want)); diff != "" {
		t.Errorf("messages (-got +want):\n%s", diff)
	}
	if got["mellea.content.truncated"] != true {
		t.Error("nothing says that something is missing")
	}
}

// Of several system messages the longest is cut; none goes while others have text left.
func TestContentCapOfInstructions(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true), telemetry.WithContentMaxBytes(200), telemetry.WithContentStrings())
	generate(t, tel, hookpoint.GenerationStart{Messages: content.NewMessages(
		content.System("Be brief."), content.System(strings.Repeat("long ", 200)), content.User("u"))}, hookpoint.GenerationEnd{}, nil)
	flush(t, tel)
	got, _ := server.Spans(t, 1)[0].Attributes["gen_ai.system_instructions"].(string)
	if !strings.Contains(got, "Be brief.") || !strings.Contains(got, "long long") || len(got) > 200 || len(got) < 190 {
		t.Errorf("instructions of %d bytes: %s", len(got), got)
	}
}

// Limits of the SDK cost content, never usage or errors, and cut no document in two.
func TestContentUnderTheLimitsOfTheSDK(t *testing.T) { //nolint:paralleltest // it sets the environment
	var messages []content.Message
	var variables []hookpoint.Variable
	for i := range 200 {
		text := fmt.Sprintf("turn %d %s", i, strings.Repeat(`"quoted" `, 500))
		messages = append(messages, content.User(text))
		variables = append(variables, hookpoint.Variable{Name: fmt.Sprintf("v%d", i), Value: text})
	}
	start := hookpoint.GenerationStart{Info: backend.Info{Provider: "openai", Model: "m", ServerAddress: "a.example.com", ServerPort: 1},
		Messages: content.NewMessages(messages...), Variables: content.ListOf(variables...), Conversation: "c"}
	end := hookpoint.GenerationEnd{Reply: content.Assistant(strings.Repeat("ü", 9000)), Generation: backend.Generation{
		Usage: content.Usage{InputTokens: 10, OutputTokens: 5, CacheReadTokens: 3, ReasoningTokens: 2}, ResponseID: "r", FinishReasons: content.ListOf("length")}}
	for _, env := range []map[string]string{
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1"},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0"},
		{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1000"},
		{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "40", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "5", "OTEL_SPAN_EVENT_COUNT_LIMIT": "1"},
		{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "0"},
	} {
		for _, form := range []string{"structured", "strings"} {
			t.Run(fmt.Sprint(env, form), func(t *testing.T) {
				for name, value := range env {
					t.Setenv(name, value)
				}
				opts := []telemetry.Option{telemetry.WithContent(true)}
				if form == "strings" {
					opts = append(opts, telemetry.WithContentStrings())
				}
				server := otlptest.Start(t)
				tel := setup(t, server, opts...)
				generate(t, tel, start, end, &backend.Error{Provider: "openai", Op: "chat", Status: 500, Code: "boom", Message: strings.Repeat("m", 5000)})
				flush(t, tel)
				span := server.Spans(t, 1)[0]
				got := map[string]any{}
				for _, key := range []string{"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens",
					"gen_ai.usage.reasoning.output_tokens", "mellea.usage.total_tokens"} {
					got[key] = span.Attributes[key]
				}
				want := map[string]any{"gen_ai.usage.input_tokens": int64(10), "gen_ai.usage.output_tokens": int64(5),
					"gen_ai.usage.cache_read.input_tokens": int64(3), "gen_ai.usage.reasoning.output_tokens": int64(2), "mellea.usage.total_tokens": int64(15)}
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("usage (-got +want):\n%s", diff)
				}
				if _, ok := span.Attributes["error.type"]; !ok || span.Status != "error" {
					t.Errorf("the error is lost: %s, %v", span.Status, span.Attributes)
				}
				for _, key := range []string{"gen_ai.input.messages", "gen_ai.output.messages"} {
					switch doc := span.Attributes[key].(type) {
					case string:
						validate(t, key, doc)
					case nil:
						if env["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"] == "" {
							t.Errorf("%s is lost", key)
						}
					default:
						validate(t, key, string(must[[]byte](t)(json.Marshal(doc))))
					}
				}
				if span.Attributes["mellea.content.truncated"] != true {
					t.Error("nothing says that something is missing")
				}
			})
		}
	}
}

// plantedKey is the end of a key that stands in many of the texts of randomMessages.
const plantedKey = "xPlantedx"

// randomMessages returns a conversation with parts of every kind, of lengths that vary by orders of magnitude.
func randomMessages(r *rand.Rand) []content.Message {
	text := func() string {
		pieces := []string{"a", "é", "\"", "\\", "\n", "\u2028", "\x00", "\xff", "{", "日本", " ", "sk-", "@", "1", `\u0041`}
		var b strings.Builder
		for range r.IntN(1 << r.IntN(10)) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		if r.IntN(3) == 0 {
			b.WriteString(" sk-proj-" + strings.Repeat("aB3", 10) + plantedKey + " ")
		}
		return b.String()
	}
	object := func() string {
		b, _ := json.Marshal(map[string]any{text(): text(), "n": r.Float64(), "list": []any{text(), nil, r.IntN(100), map[string]any{"x": text()}}})
		return string(b)
	}
	roles := []content.Role{content.RoleSystem, content.RoleUser, content.RoleAssistant, content.RoleTool, "developer"}
	var all []content.Message
	for range r.IntN(8) {
		var parts []content.Part
		for range r.IntN(5) {
			switch r.IntN(13) {
			case 10:
				parts = append(parts, content.ServerToolCall{ID: text(), Name: text(), Type: text(), Arguments: object()})
			case 11:
				parts = append(parts, content.ServerToolResult{CallID: text(), Type: text(), Content: object()})
			case 12:
				parts = append(parts, content.ServerToolResult{Type: "t", Content: text()})
			case 7:
				if f, err := content.NewFile("n", "text/"+text(), []byte(text())); err == nil {
					parts = append(parts, f)
				}
			case 8:
				if f, err := content.FileID(text()); err == nil {
					parts = append(parts, f)
				}
			case 0:
				parts = append(parts, content.Reasoning{Text: text()})
			case 1:
				parts = append(parts, content.ToolCall{ID: text(), Name: text(), Arguments: object()})
			case 2:
				parts = append(parts, content.ToolCall{Name: "t", Arguments: text()})
			case 3:
				parts = append(parts, content.ToolResult{CallID: text(), Content: object()})
			case 4:
				if i, err := content.NewImage([]byte("\x89PNG\r\n\x1a\n" + text())); err == nil {
					parts = append(parts, i)
				}
			case 5:
				if a, err := content.NewAudio("audio/wav", []byte(text())); err == nil {
					parts = append(parts, a)
				}
			case 6:
				if i, err := content.ImageURL("https://example.com/" + strings.Repeat("p", r.IntN(500))); err == nil {
					parts = append(parts, i)
				}
			default:
				parts = append(parts, content.Text(text()))
			}
		}
		all = append(all, content.NewMessage(roles[r.IntN(len(roles))], parts...))
	}
	return all
}

// Whatever messages and caps there are: every document is JSON within the cap, as strict as its schema can be read, and
// without a planted key when there is a redactor.
func FuzzContent(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, 1<<(seed%14))
	}
	f.Fuzz(func(t *testing.T, seed uint64, limit int) {
		limit = max(1, limit%20000)
		r := rand.New(rand.NewPCG(seed, 1))
		all := randomMessages(r)
		reply := content.Assistant("")
		if n := len(all); n > 0 {
			reply = all[n-1]
		}
		var redactor telemetry.Redactor
		if seed%2 == 0 {
			redactor = redact.Default()
		}
		tools := content.ListOf(content.ToolSpec{Name: "t", Description: reply.Text(), Parameters: must2(schema.Parse("p", []byte(`{"type":"object","description":"x"}`)))})
		for key, doc := range telemetry.CaptureForTest(content.NewMessages(all...), tools, reply, limit, redactor) {
			if len(doc) > limit {
				t.Errorf("%s has %d bytes, over the cap of %d: %s", key, len(doc), limit, doc)
			}
			if !utf8.ValidString(doc) || !json.Valid([]byte(doc)) {
				t.Errorf("%s is not JSON: %q", key, doc)
			}
			validate(t, key, doc)
			strict(t, key, doc)
			if redactor != nil && strings.Contains(doc, plantedKey) {
				t.Errorf("%s has a key: %s", key, doc)
			}
		}
	})
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
