package requirement_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/schema"
)

func person(t *testing.T) schema.Schema {
	t.Helper()
	s, err := schema.Parse("person", []byte(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadyMadeChecks(t *testing.T) {
	t.Parallel()
	matches := requirement.MustRegexp(`(?m)^Dear \w+,$`)
	schemed := requirement.JSONSchema(person(t))
	type check struct {
		name, text string
		reason     string // "" passes
	}
	for _, group := range []struct {
		name, kind, description string
		r                       requirement.Requirement
		checks                  []check
	}{
		{"MaxWords", "max_words", "Use at most 3 words.", requirement.MaxWords(3), []check{
			{"empty", "", ""},
			{"at the bound", "one two three", ""},
			{"above", "one two three four", "has 4 words, at most 3 are allowed"},
			{"any white space parts", "one\ttwo\u00a0three\u3000four\r\nfive", "has 5 words, at most 3 are allowed"},
			{"words beyond ASCII", "größer als über", ""},
			{"a script without spaces", "ข้อความนี้ยาวมาก", ""},
		}},
		{"MaxWords of 1", "max_words", "Use at most 1 word.", requirement.MaxWords(1), []check{{"one", "yes", ""}}},
		{"MinWords", "min_words", "Use at least 2 words.", requirement.MinWords(2), []check{
			{"empty", "", "has 0 words, at least 2 are needed"},
			{"below", " one ", "has 1 word, at least 2 are needed"},
			{"at the bound", "one-half two", ""},
		}},
		{"Contains", "contains", `Contain the text "The launch".`, requirement.Contains("The launch"), []check{
			{"found", "About: The launch!", ""},
			{"another case", "the launch", `does not contain the text "The launch"`},
			{"empty", "", `does not contain the text "The launch"`},
		}},
		{"Contains over lines", "contains", `Contain the text "a\nb".`, requirement.Contains("a\nb"), []check{
			{"LF", "xa\nb", ""}, {"CRLF", "xa\r\nb", ""},
		}},
		{"Contains in any case", "contains", `Contain the text "ÄHM".`, requirement.Contains("ÄHM", requirement.IgnoreCase()), []check{
			{"found", "so, ähm, yes", ""},
			{"not found", "ahm", `does not contain the text "ÄHM"`},
		}},
		{"Excludes", "excludes", `Do not contain the text "ASAP".`, requirement.Excludes("ASAP"), []check{
			{"not there", "soon", ""},
			{"another case", "asap", ""},
			{"there", "please ASAP.", `contains the text "ASAP", which is not allowed`},
			{"empty", "", ""},
		}},
		{"Excludes in any case", "excludes", `Do not contain the text "ASAP".`, requirement.Excludes("ASAP", requirement.IgnoreCase()), []check{
			{"another case", "asap", `contains the text "ASAP", which is not allowed`},
		}},
		{"Regexp", "regexp", `Match the regular expression (?m)^Dear \w+,$.`, matches, []check{
			{"matches", "Dear Alice,\nhello", ""},
			{"matches with CRLF", "Dear Alice,\r\nhello", ""},
			{"does not", "Hi Alice,", `does not match the regular expression (?m)^Dear \w+,$`},
			{"empty", "", `does not match the regular expression (?m)^Dear \w+,$`},
		}},
		{"OneOf", "one_of", `Reply with nothing but one of these: "a b", "c".`, requirement.OneOf("a b", " c"), []check{
			{"one", "a b", ""},
			{"with space around it", "\r\nc \n", ""},
			{"another case", "C", `is none of "a b", "c"`},
			{"more", "c.", `is none of "a b", "c"`},
			{"empty", "", `is none of "a b", "c"`},
		}},
		{"ValidJSON", "valid_json", "Reply with one JSON document and nothing else.", requirement.ValidJSON(), []check{
			{"object", ` {"a":[1,2,null]} `, ""},
			{"scalar", `"x"`, ""},
			{"in a fence", "```json\n{\"a\":1}\n```", ""},
			{"in a fence without a language", "```\n[]\n```\n", ""},
			{"in a fence with CRLF", "```json\r\n[]\r\n```\r\n", ""},
			{"empty", "", "is not one JSON document: unexpected EOF"},
			{"empty fence", "```json\n```", "is not one JSON document: unexpected EOF"},
			{"cut off", `{"a":`, "is not one JSON document: unexpected end of JSON input"},
			{"text around the fence", "Here:\n```json\n{}\n```", "is not one JSON document: invalid character 'H' looking for beginning of value"},
			{"open fence", "```json\n{}", "is not one JSON document: invalid character '`' looking for beginning of value"},
			{"only a fence", "```", "is not one JSON document: invalid character '`' looking for beginning of value"},
			{"two documents", "{} {}", "is not one JSON document: invalid character '{' after top-level value"},
		}},
		{
			"JSONSchema", "json_schema",
			`Reply with one JSON document that matches this JSON Schema, and nothing else: {"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`,
			schemed, []check{
				{"matches", `{"name":"Al"}`, ""},
				{"matches in a fence", "```json\n{\"name\":\"Al\"}\n```", ""},
				{"not JSON", "Al", "is not one JSON document: invalid character 'A' looking for beginning of value"},
				{"required left out", `{}`, `does not match the JSON Schema: validating root: required: missing properties: ["name"]`},
			},
		},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			if group.r.Kind() != group.kind || !group.r.Concurrent() || group.r.IsJudge() || !group.r.Shown() {
				t.Errorf("kind %q, concurrent %v, judge %v, shown %v", group.r.Kind(), group.r.Concurrent(), group.r.IsJudge(), group.r.Shown())
			}
			if diff := cmp.Diff(group.description, group.r.Description()); diff != "" {
				t.Errorf("description (-want +got):\n%s", diff)
			}
			for _, tc := range group.checks {
				v, err := group.r.Validate(t.Context(), env(tc.text))
				if err != nil {
					t.Fatal(err)
				}
				want := requirement.Verdict{Passed: tc.reason == "", Reason: tc.reason}
				if diff := cmp.Diff(want, v); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.name, diff)
				}
			}
		})
	}
}

