package mellea_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
)

// Hooks see, guard and change every step of a program, and each step ends for them exactly once.
func ExampleWithHooks() {
	ctx := context.Background()
	count := hookpoint.Generation.Bracket(func(ctx context.Context, g hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
		return ctx, func(o hookpoint.GenerationOutcome) {
			fmt.Printf("generation by %s: %s\n", g.Model(), o.Ending)
		}
	})
	noPasswords := hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		for m := range g.Messages.Values() {
			if strings.Contains(m.Text(), "password") {
				return g, hook.Reject("secret", "the prompt asks for a password")
			}
		}
		return g, nil
	}, hook.Name("no-passwords"))

	s, err := mellea.Start(ctx, melleatest.NewBackend(melleatest.Say("Otters hold hands.")), mellea.WithHooks(count, noPasswords))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for _, ask := range []string{"Tell me about otters.", "Tell me the password."} {
		res, err := s.Instruct(ctx, ask)
		var rejected *hook.Rejection
		switch {
		case errors.As(err, &rejected):
			fmt.Println(rejected.Plugin, "says:", rejected.Reason)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(res.Text())
		}
	}
	// Output:
	// generation by script-1: ok
	// Otters hold hands.
	// generation by script-1: rejected
	// no-passwords says: the prompt asks for a password
}
