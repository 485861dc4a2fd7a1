package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// MaxArguments, 1 MiB, bounds the arguments of one call, in bytes.
const MaxArguments = 1 << 20

var errTrailing = errors.New("more text follows the JSON document")

// Arguments returns arguments as a model wrote them in the form that the tool's function is given: a JSON object that fits
// the tool's schema, with sorted members. What a model means is put right where it is plain:
//
//   - no arguments are an empty object, and an object in quotes is that object;
//   - a number or a truth value in quotes is that value, and a number or a truth value where text is wanted is its text;
//   - a whole number may be written as 3.0, a list of one as its element, null where nothing need be given as nothing;
//   - names and enumerated values may differ in case, hyphens and underscores, when that leaves no doubt;
//   - a property that is missing gets the schema's default, or null where null is allowed;
//   - a tool without parameters ignores what it is given.
//
// The error is an [*ArgumentError].
func (t Tool) Arguments(arguments string) (string, error) {
	if t.d == nil {
		return "", &UnknownError{}
	}
	if len(arguments) > MaxArguments {
		return "", &ArgumentError{Tool: t.Name(), Problems: []string{
			fmt.Sprintf("They have %d bytes, at most %d are allowed.", len(arguments), MaxArguments)}}
	}
	v, err := object(arguments)
	if err != nil {
		return "", &ArgumentError{Tool: t.Name(), Err: err,
			Problems: []string{"They must be one JSON object: " + strings.TrimPrefix(err.Error(), "json: ") + "."}}
	}
	m := mender{}
	v = m.value("", v, t.d.shape)
	text, err := encode(v)
	if err != nil { // not reachable: what was decoded can be encoded
		return "", &ArgumentError{Tool: t.Name(), Problems: []string{"They are not usable."}, Err: err}
	}
	if m.count > 0 {
		return "", &ArgumentError{Tool: t.Name(), Problems: m.told()}
	}
	if err := t.d.spec.Parameters.Validate([]byte(text)); err != nil {
		cause := err
		if inner := errors.Unwrap(err); inner != nil {
			cause = inner
		}
		return "", &ArgumentError{Tool: t.Name(), Problems: []string{"They do not match the schema: " + quoted(cause.Error()) + "."}, Err: err}
	}
	return text, nil
}

// object decodes a JSON object, or the text of one.
func object(text string) (any, error) {
	if strings.TrimSpace(text) == "" {
		return map[string]any{}, nil
	}
	v, err := decode(text)
	if inner, ok := v.(string); ok && err == nil {
		if strings.TrimSpace(inner) == "" {
			return map[string]any{}, nil
		}
		v, err = decode(inner)
	}
	switch v := v.(type) {
	case nil:
		if err == nil {
			return map[string]any{}, nil
		}
		return nil, err
	case map[string]any:
		return v, nil
	}
	return nil, fmt.Errorf("found %s", kindIn(v))
}

// mender puts right what a model meant and collects what it cannot.
type mender struct {
	problems []string
	count    int
}

// maxProblems bounds what a model is told of at once.
const maxProblems = 10

func (m *mender) problem(format string, args ...any) {
	if m.count++; m.count <= maxProblems {
		m.problems = append(m.problems, fmt.Sprintf(format, args...))
	}
}

func (m *mender) told() []string {
	if more := m.count - len(m.problems); more > 0 {
		return append(m.problems, fmt.Sprintf("There are %d more problems.", more))
	}
	return m.problems
}

// value returns v as s wants it. What it cannot mend is left as it is and noted.
func (m *mender) value(path string, v any, s *shape) any {
	if s == nil {
		return v
	}
	v = s.convert(v)
	if len(s.choices) > 0 {
		v = m.choice(path, v, s)
	}
	if !s.kinds.has(kindIn(v)) {
		m.problem("%s: want %s, got %s.", at(path), s.kinds, shown(v))
		return v
	}
	if len(s.enum) > 0 {
		return m.enumerated(path, v, s)
	}
	switch v := v.(type) {
	case map[string]any:
		return m.object(path, v, s)
	case []any:
		for i, item := range v {
			v[i] = m.value(path+"["+strconv.Itoa(i)+"]", item, s.items)
		}
	}
	return v
}

// choice mends v by the one alternative that it can be; where several could, validation decides.
func (m *mender) choice(path string, v any, s *shape) any {
	var fits []*shape
	for _, c := range s.choices {
		if c.kinds != 0 && c.kinds.has(kindIn(v)) {
			fits = append(fits, c)
		}
	}
	if len(fits) == 0 {
		for _, c := range s.choices {
			if mended := c.convert(v); c.kinds != 0 && c.kinds.has(kindIn(mended)) {
				fits, v = append(fits, c), mended
				break
			}
		}
	}
	if len(fits) != 1 {
		return v
	}
	return m.value(path, v, fits[0])
}

// convert returns v as a value of a kind that is wanted, or v itself when that is not plain.
func (s *shape) convert(v any) any {
	if s.kinds == 0 {
		return v
	}
	kind := kindIn(v)
	if s.kinds.has(kind) {
		return v
	}
	switch v := v.(type) {
	case string:
		if out, ok := s.fromText(v); ok {
			return out
		}
	case json.Number:
		if n := whole(v); s.kinds.wants(kindInteger) && kindIn(n) == kindInteger {
			return n
		}
		if s.kinds.wants(kindString) {
			return v.String()
		}
	case bool:
		if s.kinds.wants(kindString) {
			return strconv.FormatBool(v)
		}
	}
	if s.kinds.wants(kindArray) && kind != kindNull && kind != kindArray {
		return []any{v}
	}
	return v
}

