package gbnf_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/gbnf"
	"github.com/mellea-go/mellea/schema"
)

// cases are schemas, documents that their grammars must have, and documents that they must not.
var cases = map[string]struct {
	schema   string
	yes, no  []string
	loose    []string
	repeated bool // it can repeat a name, which readers refuse
}{
	"anything": {schema: `{}`, yes: []string{`1`, `"a"`, `{"a":[1,2,{"b":null}]}`, `[true,false]`, `-0.5e-3`}, no: []string{``, `a`, `{"a"}`, `01`, `[1,]`}, repeated: true},
	"true":     {schema: `true`, yes: []string{`null`}, repeated: true},
	"object": {schema: `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"]}`,
		yes: []string{`{"name":"x","age":3}`, "{ \"name\" : \"x\" , \"age\" : -3 }", "{\n  \"name\": \"a\\\"\\u00e9é\",\n  \"age\": 0\n}"},
		no:  []string{`{}`, `{"name":"x"}`, `{"age":3,"name":"x"}`, `{"name":"x","age":3.5}`, `{"name":"x","age":3,"more":1}`, `{"name":"x","age":3`, `{"name":"\ud800","age":1}`, "{\"name\":\"a\nb\",\"age\":1}", `{"name":"x","age":01}`}},
	"optional": {schema: `{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"additionalProperties":false}`,
		yes: []string{`{}`, `{"a":null}`, `{"b":null}`, `{"c":null}`, `{"a":null,"c":null}`, `{"a":null,"b":null,"c":null}`, `{"b":null,"c":null}`},
		no:  []string{`{,"a":null}`, `{"a":null,}`, `{"b":null,"a":null}`, `{"a":null "b":null}`}},
	"required in the middle": {schema: `{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"required":["b"]}`,
		yes: []string{`{"b":null}`, `{"a":null,"b":null}`, `{"b":null,"c":null}`, `{"a":null,"b":null,"c":null}`}, no: []string{`{}`, `{"a":null}`, `{"a":null,"c":null}`}},
	"required but not described": {schema: `{"type":"object","properties":{"a":{"type":"null"}},"required":["b"],"additionalProperties":{"type":"boolean"}}`,
		yes: []string{`{"b":true}`, `{"a":null,"b":false}`}, no: []string{`{"a":null}`, `{"b":1}`}},
	"map": {schema: `{"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2}`,
		yes: []string{`{"a":1}`, `{"a":1,"b":2}`}, no: []string{`{}`, `{"a":"x"}`, `{"a":1,"b":2,"c":3}`}, repeated: true},
	"object without members": {schema: `{"type":"object","additionalProperties":false}`, yes: []string{`{}`, `{ }`}, no: []string{`{"a":1}`}},
	"names that need escapes": {schema: `{"type":"object","properties":{"a\"b\\c\n":{"type":"null"},"é/~":{"type":"null"}},"required":["a\"b\\c\n","é/~"]}`,
		yes: []string{`{"a\"b\\c\n":null,"é/~":null}`}},
	"list": {schema: `{"type":"array","items":{"type":"boolean"}}`, yes: []string{`[]`, `[true]`, `[true,false]`}, no: []string{`[1]`, `[true,]`, `[,true]`}},
	"list with bounds": {schema: `{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":3}`,
		yes: []string{`[true,true]`, `[true,true,false]`}, no: []string{`[]`, `[true]`, `[true,true,true,true]`}},
	"list of one":       {schema: `{"type":"array","items":{"type":"null"},"maxItems":1}`, yes: []string{`[]`, `[null]`}, no: []string{`[null,null]`}},
	"list of none":      {schema: `{"type":"array","maxItems":0}`, yes: []string{`[]`}, no: []string{`[1]`}},
	"list at least one": {schema: `{"type":"array","items":{"type":"null"},"minItems":1}`, yes: []string{`[null]`, `[null,null,null]`}, no: []string{`[]`}},
	"tuple":             {schema: `{"type":"array","prefixItems":[{"type":"null"},{"type":"boolean"}],"items":false}`, yes: []string{`[null,true]`}, no: []string{`[true,null]`, `[null,true,1]`}},
	"tuple with more": {schema: `{"type":"array","prefixItems":[{"type":"null"}],"items":{"type":"boolean"},"maxItems":3}`,
		yes: []string{`[null]`, `[null,true]`, `[null,true,false]`}, no: []string{`[true]`, `[null,true,true,true]`}},
	"tuple of draft-07": {schema: `{"$schema":"http://json-schema.org/draft-07/schema#","type":"array","items":[{"type":"null"},{"type":"boolean"}]}`, yes: []string{`[null,true]`}, no: []string{`[null,1]`}},
	"string with bounds": {schema: `{"type":"string","minLength":2,"maxLength":4}`,
		yes: []string{`"ab"`, `"abcd"`, `"\n\u0041"`, `"éé"`}, no: []string{`"a"`, `"abcde"`, `""`}},
	"date and time": {schema: `{"type":"object","properties":{"d":{"type":"string","format":"date"},"t":{"type":"string","format":"date-time"},"u":{"type":"string","format":"uuid"},"m":{"type":"string","format":"email"}},"required":["d","t","u"]}`,
		yes: []string{`{"d":"2026-01-31","t":"2026-01-31T23:59:59Z","u":"00000000-0000-4000-8000-000000000000"}`}, no: []string{`{"d":"2026-13-01","t":"2026-01-31T23:59:59Z","u":"00000000-0000-4000-8000-000000000000"}`}},
	"enum":           {schema: `{"enum":["a","b\n",3,null,{"x":[1,true]}]}`, yes: []string{`"a"`, `"b\n"`, `3`, `null`, `{"x":[1,true]}`}, no: []string{`"c"`, `4`, `{"x": [1,true]}`}},
	"enum and type":  {schema: `{"type":["string","number"],"enum":["a",1,null]}`, yes: []string{`"a"`, `1`}, no: []string{`null`}},
	"const":          {schema: `{"const":"x"}`, yes: []string{`"x"`}, no: []string{`"y"`}},
	"types":          {schema: `{"type":["string","null"]}`, yes: []string{`"x"`, `null`}, no: []string{`1`}},
	"anyOf":          {schema: `{"anyOf":[{"type":"string"},{"type":"integer"}]}`, yes: []string{`"x"`, `1`}, no: []string{`null`}},
	"anyOf beside":   {schema: `{"type":"object","properties":{"a":{"type":"null"}},"required":["a"],"anyOf":[{"properties":{"b":{"type":"boolean"}},"required":["b"]},{"properties":{"c":{"type":"boolean"}},"required":["c"]}]}`, yes: []string{`{"a":null,"b":true}`, `{"a":null,"c":true}`}, no: []string{`{"a":null}`, `{"a":null,"b":true,"c":true}`}},
	"oneOf of types": {schema: `{"oneOf":[{"type":"string"},{"type":"null"}]}`, yes: []string{`"x"`, `null`}},
	"oneOf with a tag": {schema: `{"oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}],"$defs":{
		"a":{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"null"}},"required":["kind","x"]},
		"b":{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}}}`, yes: []string{`{"kind":"a","x":null}`, `{"kind":"b"}`}, no: []string{`{"kind":"b","x":null}`}},
	"oneOf that overlaps":   {schema: `{"oneOf":[{"type":"integer"},{"type":"number"}]}`, loose: []string{"oneOf"}},
	"allOf":                 {schema: `{"allOf":[{"type":"object","properties":{"a":{"type":"number","minimum":2}},"required":["a"]},{"properties":{"a":{"type":"integer","maximum":4},"b":{"type":"null"}},"required":["b"]}]}`, yes: []string{`{"a":2,"b":null}`, `{"a":4,"b":null}`}, no: []string{`{"a":2}`, `{"a":1,"b":null}`, `{"a":5,"b":null}`, `{"a":2.5,"b":null}`}},
	"$ref with more beside": {schema: `{"$ref":"#/$defs/n","maximum":3,"$defs":{"n":{"type":"integer","minimum":2}}}`, yes: []string{`2`, `3`}, no: []string{`1`, `4`}},
	"recursive": {schema: `{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"null"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}}}`,
		yes: []string{`{"v":null,"next":null}`, `{"v":null,"next":{"v":null,"next":{"v":null,"next":null}}}`}, no: []string{`{"v":null}`}},
	"recursive at the root":   {schema: `{"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#"}}},"required":["kids"]}`, yes: []string{`{"kids":[]}`, `{"kids":[{"kids":[]},{"kids":[]}]}`}},
	"integer from 0 to 120":   {schema: `{"type":"integer","minimum":0,"maximum":120}`, yes: []string{`0`, `7`, `99`, `100`, `119`, `120`}, no: []string{`-1`, `121`, `130`, `200`, `1000`, `00`}},
	"integer from -13 to 7":   {schema: `{"type":"integer","minimum":-13,"maximum":7}`, yes: []string{`-13`, `-9`, `-1`, `0`, `7`}, no: []string{`-14`, `8`, `-0`, `10`}},
	"integer above 5":         {schema: `{"type":"integer","exclusiveMinimum":5}`, yes: []string{`6`, `10`, `12345`}, no: []string{`5`, `-6`}},
	"number from 0 to 1":      {schema: `{"type":"number","minimum":0,"maximum":1}`, yes: []string{`0`, `1`, `0.5`, `0.001`}, no: []string{`1.5`, `-0.5`, `2`, `1.0001`}},
	"number between -2 and 1": {schema: `{"type":"number","exclusiveMinimum":-2,"exclusiveMaximum":1}`, yes: []string{`0`, `-1`, `0.5`, `-1.5`, `-0.25`}, no: []string{`1`, `-2`, `1.5`, `-2.5`}},
	"number above a half":     {schema: `{"type":"number","minimum":0.5}`, yes: []string{`0.7`}, loose: []string{"minimum"}},
	"what no grammar says": {schema: `{"type":"object","properties":{"a":{"type":"string","pattern":"^x"},"b":{"type":"array","items":{"type":"integer","multipleOf":2},"uniqueItems":true}},"required":["a","b"],"not":{"required":["c"]}}`,
		yes: []string{`{"a":"x","b":[2,4]}`}, loose: []string{"multipleOf", "not", "pattern", "uniqueItems"}},
	"far too long":            {schema: `{"type":"string","maxLength":100000}`, yes: []string{`"x"`}, loose: []string{"maxLength"}},
	"no type but keywords":    {schema: `{"properties":{"a":{"minLength":1}},"required":["a"]}`, yes: []string{`{"a":"x"}`}, no: []string{`{"a":""}`, `1`}},
	"a member that cannot be": {schema: `{"type":"object","properties":{"a":false,"b":{"type":"null"}}}`, yes: []string{`{}`, `{"b":null}`}, no: []string{`{"a":1}`}},
}

