package backend_test

import (
	"context"
	"fmt"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// A backend is done when it fills an Output. Any number of readers may follow it, each from its start.
func ExampleStart() {
	ctx := context.Background()
	req := backend.Request{Messages: content.NewMessages(content.User("Count."))}
	out := backend.Start(ctx, req, backend.Generation{Provider: "example"}, func(_ context.Context, w *backend.Writer) error {
		for _, piece := range []string{"one", ", two", ", three"} {
			w.Text(time.Now(), []byte(piece))
		}
		w.Generation().FinishReasons = content.ListOf("stop")
		return nil
	})
	for chunk, err := range out.Chunks(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %q\n", chunk.Index, chunk.Text)
	}
	text, err := out.Text(ctx)
	fmt.Println(text, err)
	// Output:
	// 0 "one"
	// 1 ", two"
	// 2 ", three"
	// one, two, three <nil>
}

// What a call sets wins over its session's options, and those over the backend's. A provider's own name for an option
// counts as that option.
func ExampleOptions_Merge() {
	session := backend.Options{}.WithMaxTokens(100).WithTemperature(0.2)
	call := backend.Options{}.WithExtra("num_predict", 10)

	names := backend.Names{"num_predict": backend.NeutralMaxTokens}
	sent, err := session.Merge(call).Resolve(names)
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, _ := sent.MaxTokens()
	temperature, _ := sent.Temperature()
	fmt.Println(tokens, temperature)
	// Output: 10 0.2
}

// A transport of the program's own passes the headers of the context on, so that a server's spans are children of the
// generation's.
func ExampleInject() {
	ctx := backend.WithCarrier(context.Background(), func(set func(key, value string)) {
		set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	})
	backend.Inject(ctx, func(key, value string) { fmt.Println(key+":", value) })
	// Output: traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}
