package litellm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/content"
)

func Example() {
	// A proxy whose alias "fast" has fallen back to another model.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Litellm-Call-Id", "b980db26-9512-45cc-b1da-c511a363b83f")
		w.Header().Set("X-Litellm-Model-Id", "cb41bc03f4c33d310019bae8c5afdb1af0a8f97b36a234405a9807614988457c")
		w.Header().Set("X-Litellm-Response-Cost", "0.0000285")
		_, _ = io.WriteString(w, `{"id":"chatcmpl-7","model":"gpt-4o-mini","choices":[{"index":0,
			"message":{"role":"assistant","content":"Bonjour."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3}}`)
	}))
	defer proxy.Close()

	b := litellm.New(litellm.WithBaseURL(proxy.URL), litellm.WithAPIKey("sk-1234"), litellm.WithModel("fast"))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{Messages: content.NewMessages(content.User("Hello in French!"))})
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
	fmt.Println(g.Model, "was answered by", g.ResponseModel)
	fmt.Println("the reply is", g.ResponseID, "of call", g.RequestID)
	fmt.Printf("it cost $%.7f\n", g.Cost.USD)
	// Output:
	// Bonjour.
	// fast was answered by gpt-4o-mini
	// the reply is chatcmpl-7 of call b980db26-9512-45cc-b1da-c511a363b83f
	// it cost $0.0000285
}
