package mellea_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/melleatest"
)

// A function of an instruction has the types of Go. A reply that is not what they say is refused, and the model told why.
func ExampleDefine() {
	type User struct {
		Name string `json:"name" jsonschema:"the given name only"`
		Age  int    `json:"age"`
	}
	extract := mellea.Define[string, User]("Extract the user's name and age.",
		mellea.Pre("not empty", func(log string) error {
			if log == "" {
				return errors.New("there is no text")
			}
			return nil
		}))

	b := melleatest.NewBackend(melleatest.Say(`{"name": "Alice", "age": "31"}`), melleatest.Say("```json\n{\"name\": \"Alice\", \"age\": 31,}\n```"))
	user, err := extract(context.Background(), mellea.On(b), "User log 42: Alice is 31 years old.")
	fmt.Println(user, err)

	_, err = extract(context.Background(), mellea.On(b), "")
	fmt.Println(err)
	// Output:
	// {Alice 31} <nil>
	// mellea: precondition "not empty" not met: there is no text
}

// InstructAs is an instruction whose result is a Go value; Post checks it.
func ExampleInstructAs() {
	b := melleatest.NewBackend(melleatest.Say(`{"result": [3, 1, 2]}`), melleatest.Say(`{"result": [1, 2, 3]}`))
	res, err := mellea.InstructAs[[]int](context.Background(), mellea.On(b), "Three numbers, please.",
		mellea.Post("in ascending order", func(n []int) error {
			for i := 1; i < len(n); i++ {
				if n[i] < n[i-1] {
					return fmt.Errorf("%d comes after %d", n[i], n[i-1])
				}
			}
			return nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Value)
	for _, a := range res.Attempts {
		fmt.Println(a.Number, a.Text(), a.Reasons())
	}
	// Output:
	// [1 2 3]
	// 1 {"result": [3, 1, 2]} [1 comes after 3]
	// 2 {"result": [1, 2, 3]} []
}
