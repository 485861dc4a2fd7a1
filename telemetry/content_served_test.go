package telemetry_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/telemetry"
)

// searching answers the first request by a search of the provider's and the second one without.
func searching() *melleatest.Backend {
	return melleatest.NewBackend(
		melleatest.Reply{Pieces: []string{"It rains."}, Served: []backend.ServerToolDelta{
			{ID: "planted-id", Name: "planted-name", Type: "planted-type", Arguments: `{"query":"planted-query"}`},
			{ResultType: "planted-kind", Result: `[{"title":"planted-title"}]`}}},
		melleatest.Say("It does."))
}

// What a provider's tool did is in the reply that it was for, and in the conversation of the next call, on spans, events and
// in the store, in the form that the conventions have for it. There is no span for it, as it did not run here; with content
// off there is nothing of it at all.
func TestContentOfTheProvidersTools(t *testing.T) {
	t.Parallel()
	parts := []any{
		map[string]any{"type": "server_tool_call", "id": "planted-id", "name": "planted-name",
			"server_tool_call": map[string]any{"type": "planted-type", "arguments": map[string]any{"query": "planted-query"}}},
		map[string]any{"type": "server_tool_call_response", "id": "planted-id",
			"server_tool_call_response": map[string]any{"type": "planted-kind", "content": []any{map[string]any{"title": "planted-title"}}}},
		map[string]any{"type": "text", "content": "It rains."},
	}
	assistant := map[string]any{"role": "assistant", "parts": parts}
	for name, on := range map[string]bool{"content on": true, "content off": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, shelf := otlptest.Start(t), &shelves{}
			vars := []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP}
			opts := []telemetry.Option{telemetry.WithLogger((&logbook{}).logger())}
			if on {
				vars = append(vars, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_AND_EVENT")
				opts = append(opts, telemetry.WithContent(true), telemetry.WithContentStore(shelf))
			}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append(opts, environ(vars...))...))
			t.Cleanup(func() { _ = tel.Shutdown(t.Context()) })
			s := must[*mellea.Session](t)(mellea.Start(t.Context(), searching(), mellea.WithHooks(tel), mellea.WithTools(weather), mellea.WithHistory(history.Chat())))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Weather?"))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Really?"))
			_ = s.Close()
			flush(t, tel)
			var chats []otlptest.Span
			for _, span := range server.Spans(t, 5) {
				switch span.Attributes["gen_ai.operation.name"] {
				case "chat":
					chats = append(chats, span)
				case "execute_tool":
					t.Errorf("got the span %q, want none: nothing was run here", span.Name)
				}
			}
			if !on {
				if at := indexOf(server.Raw(), "planted"); at >= 0 {
					t.Errorf("exported with content off: %q", server.Raw()[at:at+20])
				}
				return
			}
			slices.SortFunc(chats, func(a, b otlptest.Span) int { return a.Start.Compare(b.Start) })
			if len(chats) != 2 {
				t.Fatalf("got %d spans of chats, want 2", len(chats))
			}
			if diff := cmp.Diff(chats[0].Attributes["gen_ai.output.messages"], any([]any{assistant})); diff != "" {
				t.Errorf("the reply on its span (-got +want):\n%s", diff)
			}
			input, _ := chats[1].Attributes["gen_ai.input.messages"].([]any)
			if len(input) != 3 || !cmp.Equal(input[1], any(assistant)) {
				t.Errorf("the next call's span has the conversation %v, want the reply in its middle", input)
			}
			events := otlptest.Events(server.Records(t, 2), eventDetails)
			if diff := cmp.Diff(events[0].Attributes["gen_ai.output.messages"], any([]any{assistant})); diff != "" {
				t.Errorf("the reply on its event (-got +want):\n%s", diff)
			}
			stored := shelf.get(chats[0].Attributes["mellea.content.output_messages.ref"])
			strict(t, "gen_ai.output.messages", stored)
			var got any
			if err := json.Unmarshal([]byte(stored), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, any([]any{assistant})); diff != "" {
				t.Errorf("the reply in the store (-got +want):\n%s", diff)
			}
		})
	}
}

// The checker has nothing against any of it.
func TestProvidersToolsAreAsTheConventionsSay(t *testing.T) {
	t.Parallel()
	sc := melleatest.CheckSemconv(t)
	tel := sc.Setup(t.Context(), telemetry.WithContent(true), telemetry.WithEventContent(true))
	s := must[*mellea.Session](t)(mellea.Start(t.Context(), searching(), mellea.WithHooks(tel), mellea.WithHistory(history.Chat())))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Weather?"))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Really?"))
	_ = s.Close()
}

// Where there is no room for all that a tool gave, it is a text that is cut; what kind it is stays.
func TestContentCapOfProvidersTools(t *testing.T) {
	t.Parallel()
	m := content.NewMessage(content.RoleAssistant, content.ServerToolCall{Name: "search", Type: "search", Arguments: `{"query":"x"}`},
		content.ServerToolResult{Type: "found", Content: `["` + strings.Repeat("long ", 1000) + `"]`})
	frame := `[{"parts":[{"name":"search","server_tool_call":{"arguments":{"query":"x"},"type":"search"},"type":"server_tool_call"},` +
		`{"server_tool_call_response":{"content":"%","type":"found"},"type":"server_tool_call_response"}],"role":"assistant"}]`
	for limit := 240; limit < 1000; limit += 7 {
		for key, doc := range telemetry.CaptureForTest(content.Messages{}, content.List[content.ToolSpec]{}, m, limit, nil) {
			strict(t, key, doc)
			before, kept, _ := strings.Cut(doc, `"content":"`)
			kept, after, _ := strings.Cut(kept, `","type"`)
			if got := before + `"content":"%","type"` + after; got != frame || len(doc) > limit || !strings.HasPrefix(`[\"`+strings.Repeat("long ", 1000), kept) {
				t.Errorf("%s within %d bytes has %d: %s", key, limit, len(doc), doc)
			}
		}
	}
}
