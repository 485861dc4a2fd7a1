package tool_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/tool"
)

const everything = `{
	"type": "object",
	"properties": {
		"name": {"type": "string"},
		"count": {"type": "integer"},
		"ratio": {"type": "number"},
		"on": {"type": "boolean"},
		"tags": {"type": "array", "items": {"type": "string"}},
		"sizes": {"type": "array", "items": {"type": "integer"}},
		"unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
		"level": {"type": "integer", "enum": [1, 2]},
		"place": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat"], "additionalProperties": false},
		"maybe": {"type": ["null", "integer"]},
		"either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
		"both": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
		"first_name": {"type": "string"},
		"page": {"type": "integer", "default": 1},
		"tree": {"$ref": "#/$defs/tree"}
	},
	"additionalProperties": false,
	"$defs": {"tree": {"type": "object", "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}
}`

func TestArguments(t *testing.T) {
	t.Parallel()
	spec, err := tool.FromSpec(content.ToolSpec{Name: "all", Parameters: mustParse(t, everything)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	need, err := tool.FromSpec(content.ToolSpec{Name: "need", Parameters: mustParse(t, `{
		"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": ["string", "null"]}, "c": {"type": "string", "maxLength": 2}},
		"required": ["a", "b"]}`)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	open, err := tool.FromSpec(content.ToolSpec{Name: "open", Parameters: mustParse(t, `{"type": "object", "additionalProperties": {"type": "integer"}}`)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	none, err := tool.FromSpec(content.ToolSpec{Name: "none", Parameters: mustParse(t, `{"type": "object", "additionalProperties": false}`)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	free, err := tool.FromSpec(content.ToolSpec{Name: "free"}, raw)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		tool     tool.Tool
		in, want string // want is a JSON object without the default page, or what is wrong
	}{
		"as it should be":            {spec, `{"name":"a","count":3}`, `{"count":3,"name":"a"}`},
		"nothing":                    {spec, "", `{}`},
		"blank":                      {spec, " \n", `{}`},
		"null":                       {spec, "null", `{}`},
		"an object in quotes":        {spec, `"{\"count\": 3}"`, `{"count":3}`},
		"nothing in quotes":          {spec, `" "`, `{}`},
		"a number in quotes":         {spec, `{"count":" 3 ","ratio":"-1.5e2"}`, `{"count":3,"ratio":-1.5e2}`},
		"a plus sign":                {spec, `{"count":"+3"}`, `{"count":3}`},
		"a whole number":             {spec, `{"count":3.0,"level":"1.0"}`, `{"count":3,"level":1}`},
		"an exponent":                {spec, `{"count":3e2}`, `{"count":300}`},
		"a large number":             {spec, `{"count":9007199254740993}`, `{"count":9007199254740993}`},
		"a fraction":                 {spec, `{"count":3.5}`, `"count": want an integer, got 3.5.`},
		"a huge exponent":            {spec, `{"count":1e999999999}`, `"count": want an integer, got 1e999999999.`},
		"not a number":               {spec, `{"count":"three"}`, `"count": want an integer, got the text "three".`},
		"hexadecimal":                {spec, `{"count":"0x10"}`, `"count": want an integer, got the text "0x10".`},
		"truth in quotes":            {spec, `{"on":"True"}`, `{"on":true}`},
		"truth as a number":          {spec, `{"on":1}`, `"on": want true or false, got 1.`},
		"text from a number":         {spec, `{"name":12.50}`, `{"name":"12.50"}`},
		"text from truth":            {spec, `{"name":true}`, `{"name":"true"}`},
		"text from an object":        {spec, `{"name":{}}`, `"name": want a text, got an object.`},
		"one of a list":              {spec, `{"tags":"a","sizes":"3"}`, `{"sizes":[3],"tags":["a"]}`},
		"a list in quotes":           {spec, `{"sizes":"[1, \"2\"]"}`, `{"sizes":[1,2]}`},
		"in a list":                  {spec, `{"sizes":[1,"2",3.0]}`, `{"sizes":[1,2,3]}`},
		"wrong in a list":            {spec, `{"sizes":[1,"x"]}`, `"sizes[1]": want an integer, got the text "x".`},
		"an object in a member":      {spec, `{"place":"{\"lat\":\"1\"}"}`, `{"place":{"lat":1}}`},
		"missing in a member":        {spec, `{"place":{}}`, `"place.lat" is missing: want a number.`},
		"null for optional":          {spec, `{"name":null,"count":null}`, `{}`},
		"null where allowed":         {spec, `{"maybe":null,"either":null}`, `{"either":null,"maybe":null}`},
		"null in quotes":             {spec, `{"maybe":"null"}`, `{"maybe":null}`},
		"an alternative":             {spec, `{"either":"3","both":"3"}`, `{"both":"3","either":3}`},
		"case of a choice":           {spec, `{"unit":"Celsius"}`, `{"unit":"celsius"}`},
		"no such choice":             {spec, `{"unit":"kelvin"}`, `"unit": want one of "celsius", "fahrenheit", got the text "kelvin".`},
		"a number as choice":         {spec, `{"level":2.0}`, `{"level":2}`},
		"no such number":             {spec, `{"level":3}`, `"level": want one of 1, 2, got 3.`},
		"another way of a name":      {spec, `{"firstName":"a"}`, `{"first_name":"a"}`},
		"a name twice":               {spec, `{"firstName":"a","first_name":"b"}`, `"firstName" is not known: the names are`},
		"an unknown name":            {spec, `{"colour":"red"}`, `"colour" is not known: the names are`},
		"recursion":                  {spec, `{"tree":{"value":"1","children":[{"value":"2"}]}}`, `{"tree":{"children":[{"value":2}],"value":1}}`},
		"a list":                     {spec, `[1]`, "They must be one JSON object: found a list."},
		"two objects":                {spec, `{} {}`, "They must be one JSON object: more text follows the JSON document."},
		"a closing brace too many":   {spec, `{}}`, "They must be one JSON object: "},
		"broken":                     {spec, `{"count":`, "They must be one JSON object: unexpected EOF."},
		"too long":                   {spec, `{"name":"` + strings.Repeat("x", tool.MaxArguments) + `"}`, "at most 1048576 are allowed."},
		"missing":                    {need, `{}`, `"a" is missing: want an integer.`},
		"missing, may be null":       {need, `{"a":1}`, `{"a":1,"b":null}`},
		"null where it is needed":    {need, `{"a":null}`, `"a": want an integer, got null.`},
		"others are allowed":         {need, `{"a":1,"b":"x","z":[]}`, `{"a":1,"b":"x","z":[]}`},
		"what only the schema knows": {need, `{"a":1,"c":"long"}`, "They do not match the schema: "},
		"others":                     {open, `{"x":"1"}`, `{"x":1}`},
		"others, wrong":              {open, `{"x":"y"}`, `"x": want an integer, got the text "y".`},
		"no parameters":              {none, `{"x":"y"}`, `{}`},
		"no schema":                  {free, `{"x":"y"}`, `{"x":"y"}`},
		"no schema, no object":       {free, `3`, "They must be one JSON object: found an integer."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.tool.Arguments(tc.in)
			if strings.HasPrefix(tc.want, "{") {
				got = strings.Replace(strings.Replace(got, `"page":1,`, "", 1), `,"page":1`, "", 1)
				got = strings.Replace(got, `"page":1`, "", 1)
				if got != tc.want || err != nil {
					t.Errorf("got %s, %v, want %s", got, err, tc.want)
				}
				return
			}
			var wrong *tool.ArgumentError
			if !errors.As(err, &wrong) || got != "" {
				t.Fatalf("got %s, %v, want an ArgumentError", got, err)
			}
			if all := strings.Join(wrong.Problems, " "); !strings.Contains(all, tc.want) {
				t.Errorf("got problem %q, want %q", all, tc.want)
			}
			if text := err.Error(); strings.Contains(text, "three") || strings.Contains(text, "colour") {
				t.Errorf("the error %q quotes the arguments", text)
			}
		})
	}
}

// Many problems are told within bounds.
func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	many, err := tool.FromSpec(content.ToolSpec{Name: "many", Parameters: mustParse(t,
		`{"type":"object","properties":{"l":{"type":"array","items":{"type":"integer"}}}}`)}, raw)
	if err != nil {
		t.Fatal(err)
	}
	_, err = many.Arguments(`{"l":[` + strings.Repeat(`"`+strings.Repeat("€", 200)+`",`, 99) + `"x"]}`)
	var wrong *tool.ArgumentError
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	if n, last := len(wrong.Problems), wrong.Problems[len(wrong.Problems)-1]; n != 11 || last != "There are 90 more problems." {
		t.Errorf("got %d problems, the last %q, want 10 and how many more", n, last)
	}
	if got := tool.Explain(err); len(got) > tool.MaxExplanation {
		t.Errorf("got %d bytes", len(got))
	}
	if !strings.HasSuffix(err.Error(), "11 problems") {
		t.Errorf("got %q", err)
	}
}

// Whatever a model writes, arguments that are accepted fit the schema, and are accepted again as they are.
func FuzzArguments(f *testing.F) {
	spec, err := tool.FromSpec(content.ToolSpec{Name: "all", Parameters: mustParse(f, everything)}, raw)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", "{}", "null", `"{}"`, `{"count":"3","tags":"a","place":"{\"lat\":1}"}`, `{"tree":{"children":[{"children":"[]"}]}}`,
		`{"First-Name":1,"firstname":2}`, `{"sizes":[[[]]],"level":"2e0"}`, `{"unit":" CELSIUS "}`, `{"a":1}{"b":2}`, "\xff", `{"name":"\ud800"}`,
		strings.Repeat(`{"place":`, 200), `{"count":-0.0,"ratio":"1e400"}`, `{"both":"1","either":"null"}`,
	} {
		f.Add(seed)
	}
	s := mustParse(f, everything)
	f.Fuzz(func(t *testing.T, in string) {
		out, err := spec.Arguments(in)
		if err != nil {
			if !errors.As(err, new(*tool.ArgumentError)) {
				t.Fatalf("got a %T", err)
			}
			if got := tool.Explain(err); len(got) > 2*tool.MaxExplanation {
				t.Fatalf("an explanation of %d bytes", len(got))
			}
			return
		}
		if !json.Valid([]byte(out)) || s.Validate([]byte(out)) != nil {
			t.Fatalf("accepted %q, which does not fit", out)
		}
		if again, err := spec.Arguments(out); err != nil || again != out {
			t.Fatalf("got %q, %v of %q: not the same again", again, err, out)
		}
	})
}

// A schema of any shape makes a tool that survives any arguments.
func FuzzSpec(f *testing.F) {
	f.Add(everything, `{"tree":{"children":[]}}`)
	f.Add(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}}}}}`, `{"a":{"a":{}}}`)
	f.Add(`{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":["object","string"]}}}`, `{"a":1}`)
	f.Add(`true`, `{}`)
	f.Add(`{"properties":{"a":false},"enum":[{}],"required":[1,"a"],"additionalProperties":{"not":{}}}`, `{"a":1,"b":2}`)
	f.Fuzz(func(t *testing.T, text, in string) {
		spec, err := tool.FromSpec(content.ToolSpec{Name: "any"}, raw)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := parse(text); ok {
			if spec, err = tool.FromSpec(content.ToolSpec{Name: "any", Parameters: s}, raw); err != nil {
				return
			}
		}
		if out, err := spec.Run(t.Context(), in); err == nil && !json.Valid([]byte(out.Value.(string))) {
			t.Fatalf("the function was given %q", out.Value)
		}
	})
}