func TestFromSchema(t *testing.T) {
	t.Parallel()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schema.Parse("x", []byte(tc.schema))
			if err != nil {
				t.Fatal(err)
			}
			got, err := gbnf.FromSchema(s.JSON())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.loose, got.Loose); diff != "" {
				t.Errorf("loose keywords (-want +got):\n%s", diff)
			}
			g := readGrammar(t, got.Text)
			for _, doc := range tc.yes {
				if !g.match(doc) {
					t.Errorf("%s is not in the grammar, want it to be:\n%s", doc, got.Text)
				}
				if err := s.Validate([]byte(doc)); err != nil {
					t.Errorf("%s is not of the schema: %v", doc, err)
				}
			}
			for _, doc := range tc.no {
				if g.match(doc) {
					t.Errorf("%s is in the grammar, want it not to be:\n%s", doc, got.Text)
				}
			}
			derived(t, s, got, g, 300, tc.repeated)
		})
	}
}

// derived checks that what a grammar has its schema allows.
func derived(t *testing.T, s schema.Schema, got gbnf.Grammar, g grammar, times int, repeated bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range times {
		var b strings.Builder
		g.derive(&b, r, g["root"], 0)
		doc := b.String()
		if b.Len() > 1<<16 {
			continue
		}
		if !json.Valid([]byte(doc)) {
			t.Fatalf("the grammar has %q, which is no JSON:\n%s", doc, got.Text)
		}
		if err := s.Validate([]byte(doc)); err != nil && len(got.Loose) == 0 && !repeated {
			t.Fatalf("the grammar has %s, which the schema refuses: %v\n%s\n%s", doc, err, s.JSON(), got.Text)
		}
	}
}

