package melleatest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
)

func ExampleNewBackend() {
	ctx := context.Background()
	b := melleatest.NewBackend(melleatest.Say("far too many words"), melleatest.Say("short"))
	s, err := mellea.Start(ctx, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	res, err := s.Instruct(ctx, "Say something.", mellea.Check(requirement.MaxWords(2)))
	fmt.Println(res.Text(), err)
	fmt.Println(len(b.Requests()), "requests, the first with", b.Prompt(0))
	// Output:
	// short <nil>
	// 2 requests, the first with [user: Say something.]
}

func ExampleNewBackendFunc() {
	ctx := context.Background()
	b := melleatest.NewBackendFunc(func(n int, r backend.Request) melleatest.Reply {
		if n == 0 {
			return melleatest.Fail(errors.New("the server is busy"))
		}
		last, _ := r.Messages.Last()
		return melleatest.Say("You said: " + last.Text())
	})
	on := mellea.On(b)
	_, err := mellea.Chat(ctx, on, "Hello?")
	fmt.Println(err)
	res, err := mellea.Chat(ctx, on, "Hello!")
	fmt.Println(res.Text(), err)
	// Output:
	// the server is busy
	// You said: Hello! <nil>
}

// In a test, NewRecorder is given the test, which then fails for each operation that does not end exactly once.
func ExampleRecorder() {
	ctx := context.Background()
	rec := melleatest.NewRecorder(nil)
	b := melleatest.NewBackend(melleatest.Say("far too many words"), melleatest.Say("short"))
	s, err := mellea.Start(ctx, b, mellea.WithHooks(rec))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := s.Instruct(ctx, "Say something.", mellea.Check(requirement.MaxWords(2))); err != nil {
		fmt.Println(err)
	}
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Print(rec.Tree())
	// Output:
	// session_start
	// session
	// component
	//   sampling
	//     generation
	//     validation
	//       requirement
	//     generation
	//     validation
	//       requirement
}
