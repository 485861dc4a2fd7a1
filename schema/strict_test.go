package schema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/schema"
)

func TestStrict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"objects are closed and require all, deep": {
			`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer"}}}}},"required":["b"]}`,
			`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":["array","null"],"items":{"type":"object","properties":{"x":{"type":["integer","null"]}},"required":["x"],"additionalProperties":false}}},"required":["b","a"],"additionalProperties":false}`,
		},
		"definitions, choices and references": {
			`{"type":"object","properties":{"next":{"$ref":"#"},"d":{"$ref":"#/$defs/d","description":"a d"},"u":{"oneOf":[{"type":"string"},{"$ref":"#/$defs/d"}]}},"required":["d"],"$defs":{"d":{"properties":{"y":{"const":1}}}}}`,
			`{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"d":{"description":"a d","anyOf":[{"$ref":"#/$defs/d"}]},"u":{"anyOf":[{"type":"string"},{"$ref":"#/$defs/d"},{"type":"null"}]}},"required":["next","d","u"],"$defs":{"d":{"properties":{"y":{"anyOf":[{"const":1},{"type":"null"}]}},"required":["y"],"additionalProperties":false}},"additionalProperties":false}`,
		},
		"keywords go to the description": {
			`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"s":{"type":"string","description":"a name","minLength":2,"format":"uri","default":"x"},"e":{"type":["string","null"],"enum":["a",null]},"n":{"type":"number","minimum":1}},"required":["s"],"not":{"required":["z"]}}`,
			`{"type":"object","properties":{"s":{"type":"string","description":"a name (minLength: 2; format: \"uri\"; default: \"x\")"},"e":{"type":["string","null"],"enum":["a",null]},"n":{"type":["number","null"],"minimum":1}},"required":["s","e","n"],"description":"(not: {\"required\":[\"z\"]})","additionalProperties":false}`,
		},
		"an allOf of one": {
			`{"type":"object","properties":{"s":{"allOf":[{"type":"string"}],"description":"d"}},"required":["s"]}`,
			`{"type":"object","properties":{"s":{"description":"d","type":"string"}},"required":["s"],"additionalProperties":false}`,
		},
		"an enum gets null": {
			`{"type":"object","properties":{"s":{"type":"string","enum":["a"]}}}`,
			`{"type":"object","properties":{"s":{"type":["string","null"],"enum":["a",null]}},"required":["s"],"additionalProperties":false}`,
		},
		"an object without properties": {
			`{"type":"object","additionalProperties":false}`,
			`{"type":"object","additionalProperties":false,"properties":{},"required":[]}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schema.Parse("x", []byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			strict, err := s.Strict()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strict.JSON(), tc.want); diff != "" {
				t.Errorf("strict form (-got +want):\n%s", diff)
			}
			if again, _ := s.Strict(); again != strict {
				t.Error("the strict form was made twice")
			}
			if s.JSON() != tc.in {
				t.Errorf("the schema changed to %s", s.JSON())
			}
			twice, err := strict.Strict()
			if err != nil || twice.JSON() != strict.JSON() {
				t.Errorf("the strict form of the strict form is %s, %v", twice.JSON(), err)
			}
		})
	}
}

func TestStrictRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, path, want string }{
		"no object":            {`{"type":"array","items":{"type":"string"}}`, "", "the root must be an object"},
		"a choice":             {`{"type":"object","anyOf":[{"type":"object"}]}`, "", "the root must be an object"},
		"a map":                {`{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"string"}}}}}}}`, "a[].m", "properties of any name"},
		"any value":            {`{"type":"object","properties":{"a":{}}}`, "a", "of any type"},
		"true":                 {`{"type":"object","properties":{"a":true}}`, "a", "is a boolean"},
		"an open object":       {`{"type":"object","properties":{"a":{"type":"object"}}}`, "a", "names no properties"},
		"a tuple":              {`{"type":"object","properties":{"a":{"type":"array","prefixItems":[{"type":"string"}]}}}`, "a", "prefixItems cannot be expressed"},
		"items of any type":    {`{"type":"object","properties":{"a":{"type":"array"}}}`, "a", "what its items are"},
		"allOf":                {`{"type":"object","properties":{"a":{"allOf":[{"type":"string"},{"minLength":1}]}}}`, "a", "allOf cannot be expressed"},
		"a reference inside":   {`{"type":"object","properties":{"a":{"type":"string"},"b":{"$ref":"#/properties/a"}}}`, "b", "leads into a schema"},
		"beside a reference":   {`{"type":"object","properties":{"b":{"$ref":"#/$defs/s","minimum":1}},"$defs":{"s":{"type":"string"}}}`, "b", "minimum stands beside a reference"},
		"in a definition":      {`{"type":"object","properties":{},"$defs":{"s":{}},"additionalProperties":false}`, "#s", "of any type"},
		"an unknown property":  {`{"type":"object","properties":{"a":{"type":"string"}},"required":["b"]}`, "", `requires the property "b"`},
		"a choice that cannot": {`{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{}]}}}`, "a", "of any type"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schema.Parse("x", []byte(tc.in))
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Strict()
			serr, ok := errors.AsType[*schema.StrictError](err)
			if !ok {
				t.Fatalf("got %v, want a *schema.StrictError", err)
			}
			if serr.Name != "x" || serr.Path != tc.path || !strings.Contains(serr.Error(), tc.want) {
				t.Errorf("got %q at %q, want %q at %q", serr, serr.Path, tc.want, tc.path)
			}
		})
	}
}

// The JSON of a Go value that has all its optional fields matches the strict form.
func TestStrictOfTypes(t *testing.T) {
	t.Parallel()
	type person struct {
		Name  string    `json:"name"`
		Moods []mood    `json:"moods,omitempty"`
		Lives *address  `json:"lives,omitempty"`
		Knows []*person `json:"knows"`
	}
	strict, err := schema.MustFor[person]().Strict()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []person{
		{Name: "Ada", Moods: []mood{"sad"}, Lives: &address{Street: "S", Zip: "1"}, Knows: []*person{}},
	} {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict.Validate(b); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	if err := strict.Validate([]byte(`{"name":"Ada","moods":null,"lives":null,"knows":[]}`)); err != nil {
		t.Error(err)
	}
	var zero schema.Schema
	if got, err := zero.Strict(); err != nil || !got.IsZero() {
		t.Errorf("the strict form of the zero Schema is %v, %v", got, err)
	}
}

func FuzzStrict(f *testing.F) {
	for _, s := range []string{person, `{"type":"object","properties":{"next":{"$ref":"#"}}}`, `{"type":"object","oneOf":[]}`,
		`{"type":"object","properties":{"a":{"allOf":[{"allOf":[{"type":"string"}]}]}}}`, `{"type":"object","properties":{"a":{"anyOf":[true]}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := schema.Parse("fuzz", text)
		if err != nil {
			return
		}
		strict, err := s.Strict()
		if err != nil {
			var serr *schema.StrictError
			var perr *schema.Error
			if !errors.As(err, &serr) && !errors.As(err, &perr) {
				t.Errorf("error is a %T", err)
			}
			return
		}
		if again, err := strict.Strict(); err != nil || again.JSON() != strict.JSON() {
			t.Errorf("not stable: %s became %s, %v", strict.JSON(), again.JSON(), err)
		}
	})
}
