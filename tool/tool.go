package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// DefaultMaxResult, 32 KiB, bounds what a model is told of a result, in bytes, unless [MaxResult] says otherwise.
const DefaultMaxResult = 32 << 10

// Tool is a function that a model may call, with its description. It is an immutable value and may be in several sets. The
// zero Tool is no tool.
type Tool struct{ d *definition }

type definition struct {
	spec        content.ToolSpec
	shape       *shape
	call        func(ctx context.Context, arguments []byte) (any, error)
	timeout     time.Duration
	maxResult   int
	controlFlow bool
}

// Option configures a tool.
type Option func(*definition)

// Timeout bounds a call: its context ends after d, and the call fails with a [*TimeoutError]. The default is no bound but
// that of the program's context.
func Timeout(d time.Duration) Option { return func(t *definition) { t.timeout = d } }

// MaxResult bounds what the model is told of a result, in bytes. A longer one is cut, and the model is told so. The
// default is [DefaultMaxResult]; n below 1 removes the bound.
func MaxResult(n int) Option { return func(t *definition) { t.maxResult = n } }

// ControlFlow marks a tool that steers a program instead of doing work, such as one that gives the final answer. It changes
// nothing about the call: hooks and traces tell such tools from others.
func ControlFlow() Option { return func(t *definition) { t.controlFlow = true } }

// New returns a tool that calls f. In is a struct, or a map with string keys: its JSON Schema is what the model is shown.
// Fields are named by their json tags, described by their jsonschema tags, and optional with omitempty or omitzero. The
// result is shown to the model as JSON, a string as it is; see [Output].
//
// f is called by several goroutines at once. An error of f is told to the model, which may try something else: its text must
// hold nothing that the model is not to know. [Fatal] ends the program's call instead.
//
// New panics when the name or the types are impossible, as regexp.MustCompile does; [TryNew] returns the error.
func New[In, Out any](name, description string, f func(context.Context, In) (Out, error), opts ...Option) Tool {
	t, err := TryNew(name, description, f, opts...)
	if err != nil {
		panic(err)
	}
	return t
}

// TryNew is [New] with an error, a [*NameError] or a [*DefinitionError], in place of the panic.
func TryNew[In, Out any](name, description string, f func(context.Context, In) (Out, error), opts ...Option) (Tool, error) {
	if f == nil {
		return Tool{}, &DefinitionError{Tool: name, Reason: "its function is nil"}
	}
	if err := CheckName(name); err != nil {
		return Tool{}, err
	}
	parameters, err := parametersOf(reflect.TypeFor[In](), name)
	if err != nil {
		return Tool{}, err
	}
	return define(content.ToolSpec{Name: name, Description: description, Parameters: parameters},
		func(ctx context.Context, arguments []byte) (any, error) {
			var in In
			if err := json.Unmarshal(arguments, &in); err != nil {
				return nil, &ArgumentError{Tool: name, Problems: []string{"They cannot be read: " + err.Error() + "."}, Err: err}
			}
			return f(ctx, in)
		}, opts)
}

// FromSpec returns a tool whose schema is known already, such as one of another program. f is given the arguments as a JSON
// object that fits the schema; a zero schema accepts any object. The error is a [*NameError] or a [*DefinitionError].
func FromSpec(spec content.ToolSpec, f func(ctx context.Context, arguments json.RawMessage) (any, error), opts ...Option) (Tool, error) {
	if f == nil {
		return Tool{}, &DefinitionError{Tool: spec.Name, Reason: "its function is nil"}
	}
	if err := CheckName(spec.Name); err != nil {
		return Tool{}, err
	}
	return define(spec, func(ctx context.Context, arguments []byte) (any, error) { return f(ctx, arguments) }, opts)
}

