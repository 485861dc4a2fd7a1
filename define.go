package mellea

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// DefineOption configures a function that [Define] makes: [Pre], [Post], [Example] and every [CallOption] but [Format].
type DefineOption interface{ applyDefine(*defineConfig) }

type defineConfig struct {
	call  callConfig
	pre   []precondition
	shots []shot
}

type precondition struct {
	name  string
	in    reflect.Type
	check func(any) error
}

type shot struct{ in, out any }

type defineOption func(*defineConfig)

func (f defineOption) applyDefine(c *defineConfig) { f(c) }

func (f callOption) applyDefine(c *defineConfig) { f(&c.call) }

func (v Vars) applyDefine(c *defineConfig) { v.applyCall(&c.call) }

// Pre states what the input must be, before any model is asked. The name is a word or two, for the [*PreconditionError]
// and for telemetry: it holds nothing of an input. In is that of the function.
func Pre[In any](name string, check func(In) error) DefineOption {
	return defineOption(func(c *defineConfig) {
		c.pre = append(c.pre, precondition{name, reflect.TypeFor[In](), func(in any) error {
			v, _ := in.(In)
			return check(v)
		}})
	})
}

// Post states a requirement that is shown to the model and that code checks on the value: with [Define] and
// [InstructAs], whose value is an Out. The text of the error tells the model what is wrong.
func Post[Out any](description string, check func(Out) error) CallOption {
	return Require(description, PostCheck(check))
}

// PostCheck is the requirement of kind "postcondition" that the reply can be read as an Out that check takes, for [Check]
// and [Require].
func PostCheck[Out any](check func(Out) error) requirement.Requirement {
	shape, err := component.ShapeOf[Out]()
	return requirement.New("postcondition", func(_ context.Context, env requirement.Env) (requirement.Verdict, error) {
		if err != nil {
			return requirement.Verdict{}, err
		}
		v, err := shape.Parse(env.Message())
		if err != nil {
			reason := err.Error()
			if bad, ok := err.(*component.ParseError); ok { //nolint:errorlint // Parse returns no other
				reason = bad.Reason
			}
			return requirement.Fail(reason), nil
		}
		if err := check(v); err != nil {
			return requirement.Fail(err.Error()), nil
		}
		return requirement.Pass(), nil
	})
}

// Example shows the model a call and its result. Its types are those of the function.
func Example[In, Out any](in In, out Out) DefineOption {
	return defineOption(func(c *defineConfig) { c.shots = append(c.shots, shot{in, out}) })
}

// PreconditionError says that a function was not called on a model, because its input is not what it must be.
type PreconditionError struct {
	// Name is that of the precondition.
	Name string
	// Err is what its check returned. Its text may quote the input.
	Err error
}

func (e *PreconditionError) Error() string {
	return fmt.Sprintf("mellea: precondition %q not met: %v", e.Name, e.Err)
}

// Unwrap returns the error of the check.
func (e *PreconditionError) Unwrap() error { return e.Err }

// Define makes a function of an instruction: it shows the instruction and its input to the model and reads an Out from the
// reply, as [schema.For] describes it. A reply that cannot be read, or that does not meet a requirement, is refused with
// the reasons and asked for again, as [Strategy] says; the default is sampling.Repair([DefaultBudget]). When no attempt is
// good enough, the function returns the value of the best that could be read and an [*UnmetError].
//
// In is a string, or any value with JSON: a struct is shown field by field, with the descriptions of its jsonschema tags.
// Out is a type that has a schema. Define panics when it has none or an option does not fit, as regexp.MustCompile does,
// so that a program fails when it starts; [TryDefine] returns the error.
//
// The function is safe for concurrent use. [DefineResult] makes one that tells of its attempts.
func Define[In, Out any](instruction string, opts ...DefineOption) func(context.Context, Runner, In) (Out, error) {
	f, err := TryDefine[In, Out](instruction, opts...)
	if err != nil {
		panic(defined(err))
	}
	return f
}

// TryDefine is [Define] with an error in place of the panic: a *[schema.TypeError] or a [*UsageError].
func TryDefine[In, Out any](instruction string, opts ...DefineOption) (func(context.Context, Runner, In) (Out, error), error) {
	f, err := tryDefine[In, Out](instruction, opts)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r Runner, in In) (Out, error) {
		res, err := f(ctx, r, in)
		return res.Value, err
	}, nil
}

// DefineResult is [Define] of a function that returns the whole result: its attempts with their verdicts, usage and the
// reply.
func DefineResult[In, Out any](instruction string, opts ...DefineOption) func(context.Context, Runner, In) (*Result[Out], error) {
	f, err := tryDefine[In, Out](instruction, opts)
	if err != nil {
		panic(defined(err))
	}
	return f
}

