package requirement_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mellea-go/mellea/requirement"
)

var specFiles = fstest.MapFS{
	"person.json": {Data: []byte(`{"type":"object","required":["name"]}`)},
	"broken.json": {Data: []byte(`{"type":`)},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ spec, kind, good, bad string }{
		{"max-words:2", "max_words", "one two", "one two three"},
		{"min-words:2", "min_words", "one two", "one"},
		{"contains:a:b", "contains", "xa:bx", "ab"},
		{"contains: ", "contains", "a b", "ab"},
		{"excludes:ASAP", "excludes", "soon", "ASAP"},
		{`regex:^\d+:\d+$`, "regexp", "10:30", "10.30"},
		{"one-of:yes|no", "one_of", "no", "maybe"},
		{"one-of:yes", "one_of", "yes", "no"},
		{"json", "valid_json", "{}", "{"},
		{"schema:person.json", "json_schema", `{"name":1}`, "{}"},
	} {
		t.Run(tc.spec, func(t *testing.T) {
			t.Parallel()
			r, err := requirement.Parse(tc.spec, specFiles.ReadFile)
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind() != tc.kind {
				t.Errorf("Kind() = %q, want %q", r.Kind(), tc.kind)
			}
			for text, want := range map[string]bool{tc.good: true, tc.bad: false} {
				if v, err := r.Validate(t.Context(), env(text)); v.Passed != want || err != nil {
					t.Errorf("%q: got %+v, %v, want passed %v", text, v, err, want)
				}
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, spec, want string
		cause            error
	}{
		{"unknown", "foo:1", `check "foo:1": there is no check "foo" (known: max-words:N, `, nil},
		{"misspelled", "max-wrods:3", `did you mean "max-words"?`, nil},
		{"misspelled by an underscore", "min_words:3", `did you mean "min-words"?`, nil},
		{"misspelled short", "jsn", `did you mean "json"?`, nil},
		{"empty", "", `there is no check "" (known: `, nil},
		{"no number", "max-words:many", `"many" is not a number of words: invalid syntax, write it as max-words:N`, nil},
		{"negative", "max-words:-1", "is not a number of words", nil},
		{"beyond bounds", "max-words:99999999999999999999", "value out of range", nil},
		{"no argument", "max-words", "write it as max-words:N", nil},
		{"empty argument", "contains:", "write it as contains:TEXT", nil},
		{"an argument too many", "json:x", "it takes no argument, write json", nil},
		{"not a pattern", "regex:(", "missing closing ): `(`, write it as regex:PATTERN", nil},
		{"no such file", "schema:none.json", "none.json", fs.ErrNotExist},
		{"not a schema", "schema:broken.json", "schema broken: not a usable JSON Schema", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := requirement.Parse(tc.spec, specFiles.ReadFile)
			var se *requirement.SpecError
			if !errors.As(err, &se) || se.Spec != tc.spec || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want a *SpecError that says %q", err, tc.want)
			}
			if tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("%v does not wrap %v", err, tc.cause)
			}
		})
	}
	if _, err := requirement.Parse("schema:person.json", nil); err == nil || !strings.Contains(err.Error(), "no files") {
		t.Errorf("got %v without a way to read files", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"max-words:3", "json", "one-of:a|b", "regex:(", "schema:person.json", "max-wrods", ":", "contains::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		r, err := requirement.Parse(spec, specFiles.ReadFile)
		if err != nil {
			var se *requirement.SpecError
			if !errors.As(err, &se) || se.Spec != spec || se.Reason == "" {
				t.Errorf("%q: %v, want a *SpecError", spec, err)
			}
			return
		}
		if _, err := r.Validate(t.Context(), env("some text")); err != nil || !r.Shown() {
			t.Errorf("%q: got a check that does not work: %v", spec, err)
		}
	})
}

func ExampleParse() {
	r, err := requirement.Parse("max-words:100", nil) // nil: no files for schema:FILE
	fmt.Println(r.Kind(), r.Description(), err)

	_, err = requirement.Parse("max-wrods:100", nil)
	fmt.Println(err)
	// Output:
	// max_words Use at most 100 words. <nil>
	// check "max-wrods:100": there is no check "max-wrods", did you mean "max-words"? (known: max-words:N, min-words:N, contains:TEXT, excludes:TEXT, regex:PATTERN, one-of:A|B, json, schema:FILE)
}