func define(spec content.ToolSpec, call func(context.Context, []byte) (any, error), opts []Option) (Tool, error) {
	d := &definition{spec: spec, call: call, maxResult: DefaultMaxResult}
	for _, o := range opts {
		o(d)
	}
	var err error
	if d.shape, err = newShape(spec.Parameters); err != nil {
		return Tool{}, &DefinitionError{Tool: spec.Name, Reason: "its schema cannot be read", Err: err}
	}
	return Tool{d}, nil
}

// parametersOf returns the schema of a tool's argument.
func parametersOf(t reflect.Type, name string) (schema.Schema, error) {
	of := t
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct && (of.Kind() != reflect.Map || of.Key().Kind() != reflect.String) {
		return schema.Schema{}, &DefinitionError{Tool: name,
			Reason: fmt.Sprintf("arguments are a JSON object, so In must be a struct or a map with string keys, not %s: put the value into a field", t)}
	}
	s, err := schemaOf(of, name)
	if err != nil {
		return schema.Schema{}, &DefinitionError{Tool: name, Reason: fmt.Sprintf("%s has no JSON Schema", t), Err: err}
	}
	return s, nil
}

// IsZero reports whether t is no tool.
func (t Tool) IsZero() bool { return t.d == nil }

// Name returns the name by which the model calls the tool, "" for the zero Tool.
func (t Tool) Name() string { return t.Spec().Name }

// Description returns what the model is told of the tool.
func (t Tool) Description() string { return t.Spec().Description }

// Spec returns the tool as a model is shown it.
func (t Tool) Spec() content.ToolSpec {
	if t.d == nil {
		return content.ToolSpec{}
	}
	return t.d.spec
}

// IsControlFlow reports whether the tool was made with [ControlFlow].
func (t Tool) IsControlFlow() bool { return t.d != nil && t.d.controlFlow }

// Timeout returns the bound that [Timeout] set, 0 for none.
func (t Tool) Timeout() time.Duration {
	if t.d == nil {
		return 0
	}
	return max(t.d.timeout, 0)
}

// Run calls the tool with arguments as a model wrote them, and waits for it. It is how the engine runs tools, and a test of
// one: programs leave calls to the engine, so that hooks see them.
//
// The error is an [*ArgumentError], and then the function was not called, a [*TimeoutError], a [*PanicError], the end of
// ctx, or an [*Error] around that of the function. [Explain] says what to tell the model of it.
func (t Tool) Run(ctx context.Context, arguments string) (Output, error) {
	canonical, err := t.Arguments(arguments)
	if err != nil {
		return Output{}, err
	}
	return t.Call(ctx, canonical)
}

// Call is [Tool.Run] with arguments that [Tool.Arguments] returned.
func (t Tool) Call(ctx context.Context, canonical string) (Output, error) {
	if t.d == nil {
		return Output{}, &UnknownError{}
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	out, err := t.protected(ctx, canonical)
	if err != nil {
		return Output{}, t.failed(ctx, err)
	}
	return out, nil
}

func (t Tool) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if t.d.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, t.d.timeout, &TimeoutError{Tool: t.Name(), After: t.d.timeout})
}

// protected calls the function and renders its result. Both are the program's code, and so may panic.
func (t Tool) protected(ctx context.Context, arguments string) (out Output, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = Output{}, newPanicError(t.Name(), p)
		}
	}()
	v, err := t.d.call(ctx, []byte(arguments))
	if err != nil {
		return Output{}, err
	}
	return t.render(v)
}

// failed says what an error of the function is.
func (t Tool) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if _, ok := cause.(*TimeoutError); ok { //nolint:errorlint // the cause as it was set here
			return cause
		}
	}
	switch e := err.(type) { //nolint:errorlint // errors of this call, not those of one beneath it
	case *ArgumentError, *PanicError:
		return err
	case *Error:
		if e.Tool == t.Name() {
			return err
		}
	}
	return &Error{Tool: t.Name(), Err: err}
}

// encode returns v as JSON without escaping what only HTML needs escaped.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
