package ollama_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
)

// exampleServer stands for an Ollama that has one model installed.
func exampleServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/version", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"version":"0.17.4"}`) })
	mux.HandleFunc("/api/tags", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"models":[{"name":"smollm2:latest","size":91734016,"modified_at":"2026-01-02T03:04:05Z"}]}`)
	})
	mux.HandleFunc("/api/chat", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"model":"smollm2","message":{"role":"assistant","content":"Rome"},"done":false}
{"model":"smollm2","message":{"role":"assistant","content":"."},"done":false}
{"model":"smollm2","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":31,"eval_count":3}
`)
	})
	return httptest.NewServer(mux)
}

func ExampleNew() {
	server := exampleServer() // in a program: nothing, or OLLAMA_HOST
	defer server.Close()
	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithTransport(server.Client().Transport))

	ctx := context.Background()
	info, err := b.Info(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("model:", info.Model)

	out, err := b.Generate(ctx, backend.Request{
		Messages: content.NewMessages(content.User("What is the capital of Italy?")),
		Options:  backend.Options{}.WithStream(true).WithTemperature(0).WithMaxTokens(20),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for c, err := range out.Chunks(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q ", c.Text)
	}
	reply, _ := out.Reply(ctx)
	fmt.Println(reply.Generation.Usage.Total(), "tokens")
	// Output:
	// model: smollm2:latest
	// "Rome" "." 34 tokens
}

func ExampleBackend_Version() {
	server := exampleServer()
	defer server.Close()
	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithTransport(server.Client().Transport))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	version, err := b.Version(ctx)
	fmt.Println(version, err)
	// Output: 0.17.4 <nil>
}

func ExampleBackend_Models() {
	server := exampleServer()
	defer server.Close()
	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithTransport(server.Client().Transport))

	models, err := b.Models(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range models {
		fmt.Println(m.Name, m.Size>>20, "MiB", m.Modified.Format(time.DateOnly))
	}
	// Output: smollm2:latest 87 MiB 2026-01-02
}

// A server installs a model on demand and tells how far it is.
func ExampleBackend_Pull() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"pulling manifest"}`+"\n")
		io.WriteString(w, `{"status":"pulling 6e4c38e1172f","digest":"sha256:6e4c38e1172f","total":200,"completed":50}`+"\n")
		io.WriteString(w, `{"status":"success"}`+"\n")
	}))
	defer server.Close()

	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithTransport(server.Client().Transport))
	for step, err := range b.Pull(context.Background(), "llama3.2:1b") {
		switch {
		case err != nil:
			fmt.Println(err)
		case step.Total > 0:
			fmt.Printf("%s: %d%%\n", step.Status, 100*step.Completed/step.Total)
		default:
			fmt.Println(step.Status)
		}
	}
	// Output:
	// pulling manifest
	// pulling 6e4c38e1172f: 25%
	// success
}

// A registry of one's own, without TLS, is the beginning of the model's name.
func ExampleAllowInsecure() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println("asked for", string(body))
		io.WriteString(w, `{"status":"success"}`+"\n")
	}))
	defer server.Close()

	b := ollama.New(ollama.WithBaseURL(server.URL), ollama.WithTransport(server.Client().Transport))
	for step, err := range b.Pull(context.Background(), "registry.lan:5000/team/model", ollama.AllowInsecure()) {
		fmt.Println(step.Status, err)
	}
	// Output:
	// asked for {"model":"registry.lan:5000/team/model","insecure":true}
	// success <nil>
}