func TestFunc(t *testing.T) {
	t.Parallel()
	r := requirement.Func("be empty", func(text string) (bool, string) { return text == "", "" })
	if r.Kind() != "func" || r.Concurrent() {
		t.Errorf("kind %q, concurrent %v; want func, alone", r.Kind(), r.Concurrent())
	}
	for text, want := range map[string]requirement.Verdict{"": requirement.Pass(), "\r\n": requirement.Fail("be empty")} {
		if v, err := r.Validate(t.Context(), env(text)); v != want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", text, v, err, want)
		}
	}
}

func show(r requirement.Requirement, text string) {
	v, err := r.Validate(context.Background(), requirement.NewEnv(requirement.EnvConfig{Message: content.Assistant(text)}))
	if err != nil {
		fmt.Println(err)
		return
	}
	if v.Passed {
		fmt.Println("pass")
		return
	}
	fmt.Println("fail:", v.Reason)
}

func ExampleMaxWords() {
	r := requirement.MaxWords(3)
	fmt.Println(r.Description())
	show(r, "short enough")
	show(r, "this is too long")
	// Output:
	// Use at most 3 words.
	// pass
	// fail: has 4 words, at most 3 are allowed
}

func ExampleMinWords() {
	show(requirement.MinWords(3), "too short")
	// Output: fail: has 2 words, at least 3 are needed
}

func ExampleContains() {
	show(requirement.Contains("launch"), "The Launch is near")
	show(requirement.Contains("launch", requirement.IgnoreCase()), "The Launch is near")
	// Output:
	// fail: does not contain the text "launch"
	// pass
}

func ExampleExcludes() {
	show(requirement.Excludes("ASAP"), "Please answer ASAP.")
	// Output: fail: contains the text "ASAP", which is not allowed
}

func ExampleRegexp() {
	show(requirement.Regexp(regexp.MustCompile(`\d{4}-\d\d-\d\d`)), "on 1 May")
	// Output: fail: does not match the regular expression \d{4}-\d\d-\d\d
}

func ExampleOneOf() {
	r := requirement.OneOf("positive", "negative")
	show(r, "positive\n")
	show(r, "It is positive.")
	// Output:
	// pass
	// fail: is none of "positive", "negative"
}

func ExampleValidJSON() {
	show(requirement.ValidJSON(), "```json\n{\"name\": \"Alice\"}\n```")
	show(requirement.ValidJSON(), "Alice")
	// Output:
	// pass
	// fail: is not one JSON document: invalid character 'A' looking for beginning of value
}

func ExampleJSONSchema() {
	person, err := schema.Parse("person", []byte(`{"type":"object","required":["name"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	show(requirement.JSONSchema(person), `{"age": 31}`)
	// Output: fail: does not match the JSON Schema: validating root: required: missing properties: ["name"]
}