// Texts around documents, alternatives, and several of them: references lead into the schema they stand in.
func TestFromPieces(t *testing.T) {
	t.Parallel()
	a := []gbnf.Piece{{Text: `<c>{"name": "a", "arguments": `, Schema: `{"$ref":"#/$defs/x","$defs":{"x":{"type":"null"}}}`}, {Text: "}</c>\n\"\\"}}
	b := []gbnf.Piece{{Text: "b"}, {Schema: `{"$ref":"#/$defs/x","$defs":{"x":{"type":"boolean"}}}`}}
	const one, two = "<c>{\"name\": \"a\", \"arguments\": null}</c>\n\"\\", "btrue"
	tests := map[string]struct {
		separator string
		yes, no   []string
	}{
		"one":     {"", []string{one, two, "bfalse"}, []string{"", "bnull", one + two, one + ";" + two, "<c>null</c>"}},
		"several": {";", []string{one, two, one + ";" + two, two + ";" + two + ";" + one}, []string{"", ";", one + two, one + ";"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := gbnf.FromPieces(tc.separator, a, b)
			if err != nil {
				t.Fatal(err)
			}
			g := readGrammar(t, got.Text)
			for _, text := range tc.yes {
				if !g.match(text) {
					t.Errorf("%q is not in the grammar, want it to be:\n%s", text, got.Text)
				}
			}
			for _, text := range tc.no {
				if g.match(text) {
					t.Errorf("%q is in the grammar, want it not to be:\n%s", text, got.Text)
				}
			}
		})
	}
	for name, all := range map[string][][]gbnf.Piece{"nothing": nil, "an empty one": {{}}, "no schema": {{{Schema: "{"}}}} {
		if _, err := gbnf.FromPieces("", all...); !errors.As(err, new(*gbnf.Error)) {
			t.Errorf("%s: got error %v, want a *gbnf.Error", name, err)
		}
	}
}

