package mellea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// Query asks the model a question about an object. A struct is shown field by field, by the names and descriptions of its
// json and jsonschema tags; what has json:"-" and what is not exported is not shown. Any other value with JSON will do,
// and a string is shown as it is. [Methods] offers methods of the object as tools.
func Query(ctx context.Context, r Runner, object any, question string, opts ...CallOption) (*Result[string], error) {
	c := configure(opts)
	if err := c.offer(object); err != nil {
		return &Result[string]{}, err
	}
	return run[string](ctx, r, component.NewQuery(c.instruction(question), object), nil, c)
}

// Transform asks the model for an object with its data changed as instruction says. The object itself is left as it is: the
// value is a new one, a pointer to a new one for a pointer. What the model is not shown, see [Query], the value has from the
// object. The reply is read and asked for again as with [Define]. [Methods] offers methods of the object as tools.
func Transform[T any](ctx context.Context, r Runner, object T, instruction string, opts ...CallOption) (*Result[T], error) {
	shape, err := component.ShapeOf[T]()
	if err != nil {
		return &Result[T]{}, err
	}
	if v := reflect.ValueOf(&object).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		return &Result[T]{}, &UsageError{Option: "Transform", Reason: fmt.Sprintf("the %T is nil: there is nothing to change", object)}
	}
	c := configure(opts)
	if err := c.offer(object); err != nil {
		return &Result[T]{}, err
	}
	parse := func(m content.Message) (any, error) {
		v, err := shape.Parse(m)
		if err != nil {
			return v, err
		}
		return kept(object, v), nil
	}
	return shapedBy(ctx, r, component.NewTransform(c.instruction(instruction), shape, object), shape, parse, c)
}

// kept returns v with what the model was not shown of object.
func kept[T any](object, v T) T {
	from, to := reflect.ValueOf(&object).Elem(), reflect.ValueOf(&v).Elem()
	for from.Kind() == reflect.Pointer && !from.IsNil() && !to.IsNil() {
		from, to = from.Elem(), to.Elem()
	}
	if from.Kind() != reflect.Struct {
		return v
	}
	whole := reflect.New(from.Type()).Elem()
	whole.Set(from)
	shown(whole, to)
	to.Set(whole)
	return v
}

// shown sets the fields that have JSON.
func shown(to, from reflect.Value) {
	for i := range to.NumField() {
		sf := to.Type().Field(i)
		tag := sf.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case tag == "-":
		case sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct:
			shown(to.Field(i), from.Field(i))
		case sf.IsExported():
			to.Field(i).Set(from.Field(i))
		}
	}
}

// Methods offers methods of the object of [Query] and [Transform] as tools, each with what the model is told of it; methods
// that are not named are not offered. A method takes a context.Context, a struct or a map of arguments, both or neither, and
// returns a value, an error, or both. It is called on the object as it was given.
func Methods(described map[string]string) CallOption {
	return callOption(func(c *callConfig) {
		if c.methods == nil {
			c.methods = map[string]string{}
		}
		maps.Copy(c.methods, described)
	})
}

// offer adds the methods of an object to the tools of the call.
func (c *callConfig) offer(object any) error {
	if len(c.methods) == 0 {
		return nil
	}
	var tools []tool.Tool
	for _, name := range slices.Sorted(maps.Keys(c.methods)) {
		t, err := methodTool(object, name, c.methods[name])
		if err != nil {
			return &UsageError{Option: "Methods", Reason: fmt.Sprintf("%s of %T: %v", name, object, err)}
		}
		tools = append(tools, t)
	}
	set, err := tool.NewSet(tools...)
	if err != nil {
		return &UsageError{Option: "Methods", Reason: err.Error(), Err: err}
	}
	c.tools = set.Merge(c.tools)
	c.methods = nil
	return nil
}

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// methodTool makes a tool of a method.
func methodTool(object any, name, description string) (tool.Tool, error) {
	v := reflect.ValueOf(object)
	if !v.IsValid() {
		return tool.Tool{}, errors.New("there is no object")
	}
	m := v.MethodByName(name)
	if !m.IsValid() && v.Kind() != reflect.Pointer {
		if _, ok := reflect.PointerTo(v.Type()).MethodByName(name); ok {
			return tool.Tool{}, errors.New("it is a method of the pointer: give a pointer")
		}
	}
	if !m.IsValid() {
		return tool.Tool{}, errors.New("there is no such method")
	}
	sig, arguments := m.Type(), reflect.Type(nil)
	next := 0
	takesContext := sig.NumIn() > 0 && sig.In(0) == contextType
	if takesContext {
		next++
	}
	if next < sig.NumIn() {
		arguments = sig.In(next)
		next++
	}
	outs := sig.NumOut()
	fails := outs > 0 && sig.Out(outs-1) == errorType
	if fails {
		outs--
	}
	if next != sig.NumIn() || outs > 1 || sig.IsVariadic() {
		return tool.Tool{}, fmt.Errorf("it is a %s, want func([context.Context], [arguments]) ([value], [error])", sig)
	}
	spec := content.ToolSpec{Name: name, Description: description}
	if arguments != nil {
		s, err := schema.ForType(arguments, schema.Named(name))
		if err != nil {
			return tool.Tool{}, err
		}
		if !s.IsObject() {
			return tool.Tool{}, fmt.Errorf("its arguments are a %s, want a struct or a map with string keys", arguments)
		}
		spec.Parameters = s
	}
	return tool.FromSpec(spec, func(ctx context.Context, text json.RawMessage) (any, error) {
		var in []reflect.Value
		if takesContext {
			in = append(in, reflect.ValueOf(ctx))
		}
		if arguments != nil {
			into := reflect.New(arguments)
			if err := spec.Parameters.Decode(string(text), into.Interface()); err != nil {
				return nil, err
			}
			in = append(in, into.Elem())
		}
		out := m.Call(in)
		if fails {
			if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
				return nil, err
			}
		}
		if outs == 0 {
			return "done", nil
		}
		return out[0].Interface(), nil
	})
}
