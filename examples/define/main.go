// Command define makes a typed function of an instruction: a line of a log goes in and a Go struct comes out, or an error that says
// what was wrong with each attempt.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/telemetry"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

// User is what the function makes of a line of a log.
type User struct {
	Name string `json:"name" jsonschema:"the given name"`
	Age  int    `json:"age"`
}

var extract = mellea.DefineResult[string, User]("Extract the user's name and age.",
	mellea.Pre("not empty", func(line string) error {
		if line == "" {
			return errors.New("there is nothing in it")
		}
		return nil
	}),
	mellea.Post("the name is one word", func(u User) error {
		if strings.Contains(u.Name, " ") {
			return fmt.Errorf("the name %q has several words", u.Name)
		}
		return nil
	}),
	mellea.Temperature(0.6), mellea.Seed(10), mellea.MaxTokens(40))

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	on := mellea.On(b, mellea.WithHooks(tel))
	user, err := extract(ctx, on, "User log 42: Alice is 31 years old.")
	for _, a := range user.Attempts {
		fmt.Fprintf(w, "%d. %s\n", a.Number, strings.Join(strings.Fields(a.Text()), " "))
		for _, reason := range a.Reasons() {
			fmt.Fprintf(w, "   not accepted: %s\n", reason)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is %d\n", user.Value.Name, user.Value.Age)
	_, err = extract(ctx, on, "") // no model is asked
	fmt.Fprintln(w, err)
	return nil
}