// Every range of small numbers has a grammar of exactly its members.
func TestRanges(t *testing.T) {
	t.Parallel()
	for low := -25; low <= 25; low += 3 {
		for high := low; high <= 130; high += 7 {
			got, err := gbnf.FromSchema(fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, low, high))
			if err != nil {
				t.Fatal(err)
			}
			g := readGrammar(t, got.Text)
			for i := -40; i <= 150; i++ {
				if in := i >= low && i <= high; g.match(fmt.Sprint(i)) != in {
					t.Fatalf("%d in the grammar of %d to %d: got %v, want %v\n%s", i, low, high, !in, in, got.Text)
				}
			}
		}
	}
}

func TestFromSchemaRefuses(t *testing.T) {
	t.Parallel()
	wide := `{"anyOf":[{"$ref":"#/$defs/d1","title":"a","minLength":1},{"$ref":"#/$defs/d1","minLength":2}],"$defs":{"d24":{"type":"string"}`
	for i := 1; i < 24; i++ {
		wide += fmt.Sprintf(`,"d%d":{"anyOf":[{"$ref":"#/$defs/d%d","minLength":1},{"$ref":"#/$defs/d%d","minLength":2}]}`, i, i+1, i+1)
	}
	wide += `}}`
	tests := map[string]struct{ schema, reason, path string }{
		"no JSON":                  {schema: `{`, reason: "no JSON"},
		"two":                      {schema: `{} {}`, reason: "more than one"},
		"false":                    {schema: `false`, reason: "nothing satisfies"},
		"a number":                 {schema: `{"items":3}`, reason: "neither", path: "/items"},
		"an unknown type":          {schema: `{"properties":{"a":{"type":"float"}}}`, reason: "no type", path: "/properties/a"},
		"types that contradict":    {schema: `{"allOf":[{"type":"string"},{"type":"null"}]}`, reason: "all its types"},
		"bounds that contradict":   {schema: `{"type":"string","minLength":3,"maxLength":2}`, reason: "nothing satisfies"},
		"no number":                {schema: `{"type":"integer","minimum":3,"maximum":2}`, reason: "nothing satisfies"},
		"a required that is false": {schema: `{"properties":{"a":false},"required":["a"]}`, reason: "nothing satisfies"},
		"another document":         {schema: `{"$ref":"https://example.com/x"}`, reason: "JSON pointer"},
		"nowhere":                  {schema: `{"$ref":"#/$defs/x"}`, reason: "nowhere"},
		"a loop":                   {schema: `{"$ref":"#"}`, reason: "back to itself"},
		"a loop of alternatives":   {schema: `{"anyOf":[{"$ref":"#"},{"type":"null"}]}`, reason: "back to itself"},
		"endless with more beside": {schema: `{"type":"object","properties":{"a":{"$ref":"#","minProperties":0}}}`, reason: "too deeply"},
		"exponential":              {schema: wide, reason: "too large"},
		"deep":                     {schema: strings.Repeat(`{"items":`, 200) + `{}` + strings.Repeat(`}`, 200), reason: "too deeply"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := gbnf.FromSchema(tc.schema)
			var e *gbnf.Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, tc.reason) || e.Path != tc.path && tc.path != "" {
				t.Errorf("got %v %q, want an error at %q that says %q", err, got.Text, tc.path, tc.reason)
			}
		})
	}
}

// Whatever the schema is, there is an error or a grammar that can be read, and what it has is JSON of the schema.
func FuzzFromSchema(f *testing.F) {
	for _, tc := range cases {
		f.Add(tc.schema)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := gbnf.FromSchema(text)
		if err != nil {
			if e := new(gbnf.Error); !errors.As(err, &e) {
				t.Errorf("got error %T, want *gbnf.Error", err)
			}
			return
		}
		if len(got.Text) > 1<<16 {
			return
		}
		g := readGrammar(t, got.Text)
		s, err := schema.Parse("x", []byte(text))
		if err != nil {
			return
		}
		derived(t, s, got, g, 3, true)
	})
}
