package schema_test

import (
	"errors"
	"fmt"

	"github.com/mellea-go/mellea/schema"
)

// A schema checks the JSON of a model and says where it is wrong. The text of the error may quote the value.
func ExampleParse() {
	user, err := schema.Parse("user", []byte(`{
		"type": "object",
		"properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
		"required": ["name", "age"]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Validate([]byte(`{"name": "Ada", "age": 36}`)))

	err = user.Validate([]byte(`{"name": "Ada", "age": "thirty-six"}`))
	var mismatch *schema.MismatchError
	fmt.Println(errors.As(err, &mismatch), err)
	// Output:
	// <nil>
	// true does not match schema user: validating root: validating /properties/age: type: thirty-six has type "string", want "integer"
}
