package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// TypeError says that a Go type has no JSON Schema.
type TypeError struct {
	// Type is the type that was asked for.
	Type reflect.Type
	// Path leads to the part at fault: "addresses[].zip", with {} for the values of a map; "" is the type itself.
	Path string
	// Reason says what is wrong with the part, and what to do about it.
	Reason string
}

func (e *TypeError) Error() string {
	at := e.Type.String()
	if e.Path != "" {
		at += " at " + e.Path
	}
	return "schema: " + at + ": " + e.Reason
}

// Option configures [For].
type Option func(*inference)

// Named names the schema. The default is the name of the type, or "response" when it has none.
func Named(name string) Option { return func(x *inference) { x.name = name } }

// Type gives the JSON Schema of one type, wherever it occurs, in place of the one that [For] would find: for a type that
// encodes itself, an interface with known implementations, or a type of another package. It stands alone: it may have
// no $ref.
func Type[T any](text string) Option {
	t := reflect.TypeFor[T]()
	return func(x *inference) { x.given[t] = text }
}

// For returns the JSON Schema of the JSON that encoding/json makes of a T, in the order of its fields. The error is a
// *[TypeError] that names the path of what has none.
//
//   - A struct is an object without further properties. The tag `jsonschema:"…"` describes a field. A field is optional
//     when it has omitempty or omitzero, is a pointer, or belongs to an embedded pointer; a pointer without omitempty may be
//     null, too.
//   - The tag `enum:"a,b,c"` lists what a field, or an item of it, may be. A type with a method Enum that returns a slice of
//     itself, or a kind of string whose Enum returns strings, is one of these everywhere.
//   - Slices, arrays, maps and their elements are never null. A slice of bytes is a string in base64.
//   - [time.Time] is a string of format date-time, a [time.Duration] an integer of nanoseconds, [json.RawMessage] and any
//     any value, a type with UnmarshalText a string.
//   - A type that contains itself is a definition that is referred to.
//
// Other interfaces, functions, channels, complex numbers and types with a JSON of their own have none, unless [Type]
// says so. A schema without options is made once for each type.
func For[T any](opts ...Option) (Schema, error) { return ForType(reflect.TypeFor[T](), opts...) }

// MustFor is [For] for variables of a package: it panics where there is no schema.
func MustFor[T any](opts ...Option) Schema {
	s, err := For[T](opts...)
	if err != nil {
		panic(err)
	}
	return s
}

var inferred sync.Map // of reflect.Type to Schema

// ForType is [For] of a type that is known at run time only.
func ForType(t reflect.Type, opts ...Option) (Schema, error) {
	if t == nil {
		t = reflect.TypeFor[any]()
	}
	if len(opts) == 0 {
		if s, ok := inferred.Load(t); ok {
			return s.(Schema), nil
		}
	}
	x := &inference{root: t, given: map[reflect.Type]string{}, names: map[reflect.Type]string{}, taken: map[string]bool{}}
	for _, o := range opts {
		o(x)
	}
	s, err := x.schema()
	if err == nil && len(opts) == 0 {
		inferred.Store(t, s)
	}
	return s, err
}

// inference is the work on one type.
type inference struct {
	name  string
	root  reflect.Type
	given map[reflect.Type]string

	open  []reflect.Type          // the types being described, outermost first
	names map[reflect.Type]string // the definitions: of types that contain themselves
	taken map[string]bool
	defs  []member
	count int
}

// maxParts bounds a schema: types that use others twice each grow by the power of two.
const maxParts = 10000

func (x *inference) schema() (Schema, error) {
	n, err := x.of(x.root, "")
	if err != nil {
		return Schema{}, err
	}
	if len(x.defs) > 0 {
		n.set("$defs", record(x.defs...))
	}
	name := x.name
	if name == "" {
		name = typeName(x.root)
	}
	return Parse(name, n.append(nil))
}

// typeName makes a name of letters, digits and "_" for a type, "" for one without a name.
func typeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == "" {
		return ""
	}
	name, params, generic := strings.Cut(t.Name(), "[")
	if generic {
		for p := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ',' || r == '[' || r == ']' }) {
			name += "_" + p[strings.LastIndexAny(p, "./")+1:]
		}
	}
	name = strings.Map(func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return -1
	}, name)
	return name[:min(len(name), 64)]
}

