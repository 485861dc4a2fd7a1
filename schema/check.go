package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a document. It may quote the document.
type Problem struct {
	// Path leads to the value at fault: "user.addresses[2].zip"; "" is the whole document.
	Path string
	// Reason says what is wrong: "want a string, got a number".
	Reason string
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Reason
	}
	return p.Path + ": " + p.Reason
}

// maxProblems bounds what is reported of one document: a model does not read more.
const maxProblems = 10

// checker holds a document against a schema and finds the words for what is wrong. It knows the keywords that say
// something about one value; the validator behind it knows all.
type checker struct {
	root     *node // the schema
	problems []Problem
	fixes    []string
	steps    *int // over all choices
}

// maxSteps bounds the work: choices within choices multiply.
const maxSteps = 1 << 20

func (c *checker) say(path, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{path, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) fixed(what string) {
	if !slices.Contains(c.fixes, what) {
		c.fixes = append(c.fixes, what)
	}
}

// check returns the value in the form that fits the schema: integers without a fraction, optional properties that are
// null left out.
func (c *checker) check(v, s *node, path string) *node {
	if *c.steps++; *c.steps > maxSteps || len(c.problems) == maxProblems {
		return v
	}
	if s.kind == boolean {
		if s.text == "false" {
			c.say(path, "is not allowed")
		}
		return v
	}
	before := len(c.problems)
	for _, m := range s.members {
		if len(c.problems) > before {
			return v // what follows would only repeat it
		}
		switch m.name {
		case "$ref":
			if target := c.resolve(m.v.text); target != nil {
				v = c.check(v, target, path)
			}
		case "type":
			v = c.typed(v, m.v, path)
		case "allOf":
			for _, each := range m.v.list {
				v = c.check(v, each, path)
			}
		case "anyOf", "oneOf":
			v = c.choice(v, m.v.list, path)
		case "enum":
			if !slices.ContainsFunc(m.v.list, func(e *node) bool { return same(e, v) }) {
				c.say(path, "want one of %s, got %s", alternatives(m.v.list), v.quote())
			}
		case "const":
			if !same(m.v, v) {
				c.say(path, "want %s, got %s", m.v.quote(), v.quote())
			}
		}
	}
	if len(c.problems) > before {
		return v
	}
	switch v.kind {
	case object:
		return c.object(v, s, path)
	case array:
		return c.array(v, s, path)
	case number:
		c.number(v, s, path)
	case text:
		c.text(v, s, path)
	case null, boolean:
	}
	return v
}

// resolve returns what a reference into the schema leads to.
func (c *checker) resolve(ref string) *node {
	n := c.root
	for _, token := range strings.Split(ref, "/")[1:] {
		if n == nil {
			return nil
		}
		if n.kind == array {
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n.list) {
				return nil
			}
			n = n.list[i]
			continue
		}
		n = n.get(unescape(token))
	}
	if n != nil && n.kind != object && n.kind != boolean {
		return nil
	}
	return n
}

// quote shows a value in few words.
func (n *node) quote() string {
	if n.kind == object || n.kind == array {
		return n.kind.name()
	}
	return clip(n.String())
}

func alternatives(all []*node) string {
	const most = 20
	words := make([]string, 0, most)
	for i, n := range all {
		if i == most {
			words = append(words, fmt.Sprintf("%d others", len(all)-most))
			break
		}
		words = append(words, n.quote())
	}
	return strings.Join(words, ", ")
}

// same compares two values, numbers by what they say.
func same(a, b *node) bool {
	if a.kind != b.kind || len(a.list) != len(b.list) || len(a.members) != len(b.members) {
		return false
	}
	switch a.kind {
	case number:
		if a.text == b.text {
			return true
		}
		x, errX := strconv.ParseFloat(a.text, 64)
		y, errY := strconv.ParseFloat(b.text, 64)
		return errX == nil && errY == nil && x == y
	case text, boolean:
		return a.text == b.text
	case array:
		for i := range a.list {
			if !same(a.list[i], b.list[i]) {
				return false
			}
		}
	case object:
		for _, m := range a.members {
			if o := b.get(m.name); o == nil || !same(m.v, o) {
				return false
			}
		}
	case null:
	}
	return true
}

var articles = map[string]string{"string": "a string", "number": "a number", "integer": "an integer", "boolean": "a boolean",
	"array": "an array", "object": "an object", "null": "null"}

func (c *checker) typed(v, want *node, path string) *node {
	all := want.list
	if want.kind == text {
		all = []*node{want}
	}
	got := v.typeName()
	names := make([]string, 0, len(all))
	for _, t := range all {
		if t.text == got || t.text == "number" && got == "integer" {
			if t.text == "integer" || t.text == "number" && want.holds("integer") {
				return c.integer(v)
			}
			return v
		}
		names = append(names, articles[t.text])
	}
	described := v.kind.name()
	if v.kind == number && slices.ContainsFunc(all, func(t *node) bool { return t.text == "integer" }) {
		described = clip(v.text)
	}
	c.say(path, "want %s, got %s", strings.Join(names, " or "), described)
	return v
}

