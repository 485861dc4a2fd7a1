package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mellea-go/mellea/schema"
)

// kinds is a set of JSON types; the empty set stands for all of them.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindInteger
	kindNumber
	kindString
	kindArray
	kindObject
)

var kindNames = []struct {
	kind kinds
	name string // in JSON Schema
	text string // in words
}{
	{kindNull, "null", "null"},
	{kindBoolean, "boolean", "true or false"},
	{kindInteger, "integer", "an integer"},
	{kindNumber, "number", "a number"},
	{kindString, "string", "a text"},
	{kindArray, "array", "a list"},
	{kindObject, "object", "an object"},
}

// has reports whether a value of kind k, one of the set, is allowed. Every integer is a number.
func (s kinds) has(k kinds) bool {
	return s == 0 || s&k != 0 || k == kindInteger && s&kindNumber != 0
}

// wants reports whether k is named, and not merely allowed.
func (s kinds) wants(k kinds) bool { return s&k != 0 }

func (s kinds) String() string {
	var all []string
	for _, k := range kindNames {
		if s&k.kind != 0 {
			all = append(all, k.text)
		}
	}
	if len(all) == 0 {
		return "a value"
	}
	return strings.Join(all, " or ")
}

// shape is what of a schema coercion needs. Validation is left to the schema itself: where a shape does not know a keyword,
// it is lenient.
type shape struct {
	kinds      kinds
	properties map[string]*shape
	names      []string // of properties, sorted
	required   map[string]bool
	closed     bool   // no properties but these
	additional *shape // of other properties, nil for any
	items      *shape // nil for any
	enum       []any
	choices    []*shape // anyOf, oneOf
	fallback   any      // the default, nil for none
}

// shapes builds the shapes of one document. References are followed once, so a recursive schema becomes a graph.
type shapes struct {
	root    any
	refs    map[string]*shape
	pending map[*shape]*extension
}

// An extension is a reference with other keywords beside it. It is laid over what it refers to when all shapes are there:
// before, that may be half made.
type extension struct {
	of   *shape
	with map[string]any
	done bool
}

func newShape(s schema.Schema) (*shape, error) {
	if s.IsZero() {
		return &shape{kinds: kindObject}, nil
	}
	root, err := decode(s.JSON())
	if err != nil {
		return nil, err
	}
	b := shapes{root: root, refs: map[string]*shape{}, pending: map[*shape]*extension{}}
	out := b.of(root)
	for n := -1; n != len(b.pending); { // what is extended may bring more
		n = len(b.pending)
		for _, s := range slices.Collect(maps.Keys(b.pending)) {
			b.extend(s)
		}
	}
	top := *out
	top.kinds |= kindObject // arguments are an object, whatever else would do
	return &top, nil
}

func (b shapes) of(v any) *shape {
	if obj, ok := v.(map[string]any); ok && len(obj) == 1 {
		if ref, ok := obj["$ref"].(string); ok {
			return b.follow(ref)
		}
	}
	s := &shape{}
	b.fill(s, v)
	return s
}

// extend completes s where it is an extension.
func (b shapes) extend(s *shape) {
	e := b.pending[s]
	if e == nil || e.done {
		return
	}
	e.done = true
	b.extend(e.of)
	*s = *e.of
	b.keywords(s, e.with)
}

func (b shapes) fill(s *shape, v any) {
	obj, ok := v.(map[string]any)
	if !ok {
		return // true, false: validation knows
	}
	if ref, ok := obj["$ref"].(string); ok {
		b.pending[s] = &extension{of: b.follow(ref), with: obj}
		return
	}
	b.keywords(s, obj)
}

func (b shapes) keywords(s *shape, obj map[string]any) {
	switch t := obj["type"].(type) {
	case string:
		s.kinds = kindOf(t)
	case []any:
		s.kinds = 0
		for _, name := range t {
			name, _ := name.(string)
			s.kinds |= kindOf(name)
		}
	}
	if enum, ok := obj["enum"].([]any); ok {
		s.enum = enum
	}
	if fallback, ok := obj["default"]; ok {
		s.fallback = fallback
	}
	b.object(s, obj)
	if items, ok := obj["items"]; ok {
		s.items = b.of(items)
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		choices, _ := obj[key].([]any)
		for _, c := range choices {
			s.choices = append(s.choices, b.of(c))
		}
	}
}

func (b shapes) object(s *shape, obj map[string]any) {
	properties, _ := obj["properties"].(map[string]any)
	if len(properties) > 0 {
		s.properties, s.names = make(map[string]*shape, len(properties)), nil // those of a reference are left alone
	}
	for name, p := range properties {
		s.properties[name] = b.of(p)
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	required, _ := obj["required"].([]any)
	for _, r := range required {
		if name, ok := r.(string); ok {
			if s.required == nil {
				s.required = map[string]bool{}
			}
			s.required[name] = true
		}
	}
	switch more := obj["additionalProperties"].(type) {
	case bool:
		s.closed = !more && obj["patternProperties"] == nil
	case map[string]any:
		s.additional = b.of(more)
		s.closed = len(more) == 1 && more["not"] != nil && isEmpty(more["not"]) // how some write false
	}
}

func isEmpty(v any) bool {
	m, ok := v.(map[string]any)
	return ok && len(m) == 0
}

// follow returns the shape that a reference of the document points to. While it is being made, it is incomplete: a schema
// that leads back to itself in place is refused by package schema.
func (b shapes) follow(ref string) *shape {
	if s, ok := b.refs[ref]; ok {
		return s
	}
	s := &shape{}
	b.refs[ref] = s
	v := b.root
	for _, token := range strings.Split(ref, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch c := v.(type) {
		case map[string]any:
			v = c[token]
		case []any:
			var i int
			if _, err := fmt.Sscanf(token, "%d", &i); err != nil || i < 0 || i >= len(c) {
				return s
			}
			v = c[i]
		default:
			return s
		}
	}
	b.fill(s, v)
	return s
}

func kindOf(name string) kinds {
	for _, k := range kindNames {
		if k.name == name {
			return k.kind
		}
	}
	return 0
}

// decode reads one JSON document, numbers as they are written.
func decode(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}
