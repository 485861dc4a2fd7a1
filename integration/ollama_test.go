package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
	"github.com/mellea-go/mellea/schema"
)

const (
	capital = "What is the capital of Italy? Answer in one short sentence."
	essay   = "Write a long essay about the history of Rome."
)

// weatherTools is a conversation with a scripted model that calls a tool.
func weatherTools(t *testing.T, server *components.Ollama) *backendtest.RealTools {
	t.Helper()
	parameters, err := schema.Parse("weather", []byte(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`))
	if err != nil {
		t.Fatal(err)
	}
	return &backendtest.RealTools{
		Model: components.Scripted(t, server, tinymodel.Script{Replies: []tinymodel.Reply{
			{Calls: []tinymodel.Call{{Name: "weather", Arguments: `{"city": "Paris"}`}}}, {Text: "It is 18 degrees in Paris."},
		}}),
		Prompt: "What is the weather in Paris?", Result: `{"degrees":18}`,
		Spec: content.ToolSpec{Name: "weather", Description: "tells the weather of a city", Parameters: parameters},
	}
}

// thinker is a question to a scripted model that thinks.
func thinker(t *testing.T, server *components.Ollama) *backendtest.RealReasoning {
	t.Helper()
	return &backendtest.RealReasoning{Level: "on", Prompt: "What is 6 times 7?",
		Model: components.Scripted(t, server, tinymodel.Script{Replies: []tinymodel.Reply{{Thinking: "Six sevens make it.", Text: "42"}}})}
}

// question asks the small model for something it answers the same way each time.
func question(text string) backend.Request {
	return backend.Request{
		Messages: content.NewMessages(content.User(text)),
		Options:  backend.Options{}.WithTemperature(0).WithSeed(7).WithMaxTokens(24),
	}
}

func streamed(req backend.Request) backend.Request {
	req.Options = req.Options.WithStream(true)
	return req
}

func generate(t *testing.T, b backend.Backend, req backend.Request) backend.Reply {
	t.Helper()
	out, err := b.Generate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := out.Reply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// TestOllama runs the native backend against a real server and a real model.
func TestOllama(t *testing.T) {
	server := components.StartOllama(t)
	b := ollama.New(ollama.WithBaseURL(server.URL))

	t.Run("picks the model that is installed", func(t *testing.T) {
		info, err := b.Info(t.Context())
		if info.Model != server.Model || err != nil {
			t.Errorf("Info().Model = %q, %v, want %q", info.Model, err, server.Model)
		}
		if _, err := b.Installed(t.Context(), server.Model); err != nil {
			t.Errorf("Installed(%q) = %v", server.Model, err)
		}
		if v, err := b.Version(t.Context()); v != "0.17.4" || err != nil {
			t.Errorf("Version() = %q, %v, want 0.17.4", v, err)
		}
	})

	t.Run("counts as the server reports", func(t *testing.T) {
		raw := rawOllama(t, server, capital)
		for _, req := range []backend.Request{question(capital), streamed(question(capital))} {
			got := generate(t, b, req)
			if got.Message.Text() != raw.Message.Content {
				t.Errorf("text = %q, want %q", got.Message.Text(), raw.Message.Content)
			}
			want := content.Usage{InputTokens: raw.PromptEvalCount, OutputTokens: raw.EvalCount}
			if want.Total() == 0 || got.Generation.Usage != want {
				t.Errorf("usage = %+v, want %+v", got.Generation.Usage, want)
			}
			if diff := cmp.Diff([]string{raw.DoneReason}, got.Generation.FinishReasons.Slice()); diff != "" {
				t.Errorf("finish reasons (-want +got):\n%s", diff)
			}
			if got.Generation.ResponseModel != raw.Model {
				t.Errorf("response model = %q, want %q", got.Generation.ResponseModel, raw.Model)
			}
		}
	})

	testStream(t, b)
	testFormat(t, b)
	testCancel(t, b)
	t.Run("conformance", func(t *testing.T) {
		seeing := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithModel(server.Model), ollama.WithImageFetch(ollama.ImageFetch{Private: true}))
		backendtest.RunReal(t, seeing, backendtest.Real{Name: "ollama",
			Against: "Ollama 0.17.4, " + server.Model + " and scripted models for tools, thinking and images",
			Seed:    true, Temperature: true, ModelUnknown: "no-such-model", ResponseModel: server.Model,
			Tools: weatherTools(t, server), Reasoning: thinker(t, server), Images: pictures(t, components.Seeing(t, server))})
	})

	t.Run("completes raw prompts as the server does", func(t *testing.T) {
		prompts := []string{"The capital of Italy is", "Two and two make", "The sky is"}
		batch := backend.BatchRequest{Prompts: content.ListOf(prompts...), Options: question("").Options}
		got, err := b.GenerateBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		var usage content.Usage
		for i, it := range got.Items.All() {
			raw := rawCompletion(t, server, prompts[i])
			if it.Text != raw.Response || it.Err != nil || it.Text == "" {
				t.Errorf("completion of %q = %q, %v, want %q", prompts[i], it.Text, it.Err, raw.Response)
			}
			usage = usage.Add(content.Usage{InputTokens: raw.PromptEvalCount, OutputTokens: raw.EvalCount})
		}
		if got.Generation.Usage != usage {
			t.Errorf("usage = %+v, want %+v", got.Generation.Usage, usage)
		}
	})

	t.Run("lists its models", func(t *testing.T) {
		models, err := b.ListModels(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(models, func(m backend.ModelInfo) bool { return m.Name == server.Model })
		if i < 0 || models[i].Size == 0 || models[i].Modified.IsZero() {
			t.Errorf("ListModels() = %+v, want %s with its size and time", models, server.Model)
		}
	})

	t.Run("a model that cannot be pulled", func(t *testing.T) {
		var last error
		for _, err := range b.Pull(t.Context(), "no-such-model-anywhere:1b") {
			last = err
		}
		var e *backend.Error
		if !errors.As(last, &e) || e.Op != "pull" || e.Remedy == "" {
			t.Errorf("Pull = %v, want a *backend.Error with a remedy", last)
		}
	})

	t.Run("unknown model", func(t *testing.T) {
		out, err := b.Generate(t.Context(), backend.Request{
			Messages: content.NewMessages(content.User("hi")),
			Options:  backend.Options{}.WithModel("no-such-model"),
		})
		if err == nil {
			err = out.Wait(t.Context())
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Status != http.StatusNotFound || !strings.Contains(e.Remedy, "`ollama pull no-such-model`") {
			t.Errorf("error = %v, want a 404 that says how to install the model", err)
		}
	})

	t.Run("calls tools under the server's ids", func(t *testing.T) { testToolCalls(t, server, b) })

	t.Run("thinks when it is told to", func(t *testing.T) {
		think := thinker(t, server)
		for _, req := range []backend.Request{question(think.Prompt), streamed(question(think.Prompt))} {
			req.Options = req.Options.WithModel(think.Model).WithThinking("on")
			got := generate(t, b, req).Message
			if got.Reasoning() != "Six sevens make it." || got.Text() != "42" {
				t.Errorf("thought %q and said %q, want that six sevens make 42", got.Reasoning(), got.Text())
			}
		}
		for model, level := range map[string]string{think.Model: "high", server.Model: "on"} { // one has no levels, the other does not think
			req := question("hi")
			req.Options = req.Options.WithModel(model).WithThinking(level)
			out, err := b.Generate(t.Context(), req)
			if err == nil {
				err = out.Wait(t.Context())
			}
			var e *backend.Error
			if !errors.As(err, &e) || e.Status != http.StatusBadRequest || !strings.Contains(e.Remedy, "think") {
				t.Errorf("%s with thinking %s: %v, want a 400 that says the model does not think so", model, level, err)
			}
		}
	})

	t.Run("tools the model cannot call", func(t *testing.T) {
		req := question("hi")
		req.Tools = content.ListOf(content.ToolSpec{Name: "now", Description: "tells the time"})
		out, err := b.Generate(t.Context(), req)
		if err == nil {
			err = out.Wait(t.Context())
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest || !strings.Contains(e.Remedy, "tools") {
			t.Errorf("error = %v, want a 400 that says the model has no tools", err)
		}
	})
}

// TestOpenAIDialect runs the OpenAI backend against the same server's imitation of that API.
func TestOpenAIDialect(t *testing.T) {
	server := components.StartOllama(t)
	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithAPIKey(""), openai.WithModel(server.Model))

	t.Run("counts as the server reports", func(t *testing.T) {
		raw := rawOllama(t, server, capital)
		for _, req := range []backend.Request{question(capital), streamed(question(capital))} {
			got := generate(t, b, req)
			if got.Message.Text() != raw.Message.Content {
				t.Errorf("text = %q, want %q", got.Message.Text(), raw.Message.Content)
			}
			want := content.Usage{InputTokens: raw.PromptEvalCount, OutputTokens: raw.EvalCount}
			if want.Total() == 0 || got.Generation.Usage != want {
				t.Errorf("usage = %+v, want %+v", got.Generation.Usage, want)
			}
			if diff := cmp.Diff([]string{raw.DoneReason}, got.Generation.FinishReasons.Slice()); diff != "" {
				t.Errorf("finish reasons (-want +got):\n%s", diff)
			}
			if got.Generation.ResponseID == "" || got.Generation.ResponseModel != raw.Model {
				t.Errorf("response %q of model %q, want an id and %q", got.Generation.ResponseID, got.Generation.ResponseModel, raw.Model)
			}
		}
	})

	testStream(t, b)
	testFormat(t, b)
	testCancel(t, b)
	t.Run("unknown model", func(t *testing.T) {
		out, err := b.Generate(t.Context(), backend.Request{
			Messages: content.NewMessages(content.User("hi")),
			Options:  backend.Options{}.WithModel("no-such-model"),
		})
		if err == nil {
			err = out.Wait(t.Context())
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Status != http.StatusNotFound || !strings.Contains(e.Remedy, "no-such-model") {
			t.Errorf("error = %v, want a 404 that names the model", err)
		}
	})
}

// TestReplayOfARealModel records real generations and replays them with the server gone.
func TestReplayOfARealModel(t *testing.T) {
	server := components.StartOllama(t)
	path := filepath.Join(t.TempDir(), "recording.jsonl")
	rec, err := replay.RecordFile(ollama.New(ollama.WithBaseURL(server.URL)), path)
	if err != nil {
		t.Fatal(err)
	}
	whole, piecewise := question(capital), streamed(question(essay))
	wants := []backend.Reply{generate(t, rec, whole), generate(t, rec, piecewise)}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}

	b, err := replay.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := b.Info(t.Context()); info.Model != server.Model || info.Provider != "ollama" || err != nil {
		t.Errorf("Info() = %+v, %v, want the recorded model", info, err)
	}
	for i, req := range []backend.Request{whole, piecewise} {
		got := generate(t, b, req)
		want := wants[i]
		if !got.Message.Equal(want.Message) || want.Message.Text() == "" {
			t.Errorf("replayed %q, want %q", got.Message.Text(), want.Message.Text())
		}
		if got.Generation.Usage != want.Generation.Usage || got.Generation.Chunks != want.Generation.Chunks {
			t.Errorf("replayed %+v in %d chunks, want %+v in %d", got.Generation.Usage, got.Generation.Chunks,
				want.Generation.Usage, want.Generation.Chunks)
		}
	}
	if left := b.Unused(); len(left) > 0 {
		t.Errorf("Unused() = %v, want none", left)
	}
}

// testToolCalls has a scripted model call two tools at once, and gives the results back.
func testToolCalls(t *testing.T, server *components.Ollama, b backend.Backend) {
	tools := weatherTools(t, server)
	model := components.Scripted(t, server, tinymodel.Script{Replies: []tinymodel.Reply{
		{Text: "One moment.", Calls: []tinymodel.Call{{Name: "weather", Arguments: `{"city": "Paris"}`}, {Name: "weather", Arguments: `{"city": "Rome"}`}}},
		{Text: "It is 18 degrees in Paris and 25 in Rome."},
	}})
	for _, stream := range []bool{false, true} {
		req := question("What is the weather in Paris and in Rome?")
		req.Tools = content.ListOf(tools.Spec)
		req.Options = req.Options.WithModel(model).WithStream(stream).WithMaxTokens(200)
		asking := generate(t, b, req)
		calls := slices.Collect(asking.Message.ToolCalls())
		if len(calls) != 2 || calls[0].ID == "" || calls[0].ID == calls[1].ID {
			t.Fatalf("calls %+v, want two with ids of their own", calls)
		}
		for i, want := range []string{`{"city":"Paris"}`, `{"city":"Rome"}`} {
			if calls[i].Name != "weather" || calls[i].Arguments != want {
				t.Errorf("call %d is %s %s, want weather %s", i, calls[i].Name, calls[i].Arguments, want)
			}
		}
		if diff := cmp.Diff([]string{"tool_calls"}, asking.Generation.FinishReasons.Slice()); diff != "" {
			t.Errorf("finish reasons (-want +got):\n%s", diff)
		}
		req.Messages = req.Messages.Append(asking.Message, content.NewMessage(content.RoleTool,
			content.ToolResult{CallID: calls[0].ID, Name: "weather", Content: `{"degrees":18}`},
			content.ToolResult{CallID: calls[1].ID, Name: "weather", Content: `{"degrees":25}`}))
		if got, want := generate(t, b, req).Message.Text(), "It is 18 degrees in Paris and 25 in Rome."; got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
}

// rawReply is what the server itself says of a reply.
type rawReply struct {
	Model           string `json:"model"`
	Message         struct{ Content string }
	DoneReason      string `json:"done_reason"`
	PromptEvalCount int    `json:"prompt_eval_count"`
	EvalCount       int    `json:"eval_count"`
}

// rawChat posts a chat, whose reply is closed when the test ends.
func rawChat(t *testing.T, server *components.Ollama, chat map[string]any) *http.Response {
	t.Helper()
	body, err := json.Marshal(chat)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(server.URL+"/api/chat", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// rawOllama makes the request of question(text) without any code of ours.
func rawOllama(t *testing.T, server *components.Ollama, text string) rawReply {
	t.Helper()
	resp := rawChat(t, server, map[string]any{
		"model": server.Model, "stream": false,
		"messages": []map[string]string{{"role": "user", "content": text}},
		"options":  map[string]any{"temperature": 0, "seed": 7, "num_predict": 24},
	})
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var raw rawReply
	if err := json.Unmarshal(reply, &raw); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", resp.Status, reply, err)
	}
	return raw
}

// rawCompletion makes one completion of a batch of question("") without any code of ours.
func rawCompletion(t *testing.T, server *components.Ollama, prompt string) (raw struct {
	Response        string
	PromptEvalCount int `json:"prompt_eval_count"`
	EvalCount       int `json:"eval_count"`
}) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"model": server.Model, "stream": false, "raw": true, "prompt": prompt,
		"options": map[string]any{"temperature": 0, "seed": 7, "num_predict": 24},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(server.URL+"/api/generate", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return raw
}

// testStream checks that the pieces of a reply are the reply.
func testStream(t *testing.T, b backend.Backend) {
	t.Run("streams in pieces", func(t *testing.T) {
		out, err := b.Generate(t.Context(), streamed(question(capital)))
		if err != nil {
			t.Fatal(err)
		}
		var (
			text   strings.Builder
			pieces int
			last   backend.Chunk
		)
		for c, err := range out.Chunks(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if c.At.Before(last.At) {
				t.Errorf("chunk %d arrived before chunk %d", c.Index, last.Index)
			}
			text.WriteString(c.Text)
			pieces++
			last = c
		}
		reply, err := out.Reply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if whole := reply.Message.Text(); whole == "" || text.String() != whole {
			t.Errorf("the pieces make %q, want %q", text.String(), whole)
		}
		if pieces < 2 {
			t.Errorf("the reply came in %d pieces, want several", pieces)
		}
		g := reply.Generation
		if first, ok := g.TimeToFirstToken(); !ok || first <= 0 || g.Ended.Before(g.FirstToken) {
			t.Errorf("started %v, first token %v, ended %v: want them in this order", g.Started, g.FirstToken, g.Ended)
		}
	})
}

// testFormat checks that a schema constrains the reply.
func testFormat(t *testing.T, b backend.Backend) {
	t.Run("replies to a schema", func(t *testing.T) {
		person, err := schema.Parse("person", []byte(`{"type":"object","properties":{"name":{"type":"string","maxLength":20},
			"age":{"type":"integer","minimum":0,"maximum":120}},"required":["name","age"],"additionalProperties":false}`))
		if err != nil {
			t.Fatal(err)
		}
		req := question("Alice is 31 years old. Give her name and age as JSON.")
		req.Format = person
		req.Options = req.Options.WithMaxTokens(100)
		got := generate(t, b, req)
		if err := person.Validate([]byte(got.Message.Text())); err != nil {
			t.Errorf("reply %q: %v", got.Message.Text(), err)
		}
	})
}

// testCancel checks that a reply given up ends at once, with what had arrived, and that the server is free afterwards.
func testCancel(t *testing.T, b backend.Backend) {
	t.Run("cancels in the middle", func(t *testing.T) {
		req := streamed(question(essay))
		req.Options = req.Options.WithMaxTokens(2000)
		out, err := b.Generate(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		why := errors.New("enough")
		for range out.Chunks(t.Context()) {
			out.Cancel(why)
		}
		text, err := out.Text(t.Context())
		if text == "" || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("Text = %q, %v, want a piece and the cause", text, err)
		}
		// The server runs one request at a time: this one waits for the other to be given up there too.
		generate(t, b, question(capital))
	})
}
