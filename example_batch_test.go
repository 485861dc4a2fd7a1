package mellea_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/melleatest"
)

// Raw completions, several at once: prompts go to the model as they are, and one that fails does not fail the others.
func ExampleGenerateBatch() {
	model := melleatest.NewBackendFunc(func(n int, _ backend.Request) melleatest.Reply {
		if n == 1 {
			return melleatest.Fail(&backend.Error{Provider: "scripted", Op: "batch", Status: 400, Code: "too_long"})
		}
		return melleatest.Say([]string{" blue.", "", " 4."}[n])
	})
	prompts := []string{"The sky is", "A very long prompt", "2 + 2 ="}
	res, err := mellea.GenerateBatch(context.Background(), mellea.On(model), prompts, mellea.MaxTokens(8))
	if err != nil {
		log.Fatal(err) // nothing came of the batch, or every item failed
	}
	for i, item := range res.Items {
		if item.Err != nil {
			fmt.Printf("%d: %v\n", i, item.Err)
			continue
		}
		fmt.Println(prompts[i] + item.Text)
	}
	// Output:
	// The sky is blue.
	// 1: scripted batch: HTTP 400 (too_long)
	// 2 + 2 = 4.
}
