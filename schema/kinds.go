package schema

import (
	"math"
	"reflect"
	"strconv"
	"strings"
)

func bounds(low, high float64) []member {
	m := []member{{"minimum", numberNode(strconv.FormatFloat(low, 'f', -1, 64))}}
	if high > 0 {
		m = append(m, member{"maximum", numberNode(strconv.FormatFloat(high, 'f', -1, 64))})
	}
	return m
}

// composite describes a type by its kind.
func (x *inference) composite(t reflect.Type, path string) (*node, error) {
	integer := func(low, high float64) (*node, error) {
		return record(append([]member{{"type", textNode("integer")}}, bounds(low, high)...)...), nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return typed("boolean"), nil
	case reflect.String:
		return typed("string"), nil
	case reflect.Int, reflect.Int64:
		return typed("integer"), nil
	case reflect.Int8:
		return integer(math.MinInt8, math.MaxInt8)
	case reflect.Int16:
		return integer(math.MinInt16, math.MaxInt16)
	case reflect.Int32:
		return integer(math.MinInt32, math.MaxInt32)
	case reflect.Uint8:
		return integer(0, math.MaxUint8)
	case reflect.Uint16:
		return integer(0, math.MaxUint16)
	case reflect.Uint32:
		return integer(0, math.MaxUint32)
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return integer(0, 0)
	case reflect.Float32, reflect.Float64:
		return typed("number"), nil
	case reflect.Slice, reflect.Array:
		return x.slice(t, path)
	case reflect.Map:
		return x.mapping(t, path)
	case reflect.Struct:
		return x.structure(t, path)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return record(), nil
		}
		return nil, x.fail(path, "%s is an interface, so nothing says which type a value becomes: use a struct, or give its schema with schema.Type", t)
	default:
		return nil, x.fail(path, "JSON has no %s: leave the field out with json:\"-\"", t)
	}
}

func (x *inference) slice(t reflect.Type, path string) (*node, error) {
	elem := t.Elem()
	if t.Kind() == reflect.Slice && elem.Kind() == reflect.Uint8 && !implements(elem, marshaler) && !implements(elem, textMarshaler) {
		return record(member{"type", textNode("string")}, member{"contentEncoding", textNode("base64")}), nil
	}
	items, err := x.of(elem, path+"[]")
	if err != nil {
		return nil, err
	}
	n := record(member{"type", textNode("array")}, member{"items", items})
	if t.Kind() == reflect.Array {
		length := numberNode(strconv.Itoa(t.Len()))
		n.set("minItems", length)
		n.set("maxItems", length)
	}
	return n, nil
}

func (x *inference) mapping(t reflect.Type, path string) (*node, error) {
	n := typed("object")
	switch key := t.Key(); {
	case key.Kind() == reflect.String, implements(key, textUnmarshaler):
	case key.Kind() >= reflect.Int && key.Kind() <= reflect.Int64:
		n.set("propertyNames", record(member{"pattern", textNode(`^-?(0|[1-9][0-9]*)$`)}))
	case key.Kind() >= reflect.Uint && key.Kind() <= reflect.Uintptr:
		n.set("propertyNames", record(member{"pattern", textNode(`^(0|[1-9][0-9]*)$`)}))
	default:
		return nil, x.fail(path, "a map whose key is a %s has no JSON: use a string or an integer", key)
	}
	values, err := x.of(t.Elem(), path+"{}")
	if err != nil {
		return nil, err
	}
	n.set("additionalProperties", values)
	return n, nil
}

func (x *inference) structure(t reflect.Type, path string) (*node, error) {
	fields, hidden := fieldsOf(t)
	if hidden != "" {
		return nil, x.fail(path, "the embedded pointer %s is to an unexported struct, which encoding/json cannot fill: embed the struct itself", hidden)
	}
	properties, required := record(), list()
	for _, f := range fields {
		at := f.name
		if path != "" {
			at = path + "." + f.name
		}
		if f.quoted {
			return nil, x.fail(at, `the option "string" of its json tag has no schema: leave it out, or make the field a string`)
		}
		v, err := x.of(f.typ, at)
		if err != nil {
			return nil, err
		}
		if v, err = x.tagged(v, f, at); err != nil {
			return nil, err
		}
		properties.members = append(properties.members, member{f.name, v})
		if !f.optional {
			required.list = append(required.list, textNode(f.name))
		}
	}
	n := record(member{"type", textNode("object")}, member{"properties", properties})
	if len(required.list) > 0 {
		n.set("required", required)
	}
	n.set("additionalProperties", falseNode)
	return n, nil
}

// tagged lays what the tags and the type of a field say over the schema of its type.
func (x *inference) tagged(v *node, f field, path string) (*node, error) {
	if values, ok := f.tag.Lookup("enum"); ok {
		target := v
		for target.get("type").is("array") && target.get("items") != nil {
			target = target.get("items")
		}
		all, err := x.enumTag(values, target, path)
		if err != nil {
			return nil, err
		}
		target.set("enum", list(all...))
	}
	if f.nullable {
		v = nullable(v)
	}
	if d := f.tag.Get("jsonschema"); d != "" {
		v.set("description", textNode(d))
	}
	return v, nil
}

func (x *inference) enumTag(values string, target *node, path string) ([]*node, error) {
	var all []*node
	for value := range strings.SplitSeq(values, ",") {
		value = strings.TrimSpace(value)
		var n *node
		switch name := target.get("type"); {
		case name.is("string"):
			n = textNode(value)
		case name.is("integer"), name.is("number"):
			v, err := parseNode([]byte(value))
			if err != nil || v.kind != number || name.is("integer") && !isInteger(value) {
				return nil, x.fail(path, "the value %q of its enum tag is no %s", value, name.text)
			}
			n = v
		default:
			return nil, x.fail(path, "an enum tag is for strings and numbers, and slices of these")
		}
		all = append(all, n)
	}
	return all, nil
}

// nullable returns the schema that accepts null, too.
func nullable(v *node) *node {
	if len(v.members) == 0 {
		return v
	}
	name := v.get("type")
	switch {
	case name != nil && name.kind == text:
		if name.text == "null" {
			return v
		}
		v.set("type", list(name, textNode("null")))
	case name != nil && name.kind == array:
		if !name.holds("null") {
			v.set("type", list(append(append([]*node{}, name.list...), textNode("null"))...))
		}
	case v.get("anyOf") != nil && v.get("enum") == nil:
		for _, option := range v.get("anyOf").list {
			if option.get("type").is("null") {
				return v
			}
		}
		v.get("anyOf").list = append(v.get("anyOf").list, typed("null"))
		return v
	default:
		whole := record()
		if d := v.get("description"); d != nil {
			v.drop("description")
			whole.set("description", d)
		}
		whole.set("anyOf", list(v, typed("null")))
		return whole
	}
	if e := v.get("enum"); e != nil {
		values := append([]*node{}, e.list...)
		for _, each := range values {
			if each.kind == null {
				return v
			}
		}
		v.set("enum", list(append(values, nullNode)...))
	}
	if c := v.get("const"); c != nil && c.kind != null {
		v.drop("const")
		v.set("enum", list(c, nullNode))
	}
	return v
}
