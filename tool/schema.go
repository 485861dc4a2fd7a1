package tool

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mellea-go/mellea/schema"
)

// schemaOf returns the JSON Schema of a type. A slice is a list, never null.
func schemaOf(t reflect.Type, name string) (schema.Schema, error) {
	js, err := jsonschema.ForType(t, nil)
	if err != nil {
		return schema.Schema{}, err
	}
	notNullable(js)
	text, err := json.Marshal(js)
	if err != nil {
		return schema.Schema{}, err
	}
	return schema.Parse(name, text)
}

func notNullable(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if slices.Equal(s.Types, []string{"null", "array"}) {
		s.Type, s.Types = "array", nil
	}
	for _, p := range s.Properties {
		notNullable(p)
	}
	notNullable(s.Items)
	notNullable(s.AdditionalProperties)
}
