package local_test

import (
	"context"
	"fmt"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface/local"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
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

// A call of a tool is demanded: whatever the model, it is one of that tool, with arguments of its schema.
func ExampleBackend_Generate_tools() {
	b := local.New(local.WithModel("./models/none.gguf"))
	defer b.Close()

	parameters, err := schema.Parse("get_weather", []byte(`{"type":"object","properties":{"city":{"type":"string","maxLength":40}},"required":["city"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{
		Messages: content.NewMessages(content.User("What is the weather in Oslo?")),
		Tools:    content.ListOf(content.ToolSpec{Name: "get_weather", Description: "The weather in a city.", Parameters: parameters}),
		Options:  backend.Options{}.WithExtra("tool_choice", "required"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := out.Reply(ctx)
	for call := range reply.Message.ToolCalls() {
		fmt.Println(call.ID, call.Name, call.Arguments) // call_1 get_weather {"city": "Oslo"}
	}
	fmt.Println(err)
	// Output: huggingface chat: model not found: there is no file or folder ./models/none.gguf
}
