package check

import (
	"encoding/hex"
	"math"

	"go.opentelemetry.io/otel/attribute"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// attributes are those of a span or an event, for rules to read.
type attributes struct {
	list  []*commonpb.KeyValue
	named map[string]*commonpb.AnyValue // the first of each name
}

func attributesOf(list []*commonpb.KeyValue) attributes {
	a := attributes{list: list, named: make(map[string]*commonpb.AnyValue, len(list))}
	for _, kv := range list {
		if _, twice := a.named[kv.GetKey()]; !twice {
			a.named[kv.GetKey()] = kv.GetValue()
		}
	}
	return a
}

func (a attributes) has(key attribute.Key) bool {
	_, ok := a.named[string(key)]
	return ok
}

func (a attributes) text(key attribute.Key) (string, bool) {
	v, ok := a.named[string(key)].GetValue().(*commonpb.AnyValue_StringValue)
	if !ok {
		return "", false
	}
	return v.StringValue, true
}

// is reports whether the attribute is there and has that text.
func (a attributes) is(key attribute.Key, text string) bool {
	s, ok := a.text(key)
	return ok && s == text
}

func (a attributes) flag(key attribute.Key) (value, ok bool) {
	v, ok := a.named[string(key)].GetValue().(*commonpb.AnyValue_BoolValue)
	return ok && v.BoolValue, ok
}

// isTrue reports whether the attribute is there and true.
func (a attributes) isTrue(key attribute.Key) bool {
	v, ok := a.flag(key)
	return ok && v
}

func (a attributes) number(key attribute.Key) (int64, bool) {
	v, ok := a.named[string(key)].GetValue().(*commonpb.AnyValue_IntValue)
	if !ok {
		return 0, false
	}
	return v.IntValue, true
}

// length returns the number of elements of a list, 0 for anything else.
func (a attributes) length(key attribute.Key) int {
	return len(a.named[string(key)].GetArrayValue().GetValues())
}

// fits reports whether a value is of a type that a convention allows for t. Whole numbers may stand where a double is
// asked for.
func fits(v *commonpb.AnyValue, t semconv.Type) bool {
	switch v := v.GetValue().(type) {
	case nil:
		return false
	case *commonpb.AnyValue_StringValue:
		return t == semconv.TypeString || t == semconv.TypeStringTemplate || t == semconv.TypeAny
	case *commonpb.AnyValue_IntValue:
		return t == semconv.TypeInt || t == semconv.TypeDouble || t == semconv.TypeAny
	case *commonpb.AnyValue_DoubleValue:
		return t == semconv.TypeDouble || t == semconv.TypeAny
	case *commonpb.AnyValue_BoolValue:
		return t == semconv.TypeBool || t == semconv.TypeAny
	case *commonpb.AnyValue_ArrayValue:
		if t != semconv.TypeStringSlice {
			return t == semconv.TypeAny
		}
		for _, e := range v.ArrayValue.GetValues() {
			if _, ok := e.GetValue().(*commonpb.AnyValue_StringValue); !ok {
				return false
			}
		}
		return true
	default:
		return t == semconv.TypeAny
	}
}

// typeName names the type of a value as the registries spell types.
func typeName(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return "string"
	case *commonpb.AnyValue_IntValue:
		return "int"
	case *commonpb.AnyValue_DoubleValue:
		return "double"
	case *commonpb.AnyValue_BoolValue:
		return "boolean"
	case *commonpb.AnyValue_ArrayValue:
		return elementType(v.ArrayValue.GetValues()) + "[]"
	case *commonpb.AnyValue_KvlistValue:
		return "map"
	case *commonpb.AnyValue_BytesValue:
		return "bytes"
	default:
		return "empty"
	}
}

func elementType(all []*commonpb.AnyValue) string {
	if len(all) == 0 {
		return "any"
	}
	first := typeName(all[0])
	for _, v := range all[1:] {
		if typeName(v) != first {
			return "any"
		}
	}
	return first
}

// asJSON returns a value as encoding/json would have decoded it. Numbers that JSON does not have become their names.
func asJSON(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		switch {
		case math.IsNaN(v.DoubleValue):
			return "NaN"
		case math.IsInf(v.DoubleValue, 0):
			return "Infinity"
		}
		return v.DoubleValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_BytesValue:
		return hex.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		all := make([]any, len(v.ArrayValue.GetValues()))
		for i, e := range v.ArrayValue.GetValues() {
			all[i] = asJSON(e)
		}
		return all
	case *commonpb.AnyValue_KvlistValue:
		all := make(map[string]any, len(v.KvlistValue.GetValues()))
		for _, kv := range v.KvlistValue.GetValues() {
			all[kv.GetKey()] = asJSON(kv.GetValue())
		}
		return all
	default:
		return nil
	}
}
