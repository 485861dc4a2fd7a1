package schema

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a field of a struct as encoding/json sees it.
type field struct {
	name     string
	typ      reflect.Type
	index    []int
	tag      reflect.StructTag
	goName   string
	tagged   bool
	optional bool // omitempty, omitzero or a pointer
	nullable bool // a pointer that encodes as null when it is nil
	quoted   bool // the option "string"
}

// Property is a member of the JSON object that encoding/json makes of a struct.
type Property struct {
	Name        string
	Description string // of the tag jsonschema
	Index       []int  // of the field, as for [reflect.Value.FieldByIndex]
}

// Properties returns what the JSON of a struct has, in the order of its fields. ok is false for a value that is not
// encoded field by field. A pointer stands for what it points to.
func Properties(v any) (all []Property, ok bool) {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || implements(t, marshaler) || implements(t, textMarshaler) {
		return nil, false
	}
	fields, _ := fieldsOf(t)
	for _, f := range fields {
		all = append(all, Property{f.name, f.tag.Get("jsonschema"), f.index})
	}
	return all, true
}

// fieldsOf returns the fields that encoding/json reads and writes, in the order of the struct: those of embedded structs
// included, where a name occurs more than once the one that is nearest, or tagged, or none. hidden is an embedded
// pointer to an unexported struct, which encoding/json can write and not read; "" when there is none.
func fieldsOf(t reflect.Type) (fields []field, hidden string) {
	type level struct {
		typ     reflect.Type
		index   []int
		pointer bool // on the way to it is an embedded pointer, without which it has no fields
	}
	var all []field
	seen := map[reflect.Type]bool{}
	for next := []level{{typ: t}}; len(next) > 0; {
		now := next
		next = nil
		for _, l := range now {
			if seen[l.typ] {
				continue
			}
			for i := range l.typ.NumField() {
				sf := l.typ.Field(i)
				index := append(slices.Clip(l.index), i)
				tag := sf.Tag.Get("json")
				if tag == "-" {
					continue
				}
				name, options, _ := strings.Cut(tag, ",")
				if !validName(name) {
					name = ""
				}
				inner := sf.Type
				if inner.Kind() == reflect.Pointer && inner.Name() == "" {
					inner = inner.Elem()
				}
				if sf.Anonymous && inner.Kind() == reflect.Struct && name == "" {
					if sf.Type.Kind() == reflect.Pointer && !sf.IsExported() {
						hidden = sf.Name
					}
					next = append(next, level{inner, index, l.pointer || sf.Type.Kind() == reflect.Pointer})
					continue
				}
				if !sf.IsExported() {
					continue
				}
				f := field{name: name, typ: sf.Type, index: index, tag: sf.Tag, goName: sf.Name, tagged: name != ""}
				if !f.tagged {
					f.name = sf.Name
				}
				f = f.with(options)
				f.optional = f.optional || l.pointer
				all = append(all, f)
			}
		}
		for _, l := range now {
			seen[l.typ] = true
		}
	}
	return visible(all), hidden
}

func (f field) with(options string) field {
	pointer := f.typ.Kind() == reflect.Pointer
	omitted := false
	for o := range strings.SplitSeq(options, ",") {
		switch o {
		case "omitempty", "omitzero":
			omitted = true
		case "string":
			f.quoted = true
		}
	}
	f.optional = omitted || pointer
	f.nullable = pointer && !omitted
	return f
}

// visible leaves one field of each name, or none when no one of them stands out.
func visible(all []field) []field {
	byName := map[string][]field{}
	for _, f := range all {
		byName[f.name] = append(byName[f.name], f)
	}
	var out []field
	for _, same := range byName {
		slices.SortStableFunc(same, func(a, b field) int {
			if c := cmp.Compare(len(a.index), len(b.index)); c != 0 {
				return c
			}
			switch {
			case a.tagged == b.tagged:
				return 0
			case a.tagged:
				return -1
			}
			return 1
		})
		if len(same) > 1 && len(same[0].index) == len(same[1].index) && same[0].tagged == same[1].tagged {
			continue
		}
		out = append(out, same[0])
	}
	slices.SortFunc(out, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return out
}

func validName(s string) bool {
	for _, c := range s {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return s != ""
}
