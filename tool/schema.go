package tool

import (
	"reflect"

	"github.com/mellea-go/mellea/schema"
)

// schemaOf returns the JSON Schema of a type, named for a tool.
func schemaOf(t reflect.Type, name string) (schema.Schema, error) {
	return schema.ForType(t, schema.Named(name))
}