// fromText reads a text where none is wanted.
func (s *shape) fromText(text string) (any, bool) {
	t := strings.TrimSpace(text)
	if s.kinds.wants(kindInteger) || s.kinds.wants(kindNumber) {
		if n, ok := number(t); ok {
			if s.kinds.wants(kindNumber) {
				return n, true
			}
			if n = whole(n); kindIn(n) == kindInteger {
				return n, true
			}
		}
	}
	if s.kinds.wants(kindBoolean) {
		switch strings.ToLower(t) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	if s.kinds.wants(kindNull) && strings.EqualFold(t, "null") {
		return nil, true
	}
	if s.kinds.wants(kindObject) && strings.HasPrefix(t, "{") || s.kinds.wants(kindArray) && strings.HasPrefix(t, "[") {
		if v, err := decode(t); err == nil {
			return v, true
		}
	}
	return nil, false
}

// number reads a text that is a JSON number, or one with a plus sign.
func number(t string) (json.Number, bool) {
	t = strings.TrimPrefix(t, "+")
	if t == "" || len(t) > 64 || t[0] != '-' && (t[0] < '0' || t[0] > '9') {
		return "", false
	}
	v, err := decode(t)
	n, ok := v.(json.Number)
	return n, err == nil && ok
}

// whole writes a whole number such as 3.0 or 1e3 without a fraction or an exponent.
func whole(n json.Number) json.Number {
	if !strings.ContainsAny(string(n), ".eE") {
		return n
	}
	const exact = 1 << 53
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return n
	}
	return json.Number(strconv.FormatInt(int64(f), 10))
}

func (m *mender) object(path string, v map[string]any, s *shape) any {
	m.names(path, v, s)
	for _, name := range s.names {
		p, in := s.properties[name], join(path, name)
		x, given := v[name]
		switch {
		case given && x == nil && !p.nullable() && !s.required[name]:
			delete(v, name)
			given = false
		case given:
			v[name] = m.value(in, x, p)
		}
		if given {
			continue
		}
		switch {
		case p.fallback != nil:
			v[name] = p.fallback
		case !s.required[name]:
		case p.nullable() && p.kinds != 0:
			v[name] = nil
		default:
			m.problem("%s is missing: want %s.", at(in), p.kinds)
		}
	}
	if s.additional != nil {
		for name, x := range v {
			if s.properties[name] == nil {
				v[name] = m.value(join(path, name), x, s.additional)
			}
		}
	}
	return v
}

// nullable reports whether null may stand for the value.
func (s *shape) nullable() bool {
	if s.kinds.wants(kindNull) {
		return true
	}
	return s.kinds == 0 && (len(s.choices) == 0 || slices.ContainsFunc(s.choices, (*shape).nullable))
}

// names puts right the names of properties.
func (m *mender) names(path string, v map[string]any, s *shape) {
	if !s.closed {
		return
	}
	if len(s.properties) == 0 {
		clear(v) // a tool that takes nothing
		return
	}
	var unknown []string
	for name := range v {
		if s.properties[name] == nil {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		to, ok := s.alike(name)
		if _, taken := v[to]; !ok || taken {
			m.problem("%s is not known: the names are %s.", at(join(path, name)), strings.Join(s.names, ", "))
			continue
		}
		v[to] = v[name]
		delete(v, name)
	}
}

// alike returns the one property whose name differs from name in case, hyphens and underscores only.
func (s *shape) alike(name string) (string, bool) {
	found := ""
	for _, n := range s.names {
		if plain(n) != plain(name) {
			continue
		}
		if found != "" {
			return "", false
		}
		found = n
	}
	return found, found != ""
}

func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(name))
}

func (m *mender) enumerated(path string, v any, s *shape) any {
	var alike []any
	for _, e := range s.enum {
		if same(e, v) {
			return v
		}
		a, isText := e.(string)
		b, ok := v.(string)
		if isText && ok && plain(strings.TrimSpace(a)) == plain(strings.TrimSpace(b)) {
			alike = append(alike, e)
		}
	}
	if len(alike) == 1 {
		return alike[0]
	}
	all := make([]string, 0, len(s.enum))
	for _, e := range s.enum {
		text, _ := encode(e)
		all = append(all, text)
	}
	m.problem("%s: want one of %s, got %s.", at(path), strings.Join(all, ", "), shown(v))
	return v
}

// same compares two scalars, numbers by value.
func same(a, b any) bool {
	x, ok := a.(json.Number)
	y, both := b.(json.Number)
	if ok && both {
		f, err := x.Float64()
		g, err2 := y.Float64()
		return err == nil && err2 == nil && f == g
	}
	x1, err := encode(a)
	y1, err2 := encode(b)
	return err == nil && err2 == nil && x1 == y1
}

func kindIn(v any) kinds {
	switch v := v.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBoolean
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			return kindNumber
		}
		return kindInteger
	case string:
		return kindString
	case []any:
		return kindArray
	}
	return kindObject
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func at(path string) string {
	if path == "" {
		return "The whole"
	}
	return strconv.Quote(short(path))
}

// shown describes a value to the model that wrote it.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		return "the text " + strconv.Quote(short(v))
	case json.Number:
		return short(v.String())
	case bool:
		return strconv.FormatBool(v)
	}
	return kindIn(v).String()
}

// quoted bounds a validator's message, which may quote a value.
func quoted(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
