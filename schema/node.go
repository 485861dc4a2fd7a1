package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// node is a JSON value that keeps the order of members and the text of numbers.
type node struct {
	kind    kind
	text    string // of a string, the value; of a number or a boolean, its literal
	list    []*node
	members []member
}

type member struct {
	name string
	v    *node
}

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

// name returns the kind with its article, for errors.
func (k kind) name() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

func textNode(s string) *node    { return &node{kind: text, text: s} }
func numberNode(s string) *node  { return &node{kind: number, text: s} }
func list(items ...*node) *node  { return &node{kind: array, list: items} }
func record(m ...member) *node   { return &node{kind: object, members: m} }
func typed(name string) *node    { return record(member{"type", textNode(name)}) }
func (n *node) is(s string) bool { return n != nil && n.kind == text && n.text == s }

var (
	falseNode = &node{kind: boolean, text: "false"}
	nullNode  = &node{kind: null, text: "null"}
)

// get returns the member of an object, nil when there is none.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		if m.name == name {
			return m.v
		}
	}
	return nil
}

// set replaces a member or appends it.
func (n *node) set(name string, v *node) {
	for i := range n.members {
		if n.members[i].name == name {
			n.members[i].v = v
			return
		}
	}
	n.members = append(n.members, member{name, v})
}

func (n *node) drop(name string) {
	n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.name == name })
}

// holds reports whether an array has this string.
func (n *node) holds(s string) bool {
	return n != nil && slices.ContainsFunc(n.list, func(v *node) bool { return v.is(s) })
}

func (n *node) clone() *node {
	if n == nil {
		return nil
	}
	c := &node{kind: n.kind, text: n.text}
	for _, v := range n.list {
		c.list = append(c.list, v.clone())
	}
	for _, m := range n.members {
		c.members = append(c.members, member{m.name, m.v.clone()})
	}
	return c
}

// append appends the value as compact JSON.
func (n *node) append(dst []byte) []byte {
	switch n.kind {
	case text:
		return appendText(dst, n.text)
	case array:
		dst = append(dst, '[')
		for i, v := range n.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.append(dst)
		}
		return append(dst, ']')
	case object:
		dst = append(dst, '{')
		for i, m := range n.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = m.v.append(append(appendText(dst, m.name), ':'))
		}
		return append(dst, '}')
	case null:
		return append(dst, "null"...)
	}
	return append(dst, n.text...)
}

func (n *node) String() string { return string(n.append(nil)) }

func appendText(dst []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always has JSON
		return append(dst, `""`...)
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

const maxDepth = 1000

var errDeep = fmt.Errorf("is nested deeper than %d levels", maxDepth)

// parseNode reads one JSON document. A name that occurs twice in an object is an error.
func parseNode(document []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.UseNumber()
	n, err := readNode(dec, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return n, nil
}

func readNode(dec *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		return readComposite(dec, t, depth)
	case string:
		return textNode(t), nil
	case json.Number:
		return numberNode(t.String()), nil
	case bool:
		return &node{kind: boolean, text: fmt.Sprint(t)}, nil
	}
	return nullNode, nil
}

func readComposite(dec *json.Decoder, open json.Delim, depth int) (*node, error) {
	n := &node{kind: array}
	var seen map[string]bool
	if open == '{' {
		n.kind, seen = object, map[string]bool{}
	}
	for dec.More() {
		name := ""
		if n.kind == object {
			t, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, _ = t.(string)
			if seen[name] {
				return nil, fmt.Errorf("the name %q occurs twice in one object", name)
			}
			seen[name] = true
		}
		v, err := readNode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if n.kind == object {
			n.members = append(n.members, member{name, v})
		} else {
			n.list = append(n.list, v)
		}
	}
	_, err := dec.Token() // the closing one
	return n, err
}
