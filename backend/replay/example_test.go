package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
)

func Example() {
	ctx := context.Background()
	question := backend.Request{Messages: content.NewMessages(content.User("What is the capital of Italy?"))}

	// Once, with a model:
	var model backend.Backend = play(say("Rome."))
	var file bytes.Buffer // in a program: replay.RecordFile
	rec := replay.Record(model, &file)
	if out, err := rec.Generate(ctx, question); err == nil {
		out.Wait(ctx)
	}
	if err := rec.Close(); err != nil {
		fmt.Println(err)
		return
	}

	// Ever after, without:
	b, err := replay.New(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := b.Generate(ctx, question)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := out.Text(ctx)
	fmt.Println(text, err)
	// Output: Rome. <nil>
}

func ExampleBackend_Unused() {
	ctx := context.Background()
	var file bytes.Buffer
	rec := replay.Record(play(say("Rome."), say("Paris.")), &file)
	for _, country := range []string{"Italy", "France"} {
		if out, err := rec.Generate(ctx, ask("What is the capital of "+country+"?")); err == nil {
			out.Wait(ctx)
		}
	}
	if err := rec.Close(); err != nil {
		fmt.Println(err)
		return
	}
	b, err := replay.New(&file)
	if err != nil {
		fmt.Println(err)
		return
	}

	_, err = b.Generate(ctx, ask("What is the capital of Francia?"))
	fmt.Println(err)
	for _, e := range b.Unused() {
		fmt.Println("unused: line", e.Line)
	}
	// Output:
	// test replay: unexpected request: it is not in the recording; compared with the nearest request there (line 3), message 1 differs at byte 29: make the recording again with the present program
	// unused: line 2
	// unused: line 3
}

func ExampleWithTiming() {
	ctx := context.Background()
	var file bytes.Buffer
	rec := replay.Record(play(script{steps: []step{{wait: 2 * time.Millisecond, text: "Ro"}, {wait: 2 * time.Millisecond, text: "me"}}}), &file)
	if out, err := rec.Generate(ctx, ask("capital?")); err == nil {
		out.Wait(ctx)
	}

	b, err := replay.New(&file, replay.WithTiming(replay.Scaled(0.5))) // twice as fast as the model was
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := b.Generate(ctx, ask("capital?"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for c := range out.Chunks(ctx) {
		fmt.Println(c.Text)
	}
	// Output:
	// Ro
	// me
}
