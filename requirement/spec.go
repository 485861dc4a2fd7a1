package requirement

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/mellea-go/mellea/schema"
)

// specKinds lists the kinds that [Parse] knows, in the order errors show them.
var specKinds = []string{
	"max-words:N", "min-words:N", "contains:TEXT", "excludes:TEXT", "regex:PATTERN", "one-of:A|B", "json", "schema:FILE",
}

// SpecError says that a text is not the description of a check.
type SpecError struct {
	// Spec is the text.
	Spec string
	// Reason says what is wrong with it and what would be right.
	Reason string
	// Err is the cause, nil when the text itself is at fault.
	Err error
}

func (e *SpecError) Error() string { return fmt.Sprintf("check %q: %s", e.Spec, e.Reason) }

// Unwrap returns the cause.
func (e *SpecError) Unwrap() error { return e.Err }

// Parse returns the ready-made check that spec describes, as a command line gives it: max-words:N, min-words:N,
// contains:TEXT, excludes:TEXT, regex:PATTERN, one-of:A|B, json or schema:FILE. Everything behind the first colon is
// the argument. The file of a schema is read by readFile, for example [os.ReadFile]; nil knows no files. The error is a
// *[SpecError].
func Parse(spec string, readFile func(name string) ([]byte, error)) (Requirement, error) {
	kind, arg, hasArg := strings.Cut(spec, ":")
	form := ""
	for _, k := range specKinds {
		if name, _, _ := strings.Cut(k, ":"); name == kind {
			form = k
		}
	}
	switch wantArg := strings.Contains(form, ":"); {
	case form == "":
		return Requirement{}, &SpecError{Spec: spec, Reason: unknownKind(kind)}
	case wantArg && arg == "":
		return Requirement{}, &SpecError{Spec: spec, Reason: "write it as " + form}
	case !wantArg && hasArg:
		return Requirement{}, &SpecError{Spec: spec, Reason: "it takes no argument, write " + form}
	}
	r, err := build(kind, arg, readFile)
	if err != nil {
		return Requirement{}, &SpecError{Spec: spec, Reason: err.Error() + ", write it as " + form, Err: err}
	}
	return r, nil
}

var errNoFiles = errors.New("there are no files to read here")

// build returns the check of a known kind.
func build(kind, arg string, readFile func(string) ([]byte, error)) (Requirement, error) {
	switch kind {
	case "max-words", "min-words":
		n, err := strconv.ParseUint(arg, 10, 31)
		if err != nil {
			return Requirement{}, fmt.Errorf("%q is not a number of words: %w", arg, errors.Unwrap(err))
		}
		if kind == "max-words" {
			return MaxWords(int(n)), nil
		}
		return MinWords(int(n)), nil
	case "contains":
		return Contains(arg), nil
	case "excludes":
		return Excludes(arg), nil
	case "regex":
		re, err := regexp.Compile(arg)
		if err != nil {
			return Requirement{}, err
		}
		return Regexp(re), nil
	case "one-of":
		return OneOf(strings.Split(arg, "|")...), nil
	case "schema":
		if readFile == nil {
			return Requirement{}, errNoFiles
		}
		text, err := readFile(arg)
		if err != nil {
			return Requirement{}, err
		}
		s, err := schema.Parse(strings.TrimSuffix(filepath.Base(arg), filepath.Ext(arg)), text)
		if err != nil {
			return Requirement{}, err
		}
		return JSONSchema(s), nil
	default: // json
		return ValidJSON(), nil
	}
}

func unknownKind(kind string) string {
	best, nearest := 3, "" // more than two slips is another word
	for _, k := range specKinds {
		name, _, _ := strings.Cut(k, ":")
		if d := distance(kind, name, best); d < best {
			best, nearest = d, name
		}
	}
	reason := fmt.Sprintf("there is no check %q", kind)
	if nearest != "" {
		reason += fmt.Sprintf(", did you mean %q?", nearest)
	}
	return reason + " (known: " + strings.Join(specKinds, ", ") + ")"
}

// distance returns how many letters must be added, removed or changed to make b of a (Levenshtein 1966), or enough when
// the lengths alone say that it is at least that.
func distance(a, b string, enough int) int {
	if len(a)-len(b) >= enough || len(b)-len(a) >= enough {
		return enough
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
