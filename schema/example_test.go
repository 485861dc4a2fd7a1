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

// A Go type says what a reply must look like; the strict form is what providers take that guarantee it.
func ExampleFor() {
	type City struct {
		Name   string   `json:"name"             jsonschema:"in English"`
		Size   string   `json:"size"             enum:"small,large"`
		Rivers []string `json:"rivers,omitempty"`
	}
	s, err := schema.For[City]()
	if err != nil {
		fmt.Println(err)
		return
	}
	strict, err := s.Strict()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.JSON())
	fmt.Println(strict.JSON())
	// Output:
	// {"type":"object","properties":{"name":{"type":"string","description":"in English"},"size":{"type":"string","enum":["small","large"]},"rivers":{"type":"array","items":{"type":"string"}}},"required":["name","size"],"additionalProperties":false}
	// {"type":"object","properties":{"name":{"type":"string","description":"in English"},"size":{"type":"string","enum":["small","large"]},"rivers":{"type":["array","null"],"items":{"type":"string"}}},"required":["name","size","rivers"],"additionalProperties":false}
}
