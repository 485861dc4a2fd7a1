package integration_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
	"github.com/mellea-go/mellea/internal/otlptest"
)

const lookAt = "What do you see?"

// picture returns a PNG or JPEG file in which there are these colours.
func picture(t *testing.T, kind string, c tinymodel.Colours) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if kind == "image/png" {
		err = png.Encode(&b, tinymodel.Picture(c))
	} else {
		err = jpeg.Encode(&b, tinymodel.Picture(c), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func imageOf(t *testing.T, kind string, c tinymodel.Colours) content.Part {
	t.Helper()
	img, err := content.NewImage(picture(t, kind, c))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// pictures are what the conformance suite shows to a model that sees.
func pictures(t *testing.T, model string) *backendtest.RealImages {
	t.Helper()
	r := &backendtest.RealImages{Model: model, Prompt: lookAt}
	for _, c := range []tinymodel.Colours{tinymodel.Red, tinymodel.Blue, tinymodel.Red | tinymodel.Green} {
		r.Pictures = append(r.Pictures, backendtest.RealPicture{File: picture(t, "image/png", c), Says: c.Seen()})
	}
	return r
}

// looking is a request of a model that sees: a text, and what it is shown.
func looking(model string, stream bool, images ...content.Part) backend.Request {
	req := question("")
	req.Messages = content.NewMessages(content.NewMessage(content.RoleUser, append([]content.Part{content.Text(lookAt)}, images...)...))
	req.Options = req.Options.WithModel(model).WithStream(stream)
	return req
}

// testSeeing shows a real model pictures as bytes: what it says is what their pixels are.
func testSeeing(t *testing.T, b backend.Backend, model string) {
	t.Helper()
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{"image/png", "image/jpeg"} {
				for _, c := range []tinymodel.Colours{0, tinymodel.Red, tinymodel.Green, tinymodel.Blue} {
					got := generate(t, b, looking(model, stream, imageOf(t, kind, c)))
					if got.Message.Text() != c.Seen() || got.Generation.Usage.OutputTokens == 0 || got.Generation.Streaming != stream {
						t.Errorf("of %s: %q with %+v, want %q", kind, got.Message.Text(), got.Generation.Usage, c.Seen())
					}
				}
			}
			if got := generate(t, b, looking(model, stream)).Message.Text(); got != tinymodel.Unseen {
				t.Errorf("without an image: %q, want %q", got, tinymodel.Unseen)
			}
			both := looking(model, stream, imageOf(t, "image/jpeg", tinymodel.Blue), imageOf(t, "image/png", tinymodel.Red))
			want := (tinymodel.Red | tinymodel.Blue).Seen()
			if got := generate(t, b, both).Message.Text(); got != want {
				t.Errorf("of two images: %q, want %q", got, want)
			}
			later := looking(model, stream, imageOf(t, "image/png", tinymodel.Red))
			later.Messages = later.Messages.Append(content.Assistant(tinymodel.Red.Seen()),
				content.NewMessage(content.RoleUser, content.Text("And now?"), imageOf(t, "image/png", tinymodel.Blue)))
			if got := generate(t, b, later).Message.Text(); got != want {
				t.Errorf("of an image in each of two turns: %q, want %q", got, want)
			}
		})
	}
}

// gallery serves pictures by the name of their colour, each under its own type.
func gallery(t *testing.T) string {
	t.Helper()
	files := map[string][]byte{"/green.png": picture(t, "image/png", tinymodel.Green), "/blue.jpg": picture(t, "image/jpeg", tinymodel.Blue)}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(files[r.URL.Path]) }))
	t.Cleanup(web.Close)
	return web.URL
}

func linked(t *testing.T, address string) content.Part {
	t.Helper()
	img, err := content.ImageURL(address)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// failed runs a generation that must fail.
func failed(t *testing.T, b backend.Backend, req backend.Request) *backend.Error {
	t.Helper()
	out, err := b.Generate(t.Context(), req)
	if err == nil {
		err = out.Wait(t.Context())
	}
	var e *backend.Error
	if !errors.As(err, &e) || e.Remedy == "" {
		t.Fatalf("error = %v, want a *backend.Error with a remedy", err)
	}
	return e
}

// TestOllamaImages shows pictures to a real Ollama.
func TestOllamaImages(t *testing.T) {
	server := components.StartOllama(t)
	model := components.Seeing(t, server)
	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithImageFetch(ollama.ImageFetch{Private: true}))
	testSeeing(t, b, model)

	t.Run("by their URL", func(t *testing.T) {
		web := gallery(t)
		for _, stream := range []bool{false, true} {
			for path, want := range map[string]tinymodel.Colours{"/green.png": tinymodel.Green, "/blue.jpg": tinymodel.Blue} {
				if got := generate(t, b, looking(model, stream, linked(t, web+path))).Message.Text(); got != want.Seen() {
					t.Errorf("of %s: %q, want %q", path, got, want.Seen())
				}
			}
			both := looking(model, stream, linked(t, web+"/green.png"), imageOf(t, "image/png", tinymodel.Red))
			if got, want := generate(t, b, both).Message.Text(), (tinymodel.Red | tinymodel.Green).Seen(); got != want {
				t.Errorf("of one by its URL and one as bytes: %q, want %q", got, want)
			}
		}
		careful := ollama.New(ollama.WithBaseURL(server.URL))
		if e := failed(t, careful, looking(model, false, linked(t, web+"/green.png"))); !strings.Contains(e.Remedy, "ollama.ImageFetch") {
			t.Errorf("a URL of this machine: %v, want that it is not fetched", e)
		}
	})

	t.Run("a model that does not see", func(t *testing.T) {
		if got := rawLook(t, server); got != http.StatusOK {
			t.Fatalf("status %d: the server refuses images by itself now", got)
		}
		for _, stream := range []bool{false, true} {
			e := failed(t, b, looking(server.Model, stream, imageOf(t, "image/png", tinymodel.Red)))
			if e.Code != backend.CodeUnsupported || !strings.Contains(e.Remedy, "`ollama show "+server.Model+"`") {
				t.Errorf("%v, want that the model has no vision and how to find one", e)
			}
		}
	})
}

