package component

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// Shape is what a reply must look like to be read as a T: a JSON document by the schema of T. A T that is no object, such
// as a string, a list or an enumeration, is asked for as the member "result" of one, because providers take nothing else.
// It is an immutable value. The zero Shape reads nothing.
type Shape[T any] struct{ whole, bare schema.Schema }

// result is the object around a T that is none.
type result[T any] struct {
	Result T `json:"result"`
}

// ShapeOf returns the shape of a T. The error is a *[schema.TypeError].
func ShapeOf[T any]() (Shape[T], error) {
	bare, err := schema.For[T]()
	if err != nil {
		return Shape[T]{}, err
	}
	if bare.IsObject() {
		return Shape[T]{whole: bare}, nil
	}
	whole, err := schema.For[result[T]]()
	return Shape[T]{whole: whole, bare: bare}, err
}

// Format returns the schema that a reply must match.
func (s Shape[T]) Format() schema.Schema { return s.whole }

// Parse reads a reply, as [schema.Schema.Decode] does. Where the value is a member of an object, the value alone will do.
// A reply that is no T is a *[ParseError] around a *[schema.DecodeError].
func (s Shape[T]) Parse(reply content.Message) (T, error) {
	var v T
	if s.bare.IsZero() {
		err := s.whole.Decode(reply.Text(), &v)
		return v, unreadable(err)
	}
	var r result[T]
	err := s.whole.Decode(reply.Text(), &r)
	if err != nil && s.bare.Decode(reply.Text(), &v) == nil {
		return v, nil
	}
	return r.Result, unreadable(err)
}

// Text returns the reply that stands for v.
func (s Shape[T]) Text(v T) (string, error) {
	var out any = v
	if !s.bare.IsZero() {
		out = result[T]{v}
	}
	text, err := groundingJSON(out)
	if err != nil {
		return "", err
	}
	if err := s.whole.Validate([]byte(text)); err != nil {
		return "", err
	}
	return text, nil
}

func unreadable(err error) error {
	if err == nil {
		return nil
	}
	reason := "The reply is not the JSON that was asked for: " + err.Error() + "."
	if bad, ok := errors.AsType[*schema.DecodeError](err); ok && bad.Truncated {
		reason += " Write a shorter reply."
	}
	return &ParseError{Kind: "json", Reason: reason, Err: err}
}

// InputField is a part of the input of a [Function], as its template shows it.
type InputField struct {
	// Name is "" for an input that is one value.
	Name string
	// Description is that of the field, "" for none.
	Description string
	// Text is the value: a string as it is, anything else as JSON.
	Text string
}

// Fields returns an input as a model is shown it: the fields of a struct, by the names and descriptions of its tags, and
// any other value as one. Empty fields with omitempty or omitzero, and nil pointers, are left out.
func Fields(input any) ([]InputField, error) {
	if s, ok := input.(string); ok {
		return []InputField{{Text: s}}, nil
	}
	encoded, err := groundingJSON(input)
	if err != nil {
		return nil, fmt.Errorf("component: the input has no JSON: %w", err)
	}
	described, object := schema.Properties(input)
	if !object {
		var s string
		if json.Unmarshal([]byte(encoded), &s) == nil && encoded != "null" {
			encoded = s
		}
		return []InputField{{Text: encoded}}, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(encoded), &members); err != nil {
		return nil, fmt.Errorf("component: the input has no JSON: %w", err)
	}
	var fields []InputField
	for _, p := range described {
		raw, ok := members[p.Name]
		if !ok || string(raw) == "null" {
			continue
		}
		text := string(raw)
		var s string
		if json.Unmarshal(raw, &s) == nil {
			text = s
		}
		fields = append(fields, InputField{Name: p.Name, Description: p.Description, Text: text})
	}
	return fields, nil
}
