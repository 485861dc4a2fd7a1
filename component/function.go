package component

import (
	"cmp"
	"iter"
	"slices"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// Function asks a model for the result of a function: what it does, its input, and the shape of its result. It is an
// immutable value; each With… returns a changed copy.
type Function[T any] struct {
	kind  string // "" for a function
	i     Instruction
	shape Shape[T]
	data  FunctionData
	err   error
}

// FunctionData is what the templates "function", "query" and "transform" see beside the fields of [InstructionData]. Empty fields are not mentioned
// to the model.
type FunctionData struct {
	InstructionData

	Input []InputField
	Shots []Shot
}

// Shot is an example of a call: the input, and the reply to it.
type Shot struct {
	Input  []InputField
	Output string
}

var (
	_ Typed[int] = Function[int]{}
	_ Requirer   = Function[int]{}
	_ Repairer   = Function[int]{}
	_ Expander   = Function[int]{}
	_ Formatted  = Function[int]{}
)

// NewFunction returns the function that does what an instruction says. What else the instruction holds, such as
// grounding, is shown, too.
func NewFunction[T any](i Instruction, shape Shape[T]) Function[T] {
	return Function[T]{i: i, shape: shape}
}

// NewQuery returns the question about an object, whose data is shown as [Fields] shows it. The answer is the reply's text. Its
// kind and template are "query".
func NewQuery(question Instruction, object any) Function[string] {
	return Function[string]{kind: "query", i: question}.WithInput(object)
}

// NewTransform returns the component that asks for an object with its data changed. Its kind and template are
// "transform".
func NewTransform[T any](change Instruction, shape Shape[T], object T) Function[T] {
	return Function[T]{kind: "transform", i: change, shape: shape}.WithInput(object)
}

// WithInput gives the input, as [Fields] shows it. An input without JSON is an error of Prompt.
func (f Function[T]) WithInput(input any) Function[T] {
	f.data.Input, f.err = Fields(input)
	return f
}

// WithShots shows examples, in place of any before.
func (f Function[T]) WithShots(shots ...Shot) Function[T] {
	f.data.Shots = slices.Clone(shots)
	return f
}

// Kind returns "function", "query" or "transform".
func (f Function[T]) Kind() string { return cmp.Or(f.kind, "function") }

// Format returns the schema that the reply must match, the zero Schema for a query.
func (f Function[T]) Format() schema.Schema { return f.shape.Format() }

// Parse reads the result from a reply.
func (f Function[T]) Parse(reply content.Message) (T, error) {
	if v, ok := any(reply.Text()).(T); ok && f.kind == "query" {
		return v, nil
	}
	return f.shape.Parse(reply)
}

// Pending returns the outputs that the instruction needs.
func (f Function[T]) Pending() []*backend.Output { return f.i.Pending() }

// Prompt returns the template of its kind with a *[FunctionData].
func (f Function[T]) Prompt() (Prompt, error) {
	if f.err != nil {
		return Prompt{}, f.err
	}
	p, err := f.i.Prompt()
	if err != nil {
		return Prompt{}, err
	}
	data := f.data
	if d, ok := p.Data.(*InstructionData); ok {
		data.InstructionData = *d
	}
	return Prompt{Template: f.Kind(), Data: &data, Media: p.Media}, nil
}

func (f Function[T]) with(c Component) Component {
	if i, ok := c.(Instruction); ok {
		f.i = i
	}
	return f
}

// Requirements returns the requirements shown, as they were given.
func (f Function[T]) Requirements() []string { return f.i.Requirements() }

// WithRequirements shows what the result must meet, in place of any before.
func (f Function[T]) WithRequirements(shown ...string) Component {
	return f.with(f.i.WithRequirements(shown...))
}

// WithRepair shows why the last reply was refused, in place of any reasons before.
func (f Function[T]) WithRepair(reasons ...string) Component {
	return f.with(f.i.WithRepair(reasons...))
}

// WithFormat shows the JSON Schema that the reply must match, in place of any before.
func (f Function[T]) WithFormat(text string) Component { return f.with(f.i.WithFormat(text)) }

// Expand returns text with the instruction's variables filled in, or text itself when there are none.
func (f Function[T]) Expand(text string) (string, error) { return f.i.Expand(text) }

// Variables iterates over the variables of the instruction.
func (f Function[T]) Variables() iter.Seq2[string, string] { return f.i.Variables() }
