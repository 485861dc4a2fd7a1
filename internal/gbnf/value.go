package gbnf

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// value is a JSON value whose members keep their order.
type value struct {
	kind    jsontext.Kind
	text    string // of a string; the literal of a number
	items   []*value
	members []member
}

type member struct {
	name string
	v    *value
}

const deepest = 100 // levels of nesting in a schema

func parse(text string) (*value, error) {
	d := jsontext.NewDecoder(bytes.NewReader([]byte(text)))
	v, err := read(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, &Error{Reason: "more than one JSON value"}
	}
	return v, nil
}

func read(d *jsontext.Decoder) (*value, error) {
	if d.StackDepth() > deepest {
		return nil, &Error{Reason: "it is nested too deeply"}
	}
	t, err := d.ReadToken()
	if err != nil {
		return nil, &Error{Reason: "it is no JSON"}
	}
	v := &value{kind: t.Kind()}
	switch v.kind {
	case '"', '0':
		v.text = t.String()
	case '[':
		for d.PeekKind() != ']' {
			item, err := read(d)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
		_, err = d.ReadToken()
	case '{':
		for d.PeekKind() != '}' {
			name, nameErr := d.ReadToken()
			if nameErr != nil {
				return nil, &Error{Reason: "it is no JSON"}
			}
			m := member{name: name.String()}
			if m.v, err = read(d); err != nil {
				return nil, err
			}
			v.members = append(v.members, m)
		}
		_, err = d.ReadToken()
	default:
	}
	if err != nil {
		return nil, &Error{Reason: "it is no JSON"}
	}
	return v, nil
}

// get returns a member, nil when there is none.
func (v *value) get(name string) *value {
	if v == nil {
		return nil
	}
	for _, m := range v.members {
		if m.name == name {
			return m.v
		}
	}
	return nil
}

// strings returns the strings of a list, or the one string that v is.
func (v *value) strings() []string {
	switch {
	case v == nil:
		return nil
	case v.kind == '"':
		return []string{v.text}
	}
	var all []string
	for _, x := range v.items {
		if x.kind == '"' {
			all = append(all, x.text)
		}
	}
	return all
}

// count returns a number of things, and false when v is none.
func (v *value) count() (int, bool) {
	if v == nil || v.kind != '0' {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f < 0 || f != float64(int(f)) {
		return 0, false
	}
	return int(f), true
}

func (v *value) is(kind jsontext.Kind) bool { return v != nil && v.kind == kind }

// json appends v as compact JSON.
func (v *value) json(b *strings.Builder) {
	switch v.kind {
	case '"':
		quoted, _ := jsontext.AppendQuote(nil, v.text) // what was read is valid
		b.Write(quoted)
	case '0':
		b.WriteString(v.text)
	case '[':
		b.WriteByte('[')
		for i, x := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			x.json(b)
		}
		b.WriteByte(']')
	case '{':
		b.WriteByte('{')
		for i, m := range v.members {
			if i > 0 {
				b.WriteByte(',')
			}
			quoted, _ := jsontext.AppendQuote(nil, m.name)
			b.Write(quoted)
			b.WriteByte(':')
			m.v.json(b)
		}
		b.WriteByte('}')
	case 't':
		b.WriteString("true")
	case 'f':
		b.WriteString("false")
	default:
		b.WriteString("null")
	}
}

func (v *value) String() string {
	var b strings.Builder
	v.json(&b)
	return b.String()
}

// typeName is the schema's name of the kind of v.
func (v *value) typeName() string {
	switch v.kind {
	case '"':
		return "string"
	case '[':
		return "array"
	case '{':
		return "object"
	case 't', 'f':
		return "boolean"
	case '0':
		if f, err := strconv.ParseFloat(v.text, 64); err == nil && f == float64(int64(f)) {
			return "integer"
		}
		return "number"
	default:
		return "null"
	}
}
