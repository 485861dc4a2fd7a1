package integration_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
	"github.com/mellea-go/mellea/schema"
)

// weather is a tool, and what a scripted model makes of it: two calls at once, then words about their results.
var (
	weatherScript = tinymodel.Script{Replies: []tinymodel.Reply{
		{Calls: []tinymodel.Call{{Name: "weather", Arguments: `{"city": "Oslo"}`}, {Name: "weather", Arguments: `{"city": "Rome"}`}}},
		{Text: "It rains in Oslo and not in Rome."},
	}}
	weatherPrompt = "Where does it rain, in Oslo or in Rome?"
)

func weather(t *testing.T) content.ToolSpec {
	t.Helper()
	parameters, err := schema.Parse("weather", []byte(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`))
	if err != nil {
		t.Fatal(err)
	}
	return content.ToolSpec{Name: "weather", Description: "tells the weather of a city", Parameters: parameters}
}

// testTools has a scripted model call a tool twice and use the results, which go back under the ids of the calls.
func testTools(t *testing.T, b backend.Backend, model string) {
	t.Helper()
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run("calls tools, "+name, func(t *testing.T) {
			req := backend.Request{
				Messages: content.NewMessages(content.User(weatherPrompt)), Tools: content.ListOf(weather(t)),
				Options: backend.Options{}.WithModel(model).WithTemperature(0).WithStream(stream),
			}
			asked := generate(t, b, req)
			calls := slices.Collect(asked.Message.ToolCalls())
			if len(calls) != 2 || calls[0].ID == "" || calls[0].ID == calls[1].ID {
				t.Fatalf("calls = %+v, want two with ids of their own", calls)
			}
			for i, city := range []string{"Oslo", "Rome"} {
				if calls[i].Name != "weather" || strings.Join(strings.Fields(calls[i].Arguments), "") != `{"city":"`+city+`"}` {
					t.Errorf("call %d = %+v, want the weather of %s", i, calls[i], city)
				}
			}
			if diff := cmp.Diff(asked.Generation.FinishReasons.Slice(), []string{"tool_calls"}); diff != "" {
				t.Errorf("finish reasons (-got +want):\n%s", diff)
			}
			req.Messages = req.Messages.Append(asked.Message, content.NewMessage(content.RoleTool,
				content.ToolResult{CallID: calls[0].ID, Name: "weather", Content: `{"rain":true}`},
				content.ToolResult{CallID: calls[1].ID, Name: "weather", Content: `{"rain":false}`}))
			if got, want := generate(t, b, req).Message.Text(), weatherScript.Replies[1].Text; got != want {
				t.Errorf("answer = %q, want %q", got, want)
			}
		})
	}
}

// TestOpenAIOnOllama runs what the OpenAI backend can do beside a chat on a real server of that dialect.
func TestOpenAIOnOllama(t *testing.T) {
	server := components.StartOllama(t)
	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithAPIKey(""), openai.WithModel(server.Model))
	scripted := components.Scripted(t, server, weatherScript)

	testTools(t, b, scripted)

	t.Run("conformance", func(t *testing.T) {
		backendtest.RunReal(t, b, backendtest.Real{Name: "openai", Against: "Ollama 0.17.4 at /v1, " + server.Model + " and scripted models for tools and images",
			Seed: true, Temperature: true, ModelUnknown: "no-such-model", ResponseModel: server.Model,
			Tools:  &backendtest.RealTools{Model: scripted, Prompt: weatherPrompt, Result: `{"rain":true}`, Spec: weather(t)},
			Images: pictures(t, components.Seeing(t, server))})
	})

	t.Run("thinks", func(t *testing.T) {
		thinker := components.Scripted(t, server, tinymodel.Script{Replies: []tinymodel.Reply{{Thinking: "Two and two.", Text: "Four."}}})
		for _, stream := range []bool{false, true} {
			got := generate(t, b, backend.Request{Messages: content.NewMessages(content.User("2+2?")),
				Options: backend.Options{}.WithModel(thinker).WithStream(stream)}).Message
			if got.Reasoning() != "Two and two." || strings.TrimSpace(got.Text()) != "Four." {
				t.Errorf("reply = %q after %q, want the script's", got.Text(), got.Reasoning())
			}
		}
	})

	// The server takes one prompt a request: the batch is one operation all the same.
	t.Run("completes raw prompts as the server does", func(t *testing.T) {
		prompts := []string{"The capital of Italy is", "Two and two make", "The sky is"}
		batch := backend.BatchRequest{Prompts: content.ListOf(prompts...), Options: question("").Options}
		got, err := b.GenerateBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		var usage content.Usage
		for i, it := range got.Items.All() {
			if it.Text == "" || it.Err != nil || it.Usage.OutputTokens == 0 {
				t.Errorf("completion of %q = %+v, want text and its usage", prompts[i], it)
			}
			usage = usage.Add(it.Usage)
		}
		if got.Generation.Usage != usage || got.Generation.ResponseModel != server.Model {
			t.Errorf("usage = %+v of model %q, want %+v of %q", got.Generation.Usage, got.Generation.ResponseModel, usage, server.Model)
		}
		again, err := b.GenerateBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, it := range again.Items.All() {
			if first := got.Items.At(i).Text; it.Text != first {
				t.Errorf("completion %d = %q and then %q with a temperature of 0 and one seed", i, first, it.Text)
			}
		}
	})

	t.Run("a batch for a model it does not have", func(t *testing.T) {
		_, err := b.GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("a", "b"), Options: backend.Options{}.WithModel("no-such-model")})
		var e *backend.Error
		if !errors.As(err, &e) || e.Status != http.StatusNotFound || !strings.Contains(e.Remedy, "no-such-model") {
			t.Errorf("error = %v, want a 404 that names the model", err)
		}
	})

	t.Run("lists its models", func(t *testing.T) {
		models, err := b.ListModels(t.Context())
		if err != nil || !slices.ContainsFunc(models, func(m backend.ModelInfo) bool { return m.Name == server.Model && !m.Modified.IsZero() }) {
			t.Errorf("ListModels() = %+v, %v, want %s among them", models, err, server.Model)
		}
	})
}
