package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/schema"
)

func TestRepair(t *testing.T) {
	t.Parallel()
	const (
		around = "text around the document was left out"
		comma  = "a trailing comma was left out"
	)
	tests := map[string]struct {
		in, want string
		fixes    []string
	}{
		"right as it is":        {` {"a":[1,{"b":"é\u00e9\ud83d\ude00"}]} `, `{"a":[1,{"b":"éé😀"}]}`, nil},
		"a code fence":          {"```json\n{\"a\":1}\n```", `{"a":1}`, []string{around}},
		"prose with braces":     {`I use {braces} and [brackets]: {"a":1}. Good?`, `{"a":1}`, []string{around}},
		"an empty object":       {`{}`, `{}`, nil},
		"trailing commas":       {`{"a":[1,2,],}`, `{"a":[1,2]}`, []string{comma}},
		"comments":              {"{// one\n\"a\":1/* two */}", `{"a":1}`, []string{"a comment was left out"}},
		"single quotes":         {`{'a':'say "hi"'}`, `{"a":"say \"hi\""}`, []string{"single quotes became double quotes"}},
		"names without quotes":  {`{a: 1, b_c: 2}`, `{"a":1,"b_c":2}`, []string{"a name was put in quotes"}},
		"Python literals":       {`{"a":[True,False,None]}`, `{"a":[true,false,null]}`, []string{"True, False and None became true, false and null"}},
		"a raw line break":      {"{\"a\":\"x\ny\"}", `{"a":"x\ny"}`, []string{"a raw line break or tab in a string was escaped"}},
		"an escaped apostrophe": {`{"a":"it\'s"}`, `{"a":"it's"}`, []string{"an escaped single quote became a single quote"}},
		"reasoning":             {"<think>{\"a\":0}?</think>{\"a\":1}", `{"a":1}`, []string{"reasoning before the document was left out"}},
		"a fence in a string":   {"{\"a\":\"```\\n```\"}", "{\"a\":\"```\\n```\"}", nil},
		"the same twice":        {`{"a":1} {"a":1.0}`, `{"a":1}`, []string{around}},
		"a string":              {"```\n\"x\"\n```", `"x"`, []string{around}},
		"a number":              {"-1.5e3", `-1.5e3`, nil},
		"a byte order mark":     {"\ufeff{}", `{}`, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s schema.Schema
			got, err := s.Repair(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.JSON) != tc.want {
				t.Errorf("got %s, want %s", got.JSON, tc.want)
			}
			if diff := cmp.Diff(got.Fixes, tc.fixes); diff != "" && len(got.Fixes)+len(tc.fixes) > 0 {
				t.Errorf("fixes (-got +want):\n%s", diff)
			}
		})
	}
}

func TestRepairRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in, want  string
		truncated bool
	}{
		"nothing":                   {"", "the reply is empty", false},
		"prose":                     {"I cannot do that.", "there is no JSON document in the reply", false},
		"cut off in an object":      {`{"a":{"b":1},"c":`, "cut off in a value", true},
		"cut off after a member":    {`{"a":1`, "cut off in a", true},
		"cut off in a string":       {`{"a":"x`, "cut off in a string", true},
		"cut off in a name":         {`{"a`, "cut off in a string", true},
		"cut off in a literal":      {`{"a":tr`, "cut off in a value", true},
		"cut off in an escape":      {`{"a":"\u00`, "cut off in a string", true},
		"cut off in a character":    {`{"a":"\ud83d\`, "cut off in a string", true},
		"cut off in a comment":      {`{"a":1 /*`, "cut off in a comment", true},
		"an inner object is not it": {`{"x": oops, "a": {"a":1}}`, `"oops" stands where a value should be`, false},
		"two documents":             {`{"a":1} or {"a":2}`, "2 different documents", false},
		"a name twice":              {`{"a":1,"a":2}`, `the name "a" occurs twice`, false},
		"an apostrophe":             {`{'a':'it's'}`, "has an apostrophe", false},
		"an unescaped quote":        {`{"a":"say "hi""}`, `comes 'h', want a comma`, false},
		"a bad escape":              {`{"a":"\alpha"}`, `no escape \a`, false},
		"half a character":          {`{"a":"\ud83d"}`, "half a character", false},
		"bad UTF-8":                 {"{\"a\":\"\xff\"}", "not valid UTF-8", false},
		"NaN":                       {`{"a":NaN}`, "JSON has no NaN", false},
		"a thousand":                {`{"a":1_000}`, `"1_000" is not a number`, false},
		"leading zeros":             {`{"a":007}`, "is not a number", false},
		"an ellipsis":               {`[1, 2, ...]`, "is not a number", false},
		"too deep":                  {strings.Repeat("[", 2000), "deeper than", false},
		"too long":                  {strings.Repeat(" ", 17<<20), "more than 16 MiB", false},
		"text after a number":       {`12 eggs`, "more text follows", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s schema.Schema
			got, err := s.Repair(tc.in)
			derr, ok := errors.AsType[*schema.DecodeError](err)
			if !ok {
				t.Fatalf("got %s, %v, want a *schema.DecodeError", got.JSON, err)
			}
			if derr.Truncated != tc.truncated || !strings.Contains(derr.Error(), tc.want) {
				t.Errorf("got %q (truncated %v), want it to have %q (truncated %v)", derr, derr.Truncated, tc.want, tc.truncated)
			}
		})
	}
}

type user struct {
	Name      string          `json:"name"`
	Age       int             `json:"age"`
	Mood      mood            `json:"mood,omitempty"`
	Born      *time.Time      `json:"born,omitempty"`
	Addresses []address       `json:"addresses,omitempty"`
	Scores    map[string]int8 `json:"scores,omitempty"`
	Manager   *user           `json:"manager,omitempty"`
	Big       int64           `json:"big,omitempty"`
	Ratio     float32         `json:"ratio,omitempty"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	born := time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		in   string
		want user
	}{
		"plain":             {`{"name":"Ada","age":36}`, user{Name: "Ada", Age: 36}},
		"in a fence":        {"Sure!\n```json\n{\"name\":\"Ada\",\"age\":36,}\n```", user{Name: "Ada", Age: 36}},
		"null is absent":    {`{"name":"Ada","age":36,"mood":null,"born":null,"addresses":null,"scores":null,"manager":{"name":"B","age":1,"mood":null}}`, user{Name: "Ada", Age: 36, Manager: &user{Name: "B", Age: 1}}},
		"integers":          {`{"name":"Ada","age":36.0,"big":9.007199254740993e15,"scores":{"x":1e1}}`, user{Name: "Ada", Age: 36, Big: 9007199254740993, Scores: map[string]int8{"x": 10}}},
		"nested":            {`{"name":"Ada","age":36,"mood":"sad","born":"1815-12-10T00:00:00Z","addresses":[{"street":"S"}]}`, user{Name: "Ada", Age: 36, Mood: "sad", Born: &born, Addresses: []address{{Street: "S"}}}},
		"the one that fits": {`For example [1], or {"x":1}: {"name":"Ada","age":36}`, user{Name: "Ada", Age: 36}},
		"in a string":       {`"{\"name\":\"Ada\",\"age\":36}"`, user{Name: "Ada", Age: 36}},
	}
	s := schema.MustFor[user]()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got user
			if err := s.Decode(tc.in, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("value (-got +want):\n%s", diff)
			}
		})
	}
}

func TestDecodeNamesThePath(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []string
	}{
		"a type":        {`{"name":"A","age":1,"addresses":[{"street":"a"},{"street":3}]}`, []string{"addresses[1].street: want a string, got a number"}},
		"several":       {`{"age":"1","mood":"angry"}`, []string{"age: want an integer, got a string", `mood: want one of "happy", "sad", got "angry"`, "name: is missing"}},
		"an integer":    {`{"name":"A","age":1.5}`, []string{"age: want an integer, got 1.5"}},
		"a bound":       {`{"name":"A","age":1,"scores":{"a b":300}}`, []string{`scores."a b": want at most 127, got 300`}},
		"unknown":       {`{"name":"A","age":1,"manager":{"name":"B","age":2,"Mood":"sad"}}`, []string{`manager.Mood: there is no such property; want "name", "age", "mood", "born", "addresses", "scores", "manager", "big", "ratio"`}},
		"null":          {`{"name":null,"age":1}`, []string{"name: want a string, got null"}},
		"a date":        {`{"name":"A","age":1,"born":"1815"}`, []string{`born: want a date and time such as 2006-01-02T15:04:05Z, got "1815"`}},
		"out of range":  {`{"name":"A","age":1,"big":9223372036854775808}`, []string{"big: the number 9223372036854775808 is out of the range of int64"}},
		"a float":       {`{"name":"A","age":1,"ratio":1e39}`, []string{"ratio: the number 1e39 is out of the range of float32"}},
		"far too large": {`{"name":"A","age":1,"ratio":1e999}`, []string{"ratio: the number 1e999 is too large"}},
		"an array":      {`[1]`, []string{"want an object, got an array"}},
		"neither fits":  {`{"a":1} {"name":"A"}`, []string{"age: is missing"}},
		"not an object": {`"hello"`, []string{"want an object, got a string"}},
	}
	s := schema.MustFor[user]()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := user{Name: "before"}
			err := s.Decode(tc.in, &got)
			derr, ok := errors.AsType[*schema.DecodeError](err)
			if !ok {
				t.Fatalf("got %+v, %v, want a *schema.DecodeError", got, err)
			}
			var problems []string
			for _, p := range derr.Problems {
				problems = append(problems, p.String())
			}
			if diff := cmp.Diff(problems, tc.want); diff != "" {
				t.Errorf("problems (-got +want):\n%s", diff)
			}
			if got.Name != "before" {
				t.Errorf("the value changed to %+v", got)
			}
		})
	}
}

// A schema that says less than the type loses nothing either.
func TestDecodeByAnotherSchema(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse("open", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"NAME":"x"}`:                "NAME: there is no such property",
		`{"addresses":[{"zap":"x"}]}`: "addresses[0].zap: there is no such property",
		`{"age":"x"}`:                 `age: "x" does not fit into int`,
		`{"age":1.5}`:                 "age: ",
		`{"born":"x"}`:                "born: ",
	} {
		var u user
		if err := s.Decode(in, &u); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
	if err := s.Decode(`{}`, user{}); err == nil {
		t.Error("decoded into what is no pointer")
	}
}

func TestDecodeChoices(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse("shape", []byte(`{"anyOf":[
		{"type":"object","properties":{"r":{"type":"integer"}},"required":["r"],"additionalProperties":false},
		{"type":"array","items":{"type":"string"}},{"const":"none"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"r":2.0}`: "", `["a"]`: "", `"none"`: "",
		`{"r":"x"}`: "r: want an integer, got a string",
		`["a",1]`:   "[1]: want a string, got a number",
		`true`:      "true is none of the 3 things that it may be",
	} {
		_, err := s.Repair(in)
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// randomUser makes users as quick does, within what JSON and the schema hold.
type randomUser user

func (randomUser) Generate(r *rand.Rand, _ int) reflect.Value {
	return reflect.ValueOf(randomUser(makeUser(r.Intn, 3)))
}

func makeUser(n func(int) int, depth int) user {
	u := user{Name: words[n(len(words))], Age: n(1000) - 500, Mood: []mood{"", "happy", "sad"}[n(3)], Big: int64(n(1<<30)) << n(33)}
	if n(2) == 0 {
		at := time.Unix(int64(n(1<<30)), int64(n(1e9))).UTC()
		u.Born = &at
	}
	for range n(3) {
		u.Addresses = append(u.Addresses, address{Street: words[n(len(words))], Zip: words[n(len(words))]})
	}
	if n(2) == 0 {
		u.Scores = map[string]int8{words[n(len(words))]: int8(n(256) - 128)}
	}
	u.Ratio = float32(n(1000)) / 7
	if depth > 0 && n(2) == 0 {
		m := makeUser(n, depth-1)
		u.Manager = &m
	}
	return u
}

var words = []string{"Ada", "", "a b", `"`, "it's", "\\", "{", "[1]", "```", "é😀", "\n\t", "//", "/* */", ",}", "null", "<b>", "\u2028", "\u0000"}

// What Go encodes decodes to the same value, also dressed up as models do; a part of it never decodes.
func TestDecodeProperties(t *testing.T) {
	t.Parallel()
	s := schema.MustFor[user]()
	check := func(in randomUser, cutAt uint16) bool {
		want := user(in)
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"plain":    string(b),
			"fenced":   "Here it is:\n```json\n" + string(b) + "\n```\nDone.",
			"commas":   strings.TrimSuffix(string(b), "}") + ",\n}",
			"comments": "{ // the user\n" + strings.TrimPrefix(string(b), "{"),
			"unquoted": "{name" + strings.TrimPrefix(string(b), `{"name"`),
			"indented": indented(b),
		} {
			var got user
			if err := s.Decode(text, &got); err != nil {
				t.Errorf("%s: %s: %v", name, text, err)
				return false
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("%s: %s (-got +want):\n%s", name, text, diff)
				return false
			}
		}
		var got user
		part := b[:int(cutAt)%len(b)]
		if err := s.Decode(string(part), &got); err == nil {
			t.Errorf("a part decoded: %s", part)
			return false
		} else if derr, ok := errors.AsType[*schema.DecodeError](err); len(part) > 0 && (!ok || !derr.Truncated) {
			t.Errorf("not reported as cut off: %s: %v", part, err)
			return false
		}
		return true
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

func indented(b []byte) string {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return string(b)
	}
	out, err := json.MarshalIndent(json.RawMessage(b), "", "\t")
	if err != nil {
		return string(b)
	}
	return string(out)
}

func FuzzRepair(f *testing.F) {
	for _, s := range []string{"```json\n{\"a\":1,}\n```", `{'a': True, b: [1.0, "x`, `[1] {"name":"Ada","age":36.0}`, `{"a":"\ud83d\ude00"}`,
		"<think>x</think>\"y\"", `{"name":"x","age":1,"manager":null}`, `//{`, `{"a":1}/*`, "{\"a\":\"\xff\"}", `[1e400]`, `[[[[`, `{a:b}`} {
		f.Add(s)
	}
	s := schema.MustFor[user]()
	f.Fuzz(func(t *testing.T, reply string) {
		var zero schema.Schema
		r, err := zero.Repair(reply)
		if err != nil {
			if _, ok := errors.AsType[*schema.DecodeError](err); !ok {
				t.Errorf("error is a %T", err)
			}
		} else if !json.Valid(r.JSON) {
			t.Errorf("%q became %q, which is not JSON", reply, r.JSON)
		} else if again, err := zero.Repair(string(r.JSON)); err != nil || string(again.JSON) != string(r.JSON) || len(again.Fixes) > 0 {
			t.Errorf("%q became %q and that %q (%v, %v)", reply, r.JSON, again.JSON, again.Fixes, err)
		}
		// What the standard library reads, and what is not about objects' names, is read the same way.
		var theirs, ours any
		if json.Unmarshal([]byte(reply), &theirs) == nil && err == nil {
			if uerr := json.Unmarshal(r.JSON, &ours); uerr != nil || !reflect.DeepEqual(ours, theirs) {
				t.Errorf("%q became %q (%v)", reply, r.JSON, uerr)
			}
		}
		var u user
		if err := s.Decode(reply, &u); err == nil {
			if b, err := json.Marshal(u); err != nil || s.Validate(b) != nil {
				t.Errorf("%q decoded to %s, which the schema refuses (%v)", reply, b, err)
			}
		}
	})
}
