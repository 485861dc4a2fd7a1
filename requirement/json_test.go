package requirement_test

import (
	"strings"
	"testing"

	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/schema"
)

// A provider that wants schemas in their strict form makes the model write null for what is left out.
func TestJSONSchemaTakesNullForNothing(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse("person", []byte(`{"type":"object","properties":{"name":{"type":"string","minLength":2},"age":{"type":"integer"}},"required":["name"]}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		reply, reason string
	}{
		"all of it":                  {`{"name":"Bo","age":3}`, ""},
		"null for an optional one":   {`{"name":"Bo","age":null}`, ""},
		"null for one that must be":  {`{"name":null,"age":3}`, "does not match"},
		"too short all the same":     {`{"name":"B","age":null}`, "does not match"},
		"another type all the same":  {`{"name":"Bo","age":"three"}`, "does not match"},
		"not a document, with words": {`Here: {"name":"Bo"}`, "is not one JSON document"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := requirement.JSONSchema(s).Validate(t.Context(), env(tt.reply))
			if err != nil {
				t.Fatal(err)
			}
			if v.Passed != (tt.reason == "") || !strings.Contains(v.Reason, tt.reason) {
				t.Errorf("got %v, %q, want the reason %q", v.Passed, v.Reason, tt.reason)
			}
		})
	}
}