// rawLook shows the small model, which does not see, an image without any code of ours, and returns the status: Ollama
// leaves the image out unsaid.
func rawLook(t *testing.T, server *components.Ollama) int {
	t.Helper()
	resp := rawChat(t, server, map[string]any{"model": server.Model, "stream": false, "options": map[string]any{"num_predict": 1},
		"messages": []any{map[string]any{"role": "user", "content": lookAt, "images": [][]byte{picture(t, "image/png", tinymodel.Red)}}}})
	return resp.StatusCode
}

// TestOpenAIImages shows pictures to a real server of the OpenAI dialect, and to one that stands behind a real proxy.
func TestOpenAIImages(t *testing.T) {
	server := components.StartOllama(t)
	model := components.Seeing(t, server)
	t.Run("ollama", func(t *testing.T) {
		b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithAPIKey(""), openai.WithModel(server.Model))
		testSeeing(t, b, model)
		if e := failed(t, b, looking(model, false, linked(t, gallery(t)+"/green.png"))); e.Status != http.StatusBadRequest {
			t.Errorf("a URL: %v, want the server's refusal to fetch it", e)
		}
	})
	t.Run("litellm", func(t *testing.T) {
		proxy := components.StartLiteLLM(t, server)
		b := litellm.New(litellm.WithBaseURL(proxy.URL), litellm.WithAPIKey(proxy.Key), litellm.WithRetries(0), litellm.WithModel(components.LiteLLMSmall))
		testSeeing(t, b, "openai/"+model) // the conformance suite asks by ollama_chat/
	})
}

// TestImageCommand shows a picture to a real model by the command. It is in the trace and in the log events as the
// conventions have it when content is recorded, and in nothing that is exported when it is not.
func TestImageCommand(t *testing.T) {
	server := components.StartOllama(t)
	model := components.Seeing(t, server)
	mellea := command(t)
	for kind, name := range map[string]string{"image/png": "picture.png", "image/jpeg": "picture.of"} {
		file := picture(t, kind, tinymodel.Blue)
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, recorded := range []bool{false, true} {
			collector := otlptest.Start(t)
			env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.HTTP, "MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
				"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "MELLEA_LOGS_OTLP=true"}
			if recorded {
				env = append(env, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_AND_EVENT")
			}
			out := output(t, mellea(server.URL, env, "run", lookAt, "--image", path, "--model", model))
			if got, want := strings.TrimSpace(out), tinymodel.Blue.Seen(); got != want {
				t.Errorf("of %s: %q, want %q", kind, got, want)
			}
			checkRecorded(t, collector, recorded, kind, file)
		}
		cmd := mellea(server.URL, nil, "run", lookAt, "--image", path, "--model", server.Model)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "vision") {
			t.Errorf("a model that does not see: %v: %s, want a failure that says so", err, out)
		}
	}
}

// checkRecorded looks for a picture in all that was exported.
func checkRecorded(t *testing.T, collector *otlptest.Server, recorded bool, kind string, file []byte) {
	t.Helper()
	encoded := base64.StdEncoding.EncodeToString(file)
	raw := collector.Raw()
	if len(raw) == 0 {
		t.Error("nothing was exported")
	}
	for what, data := range map[string][]byte{"its bytes": file[:32], "its base64": []byte(encoded[:32]), "its end": []byte(encoded[len(encoded)-32:])} {
		if !recorded && bytes.Contains(raw, data) {
			t.Errorf("%s is exported without content: %s", kind, what)
		}
	}
	var chats int
	for _, s := range collector.Spans(t, 1) {
		if !strings.HasPrefix(s.Name, "chat ") {
			continue
		}
		chats++
		if !recorded {
			if v, ok := s.Attributes["gen_ai.input.messages"]; ok {
				t.Errorf("messages without content: %v", v)
			}
			continue
		}
		if diff := cmp.Diff(blobs(s.Attributes["gen_ai.input.messages"]), []any{map[string]any{
			"type": "blob", "modality": "image", "mime_type": kind, "content": encoded}}); diff != "" {
			t.Errorf("images of the span (-got +want):\n%s", diff)
		}
	}
	if chats != 1 {
		t.Errorf("%d spans of calls, want 1", chats)
	}
	events := otlptest.Events(collector.Records(t, 1), "gen_ai.client.inference.operation.details")
	for _, e := range events {
		if recorded && len(blobs(e.Attributes["gen_ai.input.messages"])) != 1 {
			t.Errorf("messages of the event: %v, want the image among them", e.Attributes["gen_ai.input.messages"])
		}
	}
	if len(events) != 1 {
		t.Errorf("%d events of calls, want 1", len(events))
	}
}

// blobs returns the parts of recorded messages that are data.
func blobs(messages any) (all []any) {
	list, _ := messages.([]any)
	for _, m := range list {
		parts, _ := m.(map[string]any)["parts"].([]any)
		for _, p := range parts {
			if p.(map[string]any)["type"] == "blob" {
				all = append(all, p)
			}
		}
	}
	return all
}
