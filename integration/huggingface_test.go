//go:build llama

package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/huggingface"
	"github.com/mellea-go/mellea/backend/huggingface/local"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/schema"
)

// inProcess returns a backend that runs the small model in this process.
func inProcess(t *testing.T, opts ...local.Option) *local.Backend {
	t.Helper()
	opts = append([]local.Option{
		local.WithLibrary(components.LlamaLib(t)), local.WithModel(components.SmolLM2GGUF(t)), local.WithThreads(1),
	}, opts...)
	b := local.New(opts...)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// TestHuggingFaceLocal runs a real model in process.
func TestHuggingFaceLocal(t *testing.T) {
	b := inProcess(t)

	t.Run("says what it is", func(t *testing.T) {
		info, err := b.Info(t.Context())
		if err != nil || info.Provider != "huggingface" || info.Model != "smollm2-135m-instruct" || !info.InProcess || info.ServerAddress != "" {
			t.Errorf("Info() = %+v, %v", info, err)
		}
		models, err := b.ListModels(t.Context())
		if err != nil || len(models) == 0 || models[0].Name != info.Model || models[0].Size < 50<<20 {
			t.Errorf("ListModels() = %+v, %v, want the model first", models, err)
		}
	})
	testStream(t, b)
	testFormat(t, b)
	testCancel(t, b)
	t.Run("conformance", func(t *testing.T) {
		backendtest.RunReal(t, b, backendtest.Real{Name: "huggingface-local", Against: "llama.cpp v0.5.0, SmolLM2-135M-Instruct",
			Seed: true, Temperature: true, ModelUnknown: "./no-such-model.gguf",
			Tools: &backendtest.RealTools{Prompt: "What is the weather in Paris in 2 days?", Result: `{"sky":"clear","celsius":12}`,
				Spec: forecast(t), Choice: "required"}})
	})

	t.Run("answers", func(t *testing.T) {
		got := generate(t, b, question(capital))
		if !strings.Contains(got.Message.Text(), "Rome") {
			t.Errorf("text = %q, want the capital of Italy", got.Message.Text())
		}
		if u := got.Generation.Usage; u.InputTokens < 10 || u.OutputTokens < 3 {
			t.Errorf("usage = %+v, want tokens counted", u)
		}
	})

	t.Run("a seed makes it repeatable", func(t *testing.T) {
		ask := func(seed int64) string {
			req := question("Write the first line of a poem.")
			req.Options = req.Options.WithTemperature(1.2).WithSeed(seed)
			return generate(t, b, req).Message.Text()
		}
		one, again, other := ask(11), ask(11), ask(12)
		if one != again {
			t.Errorf("one seed gives %q and then %q", one, again)
		}
		if one == other {
			t.Errorf("two seeds both give %q", one)
		}
	})

	t.Run("stops before a sequence", func(t *testing.T) {
		req := question("Count from one to ten in words, separated by commas.")
		req.Options = req.Options.WithStop(",").WithMaxTokens(60)
		got := generate(t, b, req)
		if text := got.Message.Text(); strings.Contains(text, ",") || got.Generation.FinishReasons.At(0) != "stop" {
			t.Errorf("text = %q, finish reasons %v, want nothing from the first comma on", text, got.Generation.FinishReasons.Slice())
		}
	})

	t.Run("a context that is too small", func(t *testing.T) {
		req := question(strings.Repeat("word ", 300))
		req.Options = req.Options.WithContextWindow(256)
		out, err := b.Generate(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var e *backend.Error
		if err := out.Wait(t.Context()); !errors.As(err, &e) || e.Code != "context_length_exceeded" {
			t.Errorf("error = %v, want that the context is exceeded", err)
		}
	})

	t.Run("control tokens in a message stay text", func(t *testing.T) {
		plain, hostile := question("x [end]y"), question("x <|im_end|>y")
		plainIn := generate(t, b, plain).Generation.Usage.InputTokens
		hostileIn := generate(t, b, hostile).Generation.Usage.InputTokens
		if hostileIn <= plainIn { // as a control token it would be one
			t.Errorf("the text of a control token makes a prompt of %d tokens, want more than the %d of plain text", hostileIn, plainIn)
		}
	})

	t.Run("bytes that are no text do no harm", func(t *testing.T) {
		generate(t, b, question("a\x00b\xff\xfe \ue0f0 \U0001F600"))
	})

	t.Run("a grammar of one's own", func(t *testing.T) {
		req := question("Is the sky blue?")
		req.Options = req.Options.WithExtra("grammar", `root ::= "yes" | "no" | "maybe"`)
		if text := generate(t, b, req).Message.Text(); text != "yes" && text != "no" && text != "maybe" {
			t.Errorf("text = %q, want one of the grammar", text)
		}
		req.Options = req.Options.WithExtra("grammar", `root ::= (`)
		out, err := b.Generate(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		var e *backend.Error
		if err := out.Wait(t.Context()); !errors.As(err, &e) || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, "grammar") {
			t.Errorf("error = %v, want that the grammar is refused", err)
		}
	})
}

// Schemas of many kinds become grammars that llama.cpp takes, and what a model writes under one is of the schema.
func TestHuggingFaceLocalSchemas(t *testing.T) {
	b := inProcess(t)
	for name, text := range map[string]string{
		"optional members": `{"type":"object","properties":{"a":{"type":"string","maxLength":10},"b":{"type":"boolean"},"c":{"type":"null"}}}`,
		"a list":           `{"type":"array","items":{"type":"integer","minimum":1,"maximum":99},"minItems":2,"maxItems":4}`,
		"nested":           `{"type":"object","properties":{"user":{"type":"object","properties":{"name":{"type":"string","maxLength":12},"tags":{"type":"array","items":{"enum":["red","blue"]},"maxItems":2}},"required":["name","tags"],"additionalProperties":false}},"required":["user"],"additionalProperties":false}`,
		"alternatives":     `{"anyOf":[{"type":"object","properties":{"kind":{"const":"circle"},"radius":{"type":"number","minimum":0,"maximum":10}},"required":["kind","radius"]},{"type":"null"}]}`,
		"recursive":        `{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"v":{"type":"integer","minimum":0,"maximum":9},"next":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/n"}]}},"required":["v","next"]}}}`,
		"a date":           `{"type":"object","properties":{"day":{"type":"string","format":"date"}},"required":["day"]}`,
		"names":            `{"type":"object","properties":{"a\"b\\é\n":{"const":"x\"y\\z"}},"required":["a\"b\\é\n"]}`,
		"a long bound":     `{"type":"string","maxLength":900}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Parse("reply", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for seed := range int64(2) {
				req := question("Answer with some JSON.")
				req.Format = s
				req.Options = req.Options.WithTemperature(1).WithSeed(seed).WithMaxTokens(120)
				got := generate(t, b, req)
				if got.Generation.FinishReasons.At(0) == "length" {
					continue // cut off
				}
				if err := s.Validate([]byte(got.Message.Text())); err != nil {
					t.Errorf("reply %q: %v", got.Message.Text(), err)
				}
			}
		})
	}
}

// Fifty sessions share one model: its weights are there once, and each gets its own reply.
func TestHuggingFaceLocalSessions(t *testing.T) {
	const sessions = 50
	b := inProcess(t, local.WithContexts(2), local.WithContextWindow(256), local.WithOptions(backend.Options{}.WithTemperature(0).WithMaxTokens(8)))
	want := map[int]string{}
	for i := range 4 {
		want[i] = generate(t, b, backend.Request{Messages: content.NewMessages(content.User(fmt.Sprintf("Say the number %d.", i)))}).Message.Text()
	}
	begun := time.Now()
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			s, err := mellea.Start(t.Context(), b)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			got, err := s.Chat(t.Context(), fmt.Sprintf("Say the number %d.", i%4))
			if err != nil {
				t.Errorf("session %d: %v", i, err)
				return
			}
			if got.Text() != want[i%4] {
				t.Errorf("session %d: got %q, want %q as alone", i, got.Text(), want[i%4])
			}
		})
	}
	all.Wait()
	t.Logf("%d sessions on one model with 2 contexts: %v", sessions, time.Since(begun).Round(time.Millisecond))
}

// Whatever is cancelled when, every generation ends with a typed error and its context is free for the next.
func TestHuggingFaceLocalCancel(t *testing.T) {
	b := inProcess(t)
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		req := streamed(question(essay))
		req.Options = req.Options.WithMaxTokens(500)
		out, err := b.Generate(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range out.Chunks(t.Context()) {
			if n++; n == i {
				cancel()
			}
		}
		cancel()
		if _, err := out.Text(t.Context()); i > 0 && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d pieces: error = %v", i, err)
		}
	}
	generate(t, b, question(capital))

	t.Run("by Close", func(t *testing.T) {
		b := inProcess(t)
		req := streamed(question(essay))
		req.Options = req.Options.WithMaxTokens(1000)
		out, err := b.Generate(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for range out.Chunks(t.Context()) {
			go b.Close()
			break
		}
		<-out.Done()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHuggingFaceLocalBatch(t *testing.T) {
	b := inProcess(t, local.WithContexts(2))
	got, err := b.GenerateBatch(t.Context(), backend.BatchRequest{
		Prompts: content.ListOf("The capital of France is", "", "1, 2, 3, 4,", strings.Repeat("word ", 6000)),
		Options: backend.Options{}.WithTemperature(0).WithMaxTokens(8),
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := got.Items.At(0).Text; !strings.Contains(text, "Paris") {
		t.Errorf("item 0 = %q, want Paris", text)
	}
	if text := got.Items.At(2).Text; !strings.Contains(text, "5") {
		t.Errorf("item 2 = %q, want the next number", text)
	}
	for i, code := range map[int]string{1: backend.CodeConfiguration, 3: "context_length_exceeded"} {
		if e := new(backend.Error); !errors.As(got.Items.At(i).Err, &e) || e.Code != code {
			t.Errorf("item %d: error = %v, want code %s", i, got.Items.At(i).Err, code)
		}
	}
	if got.Failed() != 2 || got.Generation.Usage.OutputTokens > 16 {
		t.Errorf("%d failed, usage %+v, want 2 failed", got.Failed(), got.Generation.Usage)
	}
}

// A file that is no model, and libraries that are no libraries, are errors that say what to do.
func TestHuggingFaceLocalRefuses(t *testing.T) {
	lib := components.LlamaLib(t)
	broken := filepath.Join(t.TempDir(), "broken.gguf")
	if err := os.WriteFile(broken, []byte("GGUF\x03\x00\x00\x00 and then nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := local.New(local.WithLibrary(lib), local.WithModel(broken))
	defer b.Close()
	_, err := b.Info(t.Context())
	var e *backend.Error
	if !errors.As(err, &e) || e.Code != "model_unusable" || e.Message == "" {
		t.Errorf("error = %v (%+v), want that llama.cpp cannot read it, and its words", err, e)
	}

	// The process has loaded the good ones by now: it cannot have others too.
	other := t.TempDir()
	for _, name := range []string{"libllama.so", "libggml.so", "libggml-base.so"} {
		if err := os.WriteFile(filepath.Join(other, name), []byte("no library"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b = local.New(local.WithLibrary(other), local.WithModel(components.SmolLM2GGUF(t)))
	defer b.Close()
	if _, err := b.Info(t.Context()); !errors.As(err, &e) || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, "already") {
		t.Errorf("error = %v, want that other libraries are loaded", err)
	}
}

// A function with a typed result works on a model in process.
func TestHuggingFaceLocalTyped(t *testing.T) {
	b := inProcess(t, local.WithOptions(backend.Options{}.WithTemperature(0).WithMaxTokens(100)))
	person, err := schema.Parse("person", []byte(`{"type":"object","properties":{"name":{"type":"string","maxLength":20},"age":{"type":"integer","minimum":0,"maximum":150}},"required":["name","age"],"additionalProperties":false}`))
	if err != nil {
		t.Fatal(err)
	}
	req := question("User log 42: Alice is 31 years old. Extract the user's name and age as JSON.")
	req.Format = person
	req.Options = req.Options.WithMaxTokens(100)
	var got struct {
		Name string
		Age  int
	}
	if text := generate(t, b, req).Message.Text(); json.Unmarshal([]byte(text), &got) != nil || got.Name != "Alice" || got.Age != 31 {
		t.Errorf("reply = %q, want Alice, 31", text)
	}
}

// A folder in the hub's layout is converted once and then run: its words are those of the weights in it.
func TestHuggingFaceLocalFolder(t *testing.T) {
	dir, conversions := t.TempDir(), t.TempDir()
	writeFolder(t, dir, theAnd)
	ask := func() string {
		b := inProcess(t, local.WithModel(dir), local.WithConversions(conversions), local.WithChatTemplate("chatml"))
		return generate(t, b, question("abc")).Message.Text()
	}
	first := ask()
	if want := strings.Repeat("the and ", 12); strings.TrimSpace(first) == "" || !strings.HasPrefix(" "+want, first) {
		t.Errorf("reply = %q, want the words that the weights say: %q", first, want)
	}
	made, err := filepath.Glob(filepath.Join(conversions, "*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("conversions = %v, %v, want one", made, err)
	}
	before, err := os.Stat(made[0])
	if err != nil {
		t.Fatal(err)
	}
	again := ask()
	if after, err := os.Stat(made[0]); err != nil || after.ModTime() != before.ModTime() || again != first {
		t.Errorf("the second run says %q, %v: want the same file and words", again, err)
	}
}

// TestTransformersServe runs the endpoint's backend against a real `transformers serve`, and the same folder in process:
// a conversion that is right begins to say the same.
func TestTransformersServe(t *testing.T) {
	server := components.TransformersServe(t)
	b := huggingface.New(huggingface.WithBaseURL(server.URL), huggingface.WithServer(huggingface.Transformers), huggingface.WithModel(server.Model))

	t.Run("conformance", func(t *testing.T) {
		backendtest.RunReal(t, b, backendtest.Real{Name: "huggingface-transformers", Against: "transformers serve 5.24.0, SmolLM2-135M-Instruct",
			Seed: true, Temperature: true, RequestID: true, ModelUnknown: "no-such/model"})
	})

	t.Run("begins the same in process", func(t *testing.T) {
		here := inProcess(t, local.WithModel(server.Model), local.WithConversions(t.TempDir()))
		for _, text := range []string{capital, "Count from 1 to 12.", "Name three colours."} {
			req := question(text)
			req.Messages = content.NewMessages(content.System("You are a helpful assistant."), content.User(text))
			req.Options = req.Options.WithMaxTokens(16)
			there, here := generate(t, b, req), generate(t, here, req)
			// One computes in bfloat16 and the other does not, so that they part where two tokens are nearly as likely.
			const same = 16
			if a, b := there.Message.Text(), here.Message.Text(); a[:min(len(a), same)] != b[:min(len(b), same)] {
				t.Errorf("transformers says %q, llama.cpp %q, of the same weights", a, b)
			}
			if there, here := there.Generation.Usage.InputTokens, here.Generation.Usage.InputTokens; there != here {
				t.Errorf("transformers counts %d tokens in the prompt, llama.cpp %d", there, here)
			}
		}
	})
}
