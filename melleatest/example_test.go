package melleatest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
)

// A scripted backend says what a test wants to hear, and keeps what it was asked.
func ExampleNewBackend() {
	ctx := context.Background()
	b := melleatest.NewBackend(
		melleatest.Say("too many words"),
		melleatest.Reply{Pieces: []string{"few ", "words"}, Usage: content.Usage{InputTokens: 20, OutputTokens: 2}})
	on, err := mellea.On(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := mellea.Instruct(ctx, on, "Say little.", mellea.Check(requirement.MaxWords(2)))
	fmt.Println(res.Text(), err)
	fmt.Println(res.Usage.Total(), "tokens,", len(b.Requests()), "requests")
	fmt.Println(b.Prompt(0))
	// Output:
	// few words <nil>
	// 22 tokens, 2 requests
	// [user: Say little.]
}

// NewBackendFunc answers by what it is asked.
func ExampleNewBackendFunc() {
	ctx := context.Background()
	b := melleatest.NewBackendFunc(func(n int, r backend.Request) melleatest.Reply {
		last, _ := r.Messages.Last()
		return melleatest.Say(fmt.Sprintf("reply %d to %q", n, last.Text()))
	})
	on, err := mellea.On(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := mellea.Chat(ctx, on, "Hello?")
	fmt.Println(reply.Text(), err)
	// Output: reply 0 to "Hello?" <nil>
}

// A recorder shows the steps of a call. In a test, give it the testing.TB: it fails the test when a step does not end.
func ExampleNewRecorder() {
	var t testing.TB // nil in an example
	ctx := context.Background()
	rec := melleatest.NewRecorder(t)
	on, err := mellea.On(melleatest.NewBackend(melleatest.Say("a b c"), melleatest.Say("a b")), mellea.WithHooks(rec))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := mellea.Instruct(ctx, on, "Say little.", mellea.Check(requirement.MaxWords(2))); err != nil {
		fmt.Println(err)
	}
	fmt.Print(rec.Tree())
	// Output:
	// component
	//   sampling
	//     generation
	//     validation
	//       requirement
	//     generation
	//     validation
	//       requirement
}
