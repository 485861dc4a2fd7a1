package openai_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// serve stands for a model server.
func serve(status int, contentType, body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

func Example() {
	server := serve(http.StatusOK, "application/json", `{"id":"chatcmpl-1","model":"gpt-4o-mini","choices":[{"index":0,
		"message":{"role":"assistant","content":"Bonjour."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3}}`)
	defer server.Close()

	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithModel("gpt-4o-mini"))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{
		Messages: content.NewMessages(content.System("Answer in French."), content.User("Hello!")),
		Options:  backend.Options{}.WithTemperature(0).WithMaxTokens(20),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := out.Reply(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	g := reply.Generation
	fmt.Println(reply.Message.Text())
	fmt.Println(g.Provider, g.ResponseModel, g.FinishReasons.At(0), g.Usage.InputTokens, g.Usage.OutputTokens)
	// Output:
	// Bonjour.
	// openai gpt-4o-mini stop 12 3
}

func Example_streaming() {
	server := serve(http.StatusOK, "text/event-stream", `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"one"}}]}

data: {"choices":[{"index":0,"delta":{"content":", two"}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

`)
	defer server.Close()

	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithModel("gpt-4o-mini"))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{
		Messages: content.NewMessages(content.User("Count to two.")),
		Options:  backend.Options{}.WithStream(true),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for chunk, err := range out.Chunks(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", chunk.Kind, chunk.Text)
	}
	// Output:
	// text "one"
	// text ", two"
}

// An error says what to do about it and never quotes the provider, whose words may quote the prompt.
func Example_errors() {
	server := serve(http.StatusUnauthorized, "application/json",
		`{"error":{"message":"Incorrect API key provided: sk-12**.","type":"invalid_request_error","code":"invalid_api_key"}}`)
	defer server.Close()

	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithAPIKey("sk-1234"), openai.WithModel("gpt-4o-mini"))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{Messages: content.NewMessages(content.User("Hello!"))})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = out.Wait(ctx)
	fmt.Println(err)
	if failed, ok := errors.AsType[*backend.Error](err); ok {
		fmt.Println(failed.Status, failed.Code)
	}
	// Output:
	// openai chat: HTTP 401 (invalid_api_key): check the API key: OPENAI_API_KEY or WithAPIKey
	// 401 invalid_api_key
}

// A setting that cannot work is found before the first call.
func ExampleBackend_Info() {
	b := openai.New(openai.WithBaseURL("localhost:8000/v1"), openai.WithModel("qwen"))
	_, err := b.Info(context.Background())
	fmt.Println(err)
	// Output: openai info: configuration: base URL has no http:// or https:// scheme: write it as http://host:port/path
}

// A server that speaks the same API, with an option of its own.
func ExampleWithProvider() {
	b := openai.New(
		openai.WithBaseURL("http://localhost:8000/v1"), openai.WithProvider("vllm"), openai.WithModel("qwen"),
		openai.WithOptions(backend.Options{}.WithMaxTokens(200).WithExtra("repetition_penalty", 1.1)),
	)
	info, err := b.Info(context.Background())
	fmt.Println(info.Provider, info.Model, info.ServerAddress, info.ServerPort, err)
	// Output: vllm qwen localhost 8000 <nil>
}
