package gbnf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Grammar is a grammar in GBNF. Its first rule is root.
type Grammar struct {
	Text string
	// Loose names the keywords of the schema that the grammar does not enforce, sorted: a document that keeps to the
	// grammar may be refused by the schema over these.
	Loose []string
}

// Error says that there is no grammar for a schema.
type Error struct {
	// Path is a JSON pointer to the part of the schema.
	Path   string
	Reason string
}

func (e *Error) Error() string {
	where := ""
	if e.Path != "" {
		where = " at " + strconv.Quote(e.Path)
	}
	return fmt.Sprintf("the schema%s cannot be written as a grammar: %s", where, e.Reason)
}

// FromSchema returns the grammar of a JSON Schema (draft 2020-12 or draft-07). The error is an *[Error]: the text is no
// schema, nothing could satisfy it, or its grammar would be too large.
func FromSchema(text string) (Grammar, error) {
	return FromPieces("", []Piece{{Schema: text}})
}

// Piece is a piece of a text: Text as it stands, then a document of Schema, "" for none.
type Piece struct{ Text, Schema string }

// FromPieces returns the grammar of the texts that one of the alternatives makes, piece after piece. With a separator
// several may follow one another, with that between them. Errors are those of [FromSchema].
func FromPieces(separator string, alternatives ...[]Piece) (Grammar, error) {
	b := &builder{loose: map[string]bool{}, basics: map[string]bool{}}
	var all []string
	for _, pieces := range alternatives {
		expr, err := b.pieces(pieces)
		if err != nil {
			return Grammar{}, err
		}
		all = append(all, expr)
	}
	if len(all) == 0 {
		return Grammar{}, &Error{Reason: "there is no alternative"}
	}
	top := strings.Join(all, " | ")
	if separator != "" {
		name, err := b.define(place{}, top)
		if err != nil {
			return Grammar{}, err
		}
		top = fmt.Sprintf("%s ( %s %s )*", name, literal(separator), name)
	}
	b.rules = append([]rule{{"root", top}}, b.rules...)
	for _, basic := range basics {
		if b.basics[basic.name] {
			b.rules = append(b.rules, basic)
		}
	}
	var out strings.Builder
	for _, r := range b.rules {
		fmt.Fprintf(&out, "%s ::= %s\n", r.name, r.body)
	}
	if out.Len() > largest {
		return Grammar{}, &Error{Reason: "it is too large"}
	}
	return Grammar{Text: out.String(), Loose: slices.Sorted(maps.Keys(b.loose))}, nil
}

// pieces returns the expression of one alternative. References of a schema lead into that schema alone.
func (b *builder) pieces(pieces []Piece) (string, error) {
	var all []string
	for _, p := range pieces {
		if p.Text != "" {
			all = append(all, literal(p.Text))
		}
		if p.Schema == "" {
			continue
		}
		root, err := parse(p.Schema)
		if err != nil {
			return "", err
		}
		b.root, b.refs = root, map[string]string{}
		expr, err := b.schema(place{}, root)
		if err != nil {
			return "", err
		}
		all = append(all, expr)
	}
	if len(all) == 0 {
		return "", &Error{Reason: "an alternative has nothing in it"}
	}
	return strings.Join(all, " "), nil
}

// Bounds of a grammar. llama.cpp unfolds repetitions, and refuses more than 2000 of one.
const (
	largest     = 512 << 10 // bytes
	mostRules   = 10_000
	mostRepeats = 1000
	mostSteps   = 50_000 // looks at a part of the schema
)

type rule struct{ name, body string }

type builder struct {
	root   *value
	rules  []rule
	names  int
	refs   map[string]string // rules of what $ref points to, by pointer
	loose  map[string]bool
	basics map[string]bool
	size   int
	steps  int
}

// place is where in the schema the builder is.
type place struct {
	path  string
	depth int
	// open are the references that were followed since the last piece of a document: to come upon one again is a loop.
	open []string
}

func (p place) at(parts ...string) place {
	for _, part := range parts {
		p.path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
	}
	p.depth++
	return p
}

// inside is at, for a part that a piece of the document stands for.
func (p place) inside(parts ...string) place {
	p = p.at(parts...)
	p.open = nil
	return p
}

func (p place) fail(format string, args ...any) error {
	return &Error{Path: p.path, Reason: fmt.Sprintf(format, args...)}
}

// basics are rules that do not depend on a schema. Each lists those it needs by its text.
var basics = []rule{
	{"value", `object | array | string | number | boolean | null`},
	{"object", `"{" ws ( string ws ":" ws value ws ( "," ws string ws ":" ws value ws )* )? "}"`},
	{"array", `"[" ws ( value ws ( "," ws value ws )* )? "]"`},
	{"string", `"\"" char* "\""`},
	{"char", `[^"\\\x00-\x1F\x7F] | "\\" ( ["\\/bfnrt] | "u" ( [0-9a-cA-Ce-fE-F] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} ) )`},
	{"number", `"-"? ( "0" | [1-9] [0-9]{0,15} ) ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?`},
	{"integer", `"-"? ( "0" | [1-9] [0-9]{0,15} )`},
	{"boolean", `"true" | "false"`},
	{"null", `"null"`},
	{"ws", `( " " | "\n" [ \t]{0,20} )?`},
	{"date", `[0-9]{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | [12] [0-9] | "3" [01] )`},
	{"clock", `( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{1,9} )? ( "Z" | [-+] ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] )`},
	{"uuid", `[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}`},
}

var needs = map[string][]string{
	"value":  {"object", "array", "string", "number", "boolean", "null"},
	"object": {"ws", "string", "value"},
	"array":  {"ws", "value"},
	"string": {"char"},
}

