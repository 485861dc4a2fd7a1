package mellea_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/melleatest"
)

// A session is opened on a backend and closed when it is done. Here a scripted backend stands for a model server.
func ExampleStart() {
	ctx := context.Background()
	s, err := mellea.Start(ctx, melleatest.NewBackend(melleatest.Say("Ciao, Ada!")),
		mellea.WithSystem("You greet people in Italian."),
		mellea.WithOptions(backend.Options{}.WithTemperature(0)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	hello, err := s.Instruct(ctx, "Greet Ada.")
	fmt.Println(hello.Text(), err)
	// Output: Ciao, Ada! <nil>
}

func ExampleSession_Instruct() {
	ctx := context.Background()
	b := melleatest.NewBackend(melleatest.Say("Dear Alice, the launch is on Monday."))
	s, err := mellea.Start(ctx, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	mail, err := s.Instruct(ctx, "Write a mail to {{name}} about {{topic}}.",
		mellea.Vars{"name": "Alice", "topic": "the launch"},
		mellea.Ground("calendar", "launch: Monday"),
		mellea.MaxTokens(100))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mail.Text())
	fmt.Println(strings.Join(b.Prompt(0), "\n"))
	// Output:
	// Dear Alice, the launch is on Monday.
	// user: Write a mail to Alice about the launch.
	//
	// Rely on the following:
	// [calendar]
	// launch: Monday
}

// A session that is started with history.Chat remembers what was said.
func ExampleSession_Chat() {
	ctx := context.Background()
	b := melleatest.NewBackend(melleatest.Say("Nice to meet you, Ada."), melleatest.Say("Your name is Ada."))
	s, err := mellea.Start(ctx, b, mellea.WithHistory(history.Chat()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	for _, text := range []string{"My name is Ada.", "What is my name?"} {
		reply, err := s.Chat(ctx, text)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(reply.Text())
	}
	fmt.Println(strings.Join(b.Prompt(1), "\n"))
	// Output:
	// Nice to meet you, Ada.
	// Your name is Ada.
	// user: My name is Ada.
	// assistant: Nice to meet you, Ada.
	// user: What is my name?
}

// A running output is a variable of a later call, which waits for it.
func ExampleSession_StartInstruct() {
	ctx := context.Background()
	b := melleatest.NewBackendFunc(func(_ int, r backend.Request) melleatest.Reply {
		prompt, _ := r.Messages.Last()
		switch text := prompt.Text(); {
		case strings.HasPrefix(text, "Name a river"):
			return melleatest.Reply{Pieces: []string{"the ", "Po"}}
		case strings.HasPrefix(text, "Name a mountain"):
			return melleatest.Say("Monte Rosa")
		default:
			return melleatest.Say("A poem about " + strings.TrimPrefix(text, "Write a poem about "))
		}
	})
	s, err := mellea.Start(ctx, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	river, err := s.StartInstruct(ctx, "Name a river.") // both run at the same time
	if err != nil {
		fmt.Println(err)
		return
	}
	mountain, err := s.StartInstruct(ctx, "Name a mountain.")
	if err != nil {
		fmt.Println(err)
		return
	}
	for chunk, err := range river.Chunks(ctx) {
		fmt.Printf("%q %v\n", chunk.Text, err)
	}
	poem, err := s.Instruct(ctx, "Write a poem about {{river}} and {{mountain}}.",
		mellea.Vars{"river": river, "mountain": mountain})
	fmt.Println(poem.Text(), err)
	// Output:
	// "the " <nil>
	// "Po" <nil>
	// A poem about the Po and Monte Rosa. <nil>
}

// A block of a session has further options and hooks of its own.
func ExampleSession_With() {
	ctx := context.Background()
	b := melleatest.NewBackendFunc(func(_ int, r backend.Request) melleatest.Reply {
		return melleatest.Say("I am " + r.Options.Model())
	})
	s, err := mellea.Start(ctx, b, mellea.WithModel("small"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	careful := s.With(mellea.WithModel("large"))

	for _, on := range []*mellea.Session{s, careful} {
		res, err := on.Instruct(ctx, "Who are you?")
		fmt.Println(res.Text(), err, on.ID() == s.ID())
	}
	// Output:
	// I am small <nil> true
	// I am large <nil> true
}

// A clone goes its own way from where the conversation stands.
func ExampleSession_Clone() {
	ctx := context.Background()
	s, err := mellea.Start(ctx, melleatest.NewBackend(melleatest.Say("ok")), mellea.WithHistory(history.Chat()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if _, err := s.Chat(ctx, "We both know this."); err != nil {
		fmt.Println(err)
		return
	}
	branch, err := s.Clone(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer branch.Close()

	_, err = branch.Chat(ctx, "Only the branch knows this.")
	fmt.Println(s.History().Len(), branch.History().Len(), err)
	// Output: 2 4 <nil>
}

// Calls without a session: nothing is remembered between them.
func ExampleOn() {
	ctx := context.Background()
	on := mellea.On(melleatest.NewBackend(melleatest.Say("42")), mellea.WithModel("small"))
	answer, err := mellea.Instruct(ctx, on, "What is six times seven?")
	fmt.Println(answer.Text(), err)
	// Output: 42 <nil>
}

func ExampleChat() {
	ctx := context.Background()
	on := mellea.On(melleatest.NewBackend(melleatest.Say("Good morning!")))
	reply, err := mellea.Chat(ctx, on, "Good morning.")
	fmt.Println(reply.Value.Role(), reply.Text(), err)
	// Output: assistant Good morning! <nil>
}

// lines is a component whose reply is a list.
type lines struct{ component.Instruction }

// Parse makes lines a component.Typed[[]string].
func (lines) Parse(reply content.Message) ([]string, error) {
	var all []string
	for line := range strings.Lines(reply.Text()) {
		item, ok := strings.CutPrefix(strings.TrimSpace(line), "- ")
		if !ok {
			return nil, &component.ParseError{Kind: "list", Reason: "each line must begin with a dash"}
		}
		all = append(all, item)
	}
	return all, nil
}

// Act executes a component of the program's own, whose reply is a value of its own.
func ExampleAct() {
	ctx := context.Background()
	on := mellea.On(melleatest.NewBackend(melleatest.Say("- Po\n- Tiber\n")))
	rivers, err := mellea.Act(ctx, on, lines{component.NewInstruction("List two rivers, each behind a dash.")})
	fmt.Println(rivers.Value, len(rivers.Value), err)
	// Output: [Po Tiber] 2 <nil>
}

// Stream shows the attempts of a call as they arrive.
func ExampleStream() {
	ctx := context.Background()
	on := mellea.On(melleatest.NewBackend(melleatest.Reply{Pieces: []string{"one, ", "two, ", "three"}}))
	_, err := mellea.Instruct(ctx, on, "Count to three.", mellea.Stream(func(attempt int, c backend.Chunk) {
		fmt.Printf("attempt %d, chunk %d: %q\n", attempt, c.Index, c.Text)
	}))
	fmt.Println(err)
	// Output:
	// attempt 1, chunk 0: "one, "
	// attempt 1, chunk 1: "two, "
	// attempt 1, chunk 2: "three"
	// <nil>
}

// With Vars, texts are templates. A variable that is missing is an error before any call, and a value is never read as
// a template.
func ExampleVars() {
	ctx := context.Background()
	b := melleatest.NewBackend(melleatest.Say("ok"))
	on := mellea.On(b)
	_, err := mellea.Instruct(ctx, on, "Greet {{name}}{{if .title}}, the {{.title}}{{end}}.",
		mellea.Vars{"name": "{{Ada}}", "title": ""})
	fmt.Println(b.Prompt(0), err)

	_, err = mellea.Instruct(ctx, on, "Greet {{name}} of {{company}}.", mellea.Vars{"name": "Ada"})
	fmt.Println(err)
	fmt.Println(len(b.Requests()), "request")
	// Output:
	// [user: Greet {{Ada}}.] <nil>
	// template description: variable {{.company}} is not set: pass it in mellea.Vars
	// 1 request
}
