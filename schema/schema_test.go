package schema_test

import (
	"errors"
	"testing"

	"github.com/mellea-go/mellea/schema"
)

const person = `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0}},"required":["name"],"additionalProperties":false}`

func TestValidate(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse("person", []byte(person))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, doc string
		ok        bool
	}{
		{"whole", `{"name":"Al","age":3}`, true},
		{"optional left out", `{"name":"Al"}`, true},
		{"required left out", `{"age":3}`, false},
		{"wrong type", `{"name":3}`, false},
		{"out of range", `{"name":"Al","age":-1}`, false},
		{"extra property", `{"name":"Al","x":1}`, false},
		{"not JSON", `Al`, false},
		{"cut off", `{"name":"Al"`, false},
		{"two documents", `{"name":"Al"} {}`, false},
		{"empty", ``, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := s.Validate([]byte(tc.doc))
			if got := err == nil; got != tc.ok {
				t.Fatalf("valid = %v (%v), want %v", got, err, tc.ok)
			}
			var mismatch *schema.MismatchError
			if err != nil && !errors.As(err, &mismatch) {
				t.Errorf("error is a %T, want *schema.MismatchError", err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text string }{
		{"not JSON", `{`},
		{"not a schema", `[1]`},
		{"a reference to another document", `{"$ref":"https://example.com/other.json"}`},
		{"a reference to itself", `{"$ref":"#"}`},
		{"a loop of references", `{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#"}]}}}`},
		{"a loop through an array", `{"anyOf":[{"type":"null"},{"$ref":"#/anyOf/1"}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.Parse("bad", []byte(tc.text))
			var serr *schema.Error
			if !errors.As(err, &serr) || serr.Name != "bad" {
				t.Errorf("got %v, want a *schema.Error that names the schema", err)
			}
		})
	}
}

func TestRecursionThroughPropertiesIsAllowed(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse("tree", []byte(`{"type":"object","properties":{"child":{"$ref":"#"}},"additionalProperties":false}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate([]byte(`{"child":{"child":{}}}`)); err != nil {
		t.Error(err)
	}
	if err := s.Validate([]byte(`{"child":{"x":1}}`)); err == nil {
		t.Error("accepted a property two levels down that the schema forbids")
	}
}

func TestZeroSchemaAcceptsAnyJSON(t *testing.T) {
	t.Parallel()
	var s schema.Schema
	if err := s.Validate([]byte(`[1]`)); err != nil {
		t.Error(err)
	}
	if err := s.Validate([]byte(`[1`)); err == nil {
		t.Error("accepted what is not JSON")
	}
	if s.JSON() != "" || s.Name() != "" || !s.IsZero() {
		t.Error("the zero Schema is not empty")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(person), []byte(`{"name":"Al"}`))
	f.Add([]byte(`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#"}}}`), []byte(`{}`))
	f.Add([]byte(`true`), []byte(`null`))
	f.Fuzz(func(_ *testing.T, text, doc []byte) {
		if s, err := schema.Parse("fuzz", text); err == nil && len(text) < 200 && len(doc) < 200 {
			_ = s.Validate(doc)
		}
	})
}
