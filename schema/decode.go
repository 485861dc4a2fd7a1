package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// DecodeError says why a model's reply is not the value that was asked for. Its text may quote the reply, and is written
// so that a model can do better by it.
type DecodeError struct {
	// Name is that of the schema.
	Name string
	// Truncated says that the reply ends before its document does: a limit on its length, as a rule.
	Truncated bool
	// Problems is what is wrong, at least one.
	Problems []Problem
	// Err is the cause, when a type's own decoding failed.
	Err error
}

func (e *DecodeError) Error() string {
	all := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p.String()
	}
	return strings.Join(all, "; ")
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

func (s Schema) bad(truncated bool, err error, problems ...Problem) *DecodeError {
	return &DecodeError{Name: s.Name(), Truncated: truncated, Problems: problems, Err: err}
}

// Repair finds the document in a model's reply and puts right what models do to JSON, where it is beyond doubt what was
// meant: text or a code fence around it, trailing commas, comments, single quotes, names without quotes, raw line breaks
// in strings, True, False and None, integers such as 3.0, null for an optional property. A document that is cut off, is
// ambiguous or does not match the schema is refused, never guessed at: the error is a *[DecodeError]. The zero Schema takes
// any document.
//
// Of several documents in a reply the one that matches the schema is taken, when there is only one.
func (s Schema) Repair(reply string) (Repaired, error) {
	r, err := s.find(reply)
	if err != nil {
		return Repaired{}, err
	}
	return Repaired{JSON: r.v.append(nil), Fixes: r.fixes}, nil
}

func (s Schema) find(reply string) (reading, *DecodeError) {
	if len(reply) > maxReply {
		return reading{}, s.bad(false, nil, Problem{"", fmt.Sprintf("the reply has more than %d MiB", maxReply>>20)})
	}
	all, bad := read(reply)
	if bad != nil {
		reason := bad.reason
		if !bad.truncated && bad.at > 0 {
			reason += fmt.Sprintf(" (at byte %d)", bad.at)
		}
		return reading{}, s.bad(bad.truncated, nil, Problem{"", reason})
	}
	var fit []reading
	var first *DecodeError
	for _, r := range all {
		r, err := s.fit(r)
		if err == nil {
			fit = append(fit, r)
		} else if first == nil || len(err.Problems) < len(first.Problems) {
			first = err
		}
	}
	switch {
	case len(fit) == 0:
		return reading{}, first
	case len(fit) > 1:
		for _, r := range fit[1:] {
			if !same(r.v, fit[0].v) {
				return reading{}, s.bad(false, nil, Problem{"", fmt.Sprintf("the reply has %d different documents: write one", len(fit))})
			}
		}
	}
	return fit[0], nil
}

// fit returns the document in the form that matches the schema.
func (s Schema) fit(r reading) (reading, *DecodeError) {
	if s.s == nil {
		return r, nil
	}
	if r.v.kind == text && s.s.root.get("type").is("object") {
		if inner, err := read(r.v.text); err == nil && len(inner) == 1 && inner[0].v.kind == object {
			inner[0].fixes = append(append(r.fixes, fixUnwrapped), inner[0].fixes...)
			r = inner[0]
		}
	}
	c := checker{root: s.s.root, steps: new(int)}
	r.v = c.check(r.v, s.s.root, "")
	if len(c.problems) > 0 {
		return r, s.bad(false, nil, c.problems...)
	}
	r.fixes = append(r.fixes, c.fixes...)
	var v any
	if err := json.Unmarshal(r.v.append(nil), &v); err != nil {
		return r, s.bad(false, err, Problem{"", err.Error()})
	}
	if err := s.s.resolved.Validate(v); err != nil {
		return r, s.bad(false, err, Problem{"", err.Error()})
	}
	return r, nil
}

// strictly is how encoding/json decodes, but for what it passes over: names in other case, unknown and repeated names,
// broken UTF-8.
var strictly = jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false),
	jsonv1.MergeWithLegacySemantics(false), jsonv2.RejectUnknownMembers(true), jsonv2.MatchCaseInsensitiveNames(false),
	jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(false), jsonv1.UnmarshalArrayFromAnyLength(false))

// Decode reads a model's reply into what into points to, as [Schema.Repair] finds it. Nothing is lost silently: a
// property that the value has no field for and a number that does not fit are errors. The error is a *[DecodeError] that
// names the paths; into is left as it was then.
func (s Schema) Decode(reply string, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("schema: decode into a %T: want a pointer", into)
	}
	r, bad := s.find(reply)
	if bad != nil {
		return bad
	}
	fresh := reflect.New(target.Type().Elem())
	if err := jsonv2.Unmarshal(r.v.append(nil), fresh.Interface(), strictly); err != nil {
		return s.bad(false, err, misfit(err, r.v))
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

// misfit says what a Go type does not take.
func misfit(err error, document *node) Problem {
	semantic, ok := errors.AsType[*jsonv2.SemanticError](err)
	if !ok {
		return Problem{"", err.Error()}
	}
	path, v := follow(document, semantic.JSONPointer)
	switch {
	case errors.Is(err, jsonv2.ErrUnknownName):
		return Problem{path, "there is no such property"}
	case v != nil && v.kind == number && semantic.GoType != nil && errors.Is(err, strconv.ErrRange):
		return Problem{path, fmt.Sprintf("the number %s is out of the range of %s", clip(v.text), semantic.GoType)}
	case semantic.Err != nil:
		return Problem{path, semantic.Err.Error()}
	case semantic.GoType != nil && v != nil:
		return Problem{path, fmt.Sprintf("%s does not fit into %s", v.quote(), semantic.GoType)}
	}
	return Problem{path, "does not fit"}
}

// follow returns the path of what a JSON pointer leads to, and the value.
func follow(n *node, p jsontext.Pointer) (string, *node) {
	path := ""
	for token := range p.Tokens() {
		if n != nil && n.kind == array {
			path += "[" + token + "]"
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n.list) {
				n = nil
				continue
			}
			n = n.list[i]
			continue
		}
		path = join(path, pathName(token))
		n = n.get(token)
	}
	return path, n
}
