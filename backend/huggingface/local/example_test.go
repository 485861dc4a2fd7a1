package local_test

import (
	"context"
	"fmt"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface/local"
	"github.com/mellea-go/mellea/content"
)

// A model that is not on this machine is found out before the first call.
func Example() {
	b := local.New(local.WithModel("./models/none.gguf"), local.WithOptions(backend.Options{}.WithTemperature(0).WithMaxTokens(100)))
	defer b.Close()

	ctx := context.Background()
	if _, err := b.Info(ctx); err != nil {
		fmt.Println(err)
		return
	}
	out, err := b.Generate(ctx, backend.Request{Messages: content.NewMessages(content.User("Hello!"))})
	if err != nil {
		fmt.Println(err)
		return
	}
	for chunk, err := range out.Chunks(ctx) {
		fmt.Print(chunk.Text, err)
	}
	// Output: huggingface info: model not found: there is no file or folder ./models/none.gguf
}
