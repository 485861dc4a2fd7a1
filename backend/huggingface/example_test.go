package huggingface_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface"
	"github.com/mellea-go/mellea/content"
)

func Example() {
	// A server that stands for Text Generation Inference.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"model":"Qwen/Qwen3-8B","choices":[{"index":0,"message":{"role":"assistant","content":"Bonjour."},
			"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3}}`)
	}))
	defer server.Close()

	b := huggingface.New(huggingface.WithBaseURL(server.URL), huggingface.WithServer(huggingface.TGI))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{Messages: content.NewMessages(content.System("Answer in French."), content.User("Hello!"))})
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
	fmt.Println(g.Provider, g.Model, g.ResponseModel, g.Usage.Total())
	// Output:
	// Bonjour.
	// huggingface tgi Qwen/Qwen3-8B 15
}