// basic returns the name of a basic rule, and has it written.
func (b *builder) basic(name string) string {
	if !b.basics[name] {
		b.basics[name] = true
		for _, other := range needs[name] {
			b.basic(other)
		}
	}
	return name
}

// define writes a rule and returns its name.
func (b *builder) define(p place, body string) (string, error) {
	name := b.reserve()
	return name, b.fill(p, name, body)
}

func (b *builder) reserve() string {
	b.names++
	return "r" + strconv.Itoa(b.names)
}

func (b *builder) fill(p place, name, body string) error {
	b.size += len(name) + len(body)
	if len(b.rules) > mostRules || b.size > largest {
		return p.fail("its grammar would be too large")
	}
	b.rules = append(b.rules, rule{name, body})
	return nil
}

// literal is text as GBNF writes it.
func literal(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < ' ' || r == 0x7F:
			fmt.Fprintf(&out, `\x%02X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// one makes an expression of several that stands for one of them.
func one(all []string) string {
	if len(all) == 1 {
		return all[0]
	}
	return "( " + strings.Join(all, " | ") + " )"
}

// schema returns the expression of a schema.
func (b *builder) schema(p place, s *value) (string, error) {
	if b.steps++; b.steps > mostSteps {
		return "", p.fail("its grammar would be too large")
	}
	if p.depth > deepest {
		return "", p.fail("it is nested too deeply")
	}
	switch {
	case s.is('t'):
		return b.basic("value"), nil
	case s.is('f'):
		return "", p.fail("nothing satisfies it")
	case !s.is('{'):
		return "", p.fail("it is neither an object nor a boolean")
	}
	for _, keyword := range inexpressible {
		if s.get(keyword) != nil {
			b.loose[keyword] = true
		}
	}
	if s.get("$ref") != nil && !b.beside(s, "$ref") {
		return b.reference(p, s.get("$ref"))
	}
	if s.get("$ref") != nil || s.get("allOf") != nil {
		merged, p, err := b.flatten(p, s)
		if err != nil {
			return "", err
		}
		return b.schema(p, merged)
	}
	for _, keyword := range [...]string{"anyOf", "oneOf"} {
		if s.get(keyword) != nil {
			return b.anyOf(p, s, keyword)
		}
	}
	if s.get("const") != nil || s.get("enum") != nil {
		return b.literals(p, s)
	}
	return b.typed(p, s)
}

// inexpressible are the keywords that are left out, wherever they stand.
var inexpressible = []string{
	"not", "if", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames", "patternProperties", "contains",
	"pattern", "multipleOf", "$dynamicRef",
}

// annotations are the keywords that constrain nothing.
var annotations = []string{
	"$schema", "$id", "id", "$comment", "$defs", "definitions", "$anchor", "$vocabulary", "title", "description", "default",
	"examples", "example", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema",
	"then", "else", "minContains", "maxContains", // parts of others
}

// beside reports whether s has constraints besides the one of a keyword.
func (b *builder) beside(s *value, keyword string) bool {
	return slices.ContainsFunc(s.members, func(m member) bool { return m.name != keyword && !slices.Contains(annotations, m.name) })
}

// reference returns the rule of what a $ref points to, written once.
func (b *builder) reference(p place, ref *value) (string, error) {
	if slices.Contains(p.open, ref.text) {
		return "", p.fail("the reference %q leads back to itself", ref.text)
	}
	if name, ok := b.refs[ref.text]; ok {
		return name, nil
	}
	target, err := b.resolve(p, ref)
	if err != nil {
		return "", err
	}
	name := b.reserve()
	b.refs[ref.text] = name
	open := append(slices.Clone(p.open), ref.text)
	// The depth goes on: a chain of references is as deep as what it leads through.
	body, err := b.schema(place{path: strings.TrimPrefix(ref.text, "#"), depth: p.depth + 1, open: open}, target)
	if err != nil {
		return "", err
	}
	return name, b.fill(p, name, body)
}

// resolve finds what a $ref points to.
func (b *builder) resolve(p place, ref *value) (*value, error) {
	if !ref.is('"') || ref.text != "#" && !strings.HasPrefix(ref.text, "#/") {
		return nil, p.fail("a reference must be a JSON pointer into the schema, such as #/$defs/name")
	}
	v := b.root
	for part := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(ref.text, "#"), "/"), "/") {
		if ref.text == "#" {
			break
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		next := v.get(part)
		if i, err := strconv.Atoi(part); next == nil && err == nil && v.is('[') && i >= 0 && i < len(v.items) {
			next = v.items[i]
		}
		if next == nil {
			return nil, p.fail("the reference %q leads nowhere", ref.text)
		}
		v = next
	}
	return v, nil
}

// literals is an expression of the values that const or enum list.
func (b *builder) literals(p place, s *value) (string, error) {
	values := s.get("enum").list()
	if c := s.get("const"); c != nil {
		values = []*value{c}
	}
	types := s.get("type").strings()
	var all []string
	for _, v := range values {
		name := v.typeName()
		if len(types) == 0 || slices.Contains(types, name) || name == "integer" && slices.Contains(types, "number") {
			all = append(all, literal(v.String()))
		}
	}
	for _, m := range s.members {
		if m.name != "const" && m.name != "enum" && m.name != "type" && !slices.Contains(annotations, m.name) {
			b.loose[m.name] = true // a value of the list may break it
		}
	}
	if len(all) == 0 {
		return "", p.fail("nothing satisfies it")
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return b.define(p, strings.Join(all, " | "))
}

func (v *value) list() []*value {
	if v.is('[') {
		return v.items
	}
	return nil
}