// integer writes a number that is one as an integer.
func (c *checker) integer(v *node) *node {
	literal, ok := integral(v.text)
	if !ok || literal == v.text {
		return v
	}
	c.fixed(fixInteger)
	return numberNode(literal)
}

// choice finds the alternative that fits. When none does, it tells what is wrong by the only one of the value's type.
func (c *checker) choice(v *node, options []*node, path string) *node {
	var near *checker
	fits := 0
	for _, s := range options {
		trial := &checker{root: c.root, steps: c.steps}
		out := trial.check(v, s, path)
		if len(trial.problems) == 0 {
			for _, f := range trial.fixes {
				c.fixed(f)
			}
			return out
		}
		if !slices.ContainsFunc(trial.problems, func(p Problem) bool { return p.Path == path && strings.HasPrefix(p.Reason, "want ") }) {
			near = trial
			fits++
		}
	}
	if fits == 1 {
		for _, p := range near.problems {
			c.say(p.Path, "%s", p.Reason)
		}
		return v
	}
	c.say(path, "%s is none of the %d things that it may be", v.quote(), len(options))
	return v
}

func (c *checker) object(v, s *node, path string) *node {
	properties, patterns, rest := s.get("properties"), s.get("patternProperties"), s.get("additionalProperties")
	required := s.get("required")
	out := &node{kind: object}
	for _, m := range v.members {
		at := join(path, pathName(m.name))
		switch p := properties.get(m.name); {
		case p != nil && m.v.kind == null && !required.holds(m.name) && !c.accepts(m.v, p):
			c.fixed(fixNull)
			continue
		case p != nil:
			m.v = c.check(m.v, p, at)
		case patterns != nil || rest == nil:
		case rest.kind == boolean && rest.text == "false":
			c.say(at, "there is no such property; want %s", names(properties))
		default:
			m.v = c.check(m.v, rest, at)
		}
		out.members = append(out.members, m)
	}
	if required != nil {
		for _, r := range required.list {
			if v.get(r.text) == nil {
				c.say(join(path, pathName(r.text)), "is missing")
			}
		}
	}
	return out
}

func names(properties *node) string {
	if properties == nil || len(properties.members) == 0 {
		return "none"
	}
	all := make([]*node, len(properties.members))
	for i, m := range properties.members {
		all[i] = textNode(m.name)
	}
	return alternatives(all)
}

func (c *checker) accepts(v, s *node) bool {
	trial := &checker{root: c.root, steps: c.steps}
	trial.check(v, s, "")
	return len(trial.problems) == 0
}

var plainName = regexp.MustCompile(`^[\pL_$][\pL\pN_$-]*$`)

// pathName writes a name of a property for a path.
func pathName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return strconv.Quote(clip(name))
}

func (c *checker) array(v, s *node, path string) *node {
	if n, ok := bound(s, "minItems"); ok && float64(len(v.list)) < n {
		c.say(path, "want at least %v items, got %d", n, len(v.list))
	}
	if n, ok := bound(s, "maxItems"); ok && float64(len(v.list)) > n {
		c.say(path, "want at most %v items, got %d", n, len(v.list))
	}
	items := s.get("items")
	if items == nil || items.kind == array || s.get("prefixItems") != nil {
		return v
	}
	out := &node{kind: array, list: make([]*node, len(v.list))}
	for i, item := range v.list {
		out.list[i] = c.check(item, items, path+"["+strconv.Itoa(i)+"]")
	}
	return out
}

func bound(s *node, keyword string) (float64, bool) {
	n := s.get(keyword)
	if n == nil || n.kind != number {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.text, 64)
	return f, err == nil
}

func (c *checker) number(v, s *node, path string) {
	got, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		c.say(path, "the number %s is too large", clip(v.text))
		return
	}
	for _, each := range []struct {
		keyword, words string
		bad            func(bound float64) bool
	}{
		{"minimum", "at least", func(b float64) bool { return got < b }},
		{"maximum", "at most", func(b float64) bool { return got > b }},
		{"exclusiveMinimum", "more than", func(b float64) bool { return got <= b }},
		{"exclusiveMaximum", "less than", func(b float64) bool { return got >= b }},
	} {
		if b, ok := bound(s, each.keyword); ok && each.bad(b) {
			c.say(path, "want %s %s, got %s", each.words, s.get(each.keyword).text, clip(v.text))
		}
	}
}

func (c *checker) text(v, s *node, path string) {
	length := float64(utf8.RuneCountInString(v.text))
	if n, ok := bound(s, "minLength"); ok && length < n {
		c.say(path, "want at least %v characters, got %v", n, length)
	}
	if n, ok := bound(s, "maxLength"); ok && length > n {
		c.say(path, "want at most %v characters, got %v", n, length)
	}
	switch format := s.get("format"); {
	case format.is("date-time"):
		if _, err := time.Parse(time.RFC3339, v.text); err != nil {
			c.say(path, "want a date and time such as 2006-01-02T15:04:05Z, got %s", v.quote())
		}
	case format.is("date"):
		if _, err := time.Parse(time.DateOnly, v.text); err != nil {
			c.say(path, "want a date such as 2006-01-02, got %s", v.quote())
		}
	}
}