// defined adds where in the program the function was defined.
func defined(err error) error {
	if _, file, line, ok := runtime.Caller(2); ok {
		return fmt.Errorf("mellea: the function defined at %s:%d: %w", file[strings.LastIndexByte(file, '/')+1:], line, err)
	}
	return err
}

func tryDefine[In, Out any](instruction string, opts []DefineOption) (func(context.Context, Runner, In) (*Result[Out], error), error) {
	shape, err := component.ShapeOf[Out]()
	if err != nil {
		return nil, err
	}
	var c defineConfig
	for _, o := range opts {
		o.applyDefine(&c)
	}
	if err := c.check(instruction, reflect.TypeFor[In]()); err != nil {
		return nil, err
	}
	var zero In
	if _, err := component.Fields(zero); err != nil {
		return nil, &UsageError{Option: "Define", Reason: fmt.Sprintf("the input %T cannot be shown to a model: %v", zero, err)}
	}
	shots, err := shotsOf[In](c.shots, shape)
	if err != nil {
		return nil, err
	}
	base := component.NewFunction(c.call.instruction(instruction), shape).WithShots(shots...)
	return func(ctx context.Context, r Runner, in In) (*Result[Out], error) {
		for _, p := range c.pre {
			if err := p.check(in); err != nil {
				return &Result[Out]{}, &PreconditionError{Name: p.name, Err: err}
			}
		}
		return shaped(ctx, r, base.WithInput(in), shape, c.call)
	}, nil
}

func (c *defineConfig) check(instruction string, in reflect.Type) error {
	if strings.TrimSpace(instruction) == "" {
		return &UsageError{Option: "Define", Reason: "the instruction is empty: say what the function does"}
	}
	if c.call.err != nil {
		return c.call.err
	}
	if !c.call.format.IsZero() {
		return errFormat
	}
	for _, p := range c.pre {
		if p.in != in {
			return &UsageError{Option: "Pre", Reason: fmt.Sprintf("the precondition %q is for %s, the input is %s", p.name, p.in, in)}
		}
	}
	return nil
}

var errFormat = &UsageError{Option: "Format", Reason: "the type of the result says what the reply must be: leave the option out"}

func shotsOf[In, Out any](all []shot, shape component.Shape[Out]) ([]component.Shot, error) {
	shots := make([]component.Shot, 0, len(all))
	for i, s := range all {
		in, ok := s.in.(In)
		if !ok {
			return nil, &UsageError{Option: "Example", Reason: fmt.Sprintf("the input of example %d is a %T, want %s", i+1, s.in, reflect.TypeFor[In]())}
		}
		out, ok := s.out.(Out)
		if !ok {
			return nil, &UsageError{Option: "Example", Reason: fmt.Sprintf("the result of example %d is a %T, want %s", i+1, s.out, reflect.TypeFor[Out]())}
		}
		fields, err := component.Fields(in)
		if err != nil {
			return nil, &UsageError{Option: "Example", Reason: fmt.Sprintf("example %d: %v", i+1, err)}
		}
		text, err := shape.Text(out)
		if err != nil {
			return nil, &UsageError{Option: "Example", Reason: fmt.Sprintf("the result of example %d is not what the model may reply: %v", i+1, err)}
		}
		shots = append(shots, component.Shot{Input: fields, Output: text})
	}
	return shots, nil
}

// shaped runs a component whose reply is to have a shape.
func shaped[T any](ctx context.Context, r Runner, comp component.Component, shape component.Shape[T], c callConfig) (*Result[T], error) {
	return shapedBy(ctx, r, comp, shape, func(m content.Message) (any, error) { return shape.Parse(m) }, c)
}

func shapedBy[T any](ctx context.Context, r Runner, comp component.Component, shape component.Shape[T], parse func(content.Message) (any, error), c callConfig) (*Result[T], error) {
	if !c.format.IsZero() {
		return &Result[T]{}, errFormat
	}
	c.format = shape.Format()
	if c.strategy == nil {
		c.strategy = sampling.Repair(DefaultBudget)
	}
	return run[T](ctx, r, comp, parse, c)
}

// InstructAs asks the model to do what description says and reads a T from the reply, as [Define] does. The error is a
// *[schema.TypeError] for a T that has no schema.
func InstructAs[T any](ctx context.Context, r Runner, description string, opts ...CallOption) (*Result[T], error) {
	shape, err := component.ShapeOf[T]()
	if err != nil {
		return &Result[T]{}, err
	}
	c := configure(opts)
	return shaped(ctx, r, c.instruction(description), shape, c)
}