func (x *inference) fail(path, format string, args ...any) error {
	return &TypeError{Type: x.root, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// of describes a type. The pointer to a type is described as the type.
func (x *inference) of(t reflect.Type, path string) (*node, error) {
	for t.Kind() == reflect.Pointer {
		if _, ok := x.given[t]; ok {
			break
		}
		t = t.Elem()
	}
	if x.count++; x.count > maxParts {
		return nil, x.fail(path, "has more than %d parts: use fewer types, or ones that are smaller", maxParts)
	}
	n, err := x.known(t, path)
	if n != nil || err != nil {
		return n, err
	}
	if t.Name() == "" {
		return x.composite(t, path)
	}
	if name, ok := x.names[t]; ok {
		return ref(name), nil
	}
	for i, open := range x.open {
		if open == t {
			return ref(x.refer(t, i)), nil
		}
	}
	x.open = append(x.open, t)
	n, err = x.composite(t, path)
	x.open = x.open[:len(x.open)-1]
	if err != nil {
		return nil, err
	}
	if name, ok := x.names[t]; ok && name != "#" {
		x.defs = append(x.defs, member{name, n})
		return ref(name), nil
	}
	return n, nil
}

func ref(name string) *node {
	if name != "#" {
		name = "#/$defs/" + name
	}
	return record(member{"$ref", textNode(name)})
}

// refer makes a definition of a type that contains itself. The outermost type needs none.
func (x *inference) refer(t reflect.Type, depth int) string {
	name := "#"
	if depth > 0 || x.isWrapped() {
		base := typeName(t)
		name = base
		for i := 2; x.taken[name] || name == ""; i++ {
			name = base + "_" + strconv.Itoa(i)
		}
		x.taken[name] = true
	}
	x.names[t] = name
	return name
}

// isWrapped reports whether the schema of the outermost named type is not the root of the document.
func (x *inference) isWrapped() bool {
	t := x.root
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return len(x.open) > 0 && x.open[0] != t
}

var (
	rawType      = reflect.TypeFor[json.RawMessage]()
	numberType   = reflect.TypeFor[json.Number]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	bigIntType   = reflect.TypeFor[big.Int]()
	levelType    = reflect.TypeFor[slog.Level]()

	marshaler       = reflect.TypeFor[json.Marshaler]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// known describes the types whose JSON does not follow from their kind; nil are the others.
func (x *inference) known(t reflect.Type, path string) (*node, error) {
	if s, ok := x.given[t]; ok {
		n, err := parseNode([]byte(s))
		if err == nil && n.kind != object {
			err = fmt.Errorf("is %s, want an object", n.kind.name())
		}
		if err != nil {
			return nil, x.fail(path, "the schema given for %s is none: %v", t, err)
		}
		if len(n.refs(nil)) > 0 {
			return nil, x.fail(path, "the schema given for %s has a $ref: write what it refers to in its place", t)
		}
		return n, nil
	}
	if enum, ok := enumMethod(t); ok {
		return x.enumOf(t, enum, path)
	}
	switch t {
	case rawType:
		return record(), nil
	case numberType:
		return typed("number"), nil
	case timeType:
		return record(member{"type", textNode("string")}, member{"format", textNode("date-time")}), nil
	case durationType:
		return record(member{"type", textNode("integer")}, member{"description", textNode("a duration in nanoseconds")}), nil
	case bigIntType:
		return typed("integer"), nil
	case levelType:
		return typed("string"), nil
	}
	if implements(t, unmarshaler) || implements(t, marshaler) {
		return nil, x.fail(path, "%s encodes itself to JSON, so its schema cannot be seen: give it with schema.Type", t)
	}
	if implements(t, textUnmarshaler) || implements(t, textMarshaler) {
		return typed("string"), nil
	}
	return nil, nil
}

// refs appends the targets of all $ref in a schema.
func (n *node) refs(all []string) []string {
	for _, v := range n.list {
		all = v.refs(all)
	}
	for _, m := range n.members {
		if m.name == "$ref" && m.v.kind == text {
			all = append(all, m.v.text)
		}
		all = m.v.refs(all)
	}
	return all
}

// enumMethod returns the method Enum of a type when it lists values: strings, or values of the type itself. A struct that
// embeds a type with such a method is none of its values.
func enumMethod(t reflect.Type) (reflect.Value, bool) {
	if t.Kind() == reflect.Interface {
		return reflect.Value{}, false
	}
	m := reflect.New(t).MethodByName("Enum")
	if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() != 1 || m.Type().Out(0).Kind() != reflect.Slice {
		return reflect.Value{}, false
	}
	elem := m.Type().Out(0).Elem()
	return m, elem == t || elem.Kind() == reflect.String && t.Kind() == reflect.String
}

// enumOf describes a type by its method Enum.
func (x *inference) enumOf(t reflect.Type, enum reflect.Value, path string) (*node, error) {
	values := enum.Call(nil)[0]
	var all []*node
	for i := range values.Len() {
		encoded, err := json.Marshal(values.Index(i).Interface())
		if err != nil {
			return nil, x.fail(path, "value %d of the Enum of %s has no JSON: %v", i, t, err)
		}
		n, err := parseNode(encoded)
		if err != nil {
			return nil, x.fail(path, "value %d of the Enum of %s has no JSON: %v", i, t, err)
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		return nil, x.fail(path, "the Enum of %s is empty, so no value could be right", t)
	}
	return enumNode(all), nil
}

// enumNode describes the values, with their type when they have one in common.
func enumNode(all []*node) *node {
	n := record()
	if name, ok := commonType(all); ok {
		n.set("type", textNode(name))
	}
	n.set("enum", list(all...))
	return n
}

func commonType(all []*node) (string, bool) {
	name := ""
	for _, v := range all {
		t := v.typeName()
		switch {
		case name == "" || name == t:
			name = t
		case name == "integer" && t == "number" || name == "number" && t == "integer":
			name = "number"
		default:
			return "", false
		}
	}
	return name, true
}

// typeName returns the JSON Schema type of a value.
func (n *node) typeName() string {
	switch n.kind {
	case boolean:
		return "boolean"
	case number:
		if isInteger(n.text) {
			return "integer"
		}
		return "number"
	case text:
		return "string"
	case array:
		return "array"
	case object:
		return "object"
	case null:
	}
	return "null"
}

func isInteger(literal string) bool {
	if !strings.ContainsAny(literal, ".eE") {
		return true
	}
	_, ok := integral(literal)
	return ok
}
