// Package schema holds JSON Schemas as immutable values and validates JSON against them.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema is an immutable JSON Schema (draft 2020-12 or draft-07). The zero Schema stands for "no schema". It is safe
// for concurrent use.
type Schema struct{ s *compiled }

type compiled struct {
	name, text string
	root       *node
	resolved   *jsonschema.Resolved

	once      sync.Once // for what follows
	strict    Schema
	strictErr error
}

// Error says that a text is not a usable JSON Schema, and why.
type Error struct {
	Name string // the schema's name
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("schema %s: not a usable JSON Schema: %v", e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// MismatchError says that a value is not what a schema asks for. Its text may quote the value.
type MismatchError struct {
	Name string // the schema's name
	Err  error
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("does not match schema %s: %v", e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *MismatchError) Unwrap() error { return e.Err }

// Parse returns the schema that text describes. The name identifies it to providers and in errors; "" becomes
// "response". References to other documents are refused: a schema stands alone. The error is an *[Error].
func Parse(name string, text []byte) (Schema, error) {
	if name == "" {
		name = "response"
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return Schema{}, &Error{Name: name, Err: err}
	}
	var js jsonschema.Schema
	if err := json.Unmarshal(compact.Bytes(), &js); err != nil {
		return Schema{}, &Error{Name: name, Err: err}
	}
	if err := checkRefs(compact.Bytes()); err != nil {
		return Schema{}, &Error{Name: name, Err: err}
	}
	resolved, err := js.Resolve(nil)
	if err != nil {
		return Schema{}, &Error{Name: name, Err: err}
	}
	root, err := parseNode(compact.Bytes())
	if err != nil {
		return Schema{}, &Error{Name: name, Err: err}
	}
	return Schema{&compiled{name: name, text: compact.String(), root: root, resolved: resolved}}, nil
}

// IsZero reports whether s is no schema.
func (s Schema) IsZero() bool { return s.s == nil }

// Name returns the name, "" for the zero Schema.
func (s Schema) Name() string {
	if s.s == nil {
		return ""
	}
	return s.s.name
}

// JSON returns the schema as compact JSON, "" for the zero Schema.
func (s Schema) JSON() string {
	if s.s == nil {
		return ""
	}
	return s.s.text
}

// IsObject reports whether every document of the schema is an object, as its type says.
func (s Schema) IsObject() bool { return s.s != nil && s.s.root.get("type").is("object") }

// Validate checks one JSON document. It returns a *[MismatchError] when the document is not JSON or not what the
// schema asks for; the zero Schema accepts any JSON document.
func (s Schema) Validate(document []byte) error {
	v, err := decode(document)
	if err != nil {
		return &MismatchError{Name: s.Name(), Err: err}
	}
	if s.s == nil {
		return nil
	}
	if err := s.s.resolved.Validate(v); err != nil {
		return &MismatchError{Name: s.s.name, Err: err}
	}
	return nil
}

var errTrailing = errors.New("more text follows the JSON document")

func decode(document []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(document))
	var v any
	if err := dec.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}
