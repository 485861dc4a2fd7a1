package mellea_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// A requirement with a check is shown to the model and judged by code; without one the model judges.
func ExampleRequire() {
	ctx := context.Background()
	b := melleatest.NewBackend(
		melleatest.Say("hey Ada!!!"), melleatest.Say("No. It is slang."), // the first attempt and its judge
		melleatest.Say("Dear Ada"), melleatest.Say("Yes"),
	)
	on := mellea.On(b)
	mail, err := mellea.Instruct(ctx, on, "Greet Ada.",
		mellea.Require("be formal"),
		mellea.Require("at most five words", requirement.MaxWords(5)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range mail.Attempts {
		fmt.Printf("%d. %s %q\n", a.Number, a.Text(), a.Reasons())
	}
	fmt.Println(b.Prompt(2)[0])
	// Output:
	// 1. hey Ada!!! ["It is slang."]
	// 2. Dear Ada []
	// user: Greet Ada.
	//
	// Your reply must meet these requirements:
	// - be formal
	// - at most five words
	//
	// Your last reply was not accepted, for these reasons:
	// - It is slang.
	// Write a new reply that puts this right and meets every requirement.
}

// A check is not shown: the model does not know what it is held against until it has failed.
func ExampleCheck() {
	ctx := context.Background()
	b := melleatest.NewBackend(melleatest.Say("Please reply ASAP."), melleatest.Say("Please reply soon."))
	on := mellea.On(b)
	polite := requirement.Func("no shouting", func(text string) (bool, string) {
		return text != strings.ToUpper(text), "it is written in capitals"
	})
	mail, err := mellea.Instruct(ctx, on, "Ask for a reply.", mellea.Check(requirement.Excludes("ASAP"), polite))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mail.Text())
	fmt.Println(b.Prompt(0)[0])
	// Output:
	// Please reply soon.
	// user: Ask for a reply.
}

// A strategy says how to go on when requirements are not met; its number bounds the generations in total.
func ExampleStrategy() {
	ctx := context.Background()
	b := melleatest.NewBackend(melleatest.Say("a b c d"), melleatest.Say("a b"))
	on := mellea.On(b)
	_, err := mellea.Instruct(ctx, on, "Name some letters.",
		mellea.Check(requirement.MaxWords(3)),
		mellea.Strategy(sampling.MultiTurn(2))) // the reasons become a turn of a conversation
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Join(b.Prompt(1), "\n"))
	// Output:
	// user: Name some letters.
	// assistant: a b c d
	// user: Your reply was not accepted, for these reasons:
	// - has 4 words, at most 3 are allowed
	//
	// Write the whole reply again so that it puts this right and meets every requirement.
}

// When no attempt meets all requirements, the result is that of the best one, and the error says what is wrong with it.
func ExampleUnmetError() {
	ctx := context.Background()
	on := mellea.On(melleatest.NewBackend(melleatest.Say("one two three four"), melleatest.Say("one two three")))
	res, err := mellea.Instruct(ctx, on, "Count.",
		mellea.Check(requirement.MaxWords(2), requirement.Contains("two")),
		mellea.Strategy(sampling.Reject(2)))
	fmt.Println(err)

	if unmet, ok := errors.AsType[*mellea.UnmetError](err); ok {
		fmt.Println("best:", res.Text())
		for _, f := range unmet.Failed {
			fmt.Println(f.Requirement.Label()+":", f.Verdict.Reason)
		}
	}
	// Output:
	// mellea: requirements not met after 2 attempts: 1 of 2 failed (max_words)
	// best: one two three
	// max_words: has 3 words, at most 2 are allowed
}

// Validate holds a text against requirements without generating it.
func ExampleValidate() {
	ctx := context.Background()
	judge := melleatest.NewBackend(melleatest.Say("Yes."))
	on := mellea.On(judge)
	results, err := mellea.Validate(ctx, on, "Dear Ada, thank you.",
		requirement.Judge("be formal"),
		requirement.Named("short", requirement.MaxWords(3)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Printf("%s: %t %q\n", r.Requirement.Label(), r.Verdict.Passed, r.Verdict.Reason)
	}
	// Output:
	// llm_judge: true ""
	// short: false "has 4 words, at most 3 are allowed"
}
