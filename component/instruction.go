package component

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Instruction asks a model to do something: a description with what helps the model to do it well. It is an immutable
// value; each With… returns a changed copy. The zero Instruction has an empty description.
//
// All text is literal, braces included, until [Instruction.WithVars] makes it a template.
type Instruction struct{ v *instruction }

type instruction struct {
	// data holds the texts as given. Its slices are never written to once they are here.
	data  InstructionData
	media content.List[content.Part]
	// vars is nil when the texts are literal.
	vars map[string]any
	// open are the grounding entries whose text is not known yet, or never will be.
	open []openEntry
}

type openEntry struct {
	entry int             // index into data.Grounding
	out   *backend.Output // whose text it is
	err   error           // or why there is none
}

// InstructionData is what the template "instruction" sees. Empty fields are not mentioned to the model.
type InstructionData struct {
	Prefix       string
	Description  string
	Requirements []string
	Examples     []string
	Grounding    []GroundingEntry
	// Format is the JSON Schema that the reply must match, where the backend cannot see to that.
	Format string
	// Repair holds why the model's last reply was refused.
	Repair       []string
	OutputPrefix string
}

// GroundingEntry is a named piece of what the model is to rely on.
type GroundingEntry struct{ Name, Text string }

// bare reports whether there is nothing but a description.
func (d *InstructionData) bare() bool {
	return d.Prefix == "" && d.OutputPrefix == "" && d.Format == "" &&
		len(d.Requirements)+len(d.Examples)+len(d.Grounding)+len(d.Repair) == 0
}

var (
	_ Typed[string] = Instruction{}
	_ Requirer      = Instruction{}
	_ Repairer      = Instruction{}
	_ Expander      = Instruction{}
	_ Formatted     = Instruction{}
)

// NewInstruction returns the instruction to do what description says.
func NewInstruction(description string) Instruction {
	return Instruction{&instruction{data: InstructionData{Description: description}}}
}

var noInstruction instruction

func (i Instruction) get() *instruction {
	if i.v == nil {
		return &noInstruction
	}
	return i.v
}

func (i Instruction) with(change func(*instruction)) Instruction {
	v := *i.get()
	change(&v)
	return Instruction{&v}
}

// WithVars makes the description, both prefixes, the requirements and the examples templates of text/template, and
// gives them these variables: {{.name}}, or {{name}} for short. A variable that is missing is an error of Prompt.
// Values are data: what they hold is never read as a template. Any value that text/template can print will do; a
// *[backend.Output] stands for its text and is waited for, and nil for the empty string.
//
// The map is copied, its values are not. It takes the place of any variables before; nil makes all text literal again.
func (i Instruction) WithVars(vars map[string]any) Instruction {
	return i.with(func(v *instruction) { v.vars = maps.Clone(vars) })
}

// WithExamples shows examples of a good reply, in place of any before.
func (i Instruction) WithExamples(examples ...string) Instruction {
	return i.with(func(v *instruction) { v.data.Examples = slices.Clone(examples) })
}

// WithGrounding adds a named piece of what the model is to rely on, behind those before; an entry of the same name is
// replaced where it stands. A string and a [fmt.Stringer] are taken as they are, a *[backend.Output] stands for its
// text and is waited for, and anything else is encoded as JSON, now. The text is data, even with variables. A value
// that has no JSON is an error of Prompt.
func (i Instruction) WithGrounding(name string, value any) Instruction {
	return i.with(func(v *instruction) {
		v.data.Grounding = slices.Clone(v.data.Grounding)
		at := slices.IndexFunc(v.data.Grounding, func(e GroundingEntry) bool { return e.Name == name })
		if at < 0 {
			at = len(v.data.Grounding)
			v.data.Grounding = append(v.data.Grounding, GroundingEntry{Name: name})
		}
		v.open = slices.DeleteFunc(slices.Clone(v.open), func(o openEntry) bool { return o.entry == at })
		if out, ok := value.(*backend.Output); ok {
			v.open = append(v.open, openEntry{entry: at, out: out})
			return
		}
		text, err := groundingText(value)
		if err != nil {
			v.open = append(v.open, openEntry{entry: at, err: &TemplateError{
				Template: "instruction", Variable: name, Err: err,
				Reason: fmt.Sprintf("grounding entry %q has no JSON", name),
				Remedy: "give it a string, a fmt.Stringer or a value that encoding/json can encode",
			}})
		}
		v.data.Grounding[at].Text = text
	})
}

func groundingText(value any) (string, error) {
	switch x := value.(type) {
	case string:
		return x, nil
	case fmt.Stringer:
		return x.String(), nil
	}
	return groundingJSON(value)
}

func groundingJSON(value any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// WithPrefix puts a text before the description.
func (i Instruction) WithPrefix(text string) Instruction {
	return i.with(func(v *instruction) { v.data.Prefix = text })
}

// WithOutputPrefix puts a text at the very end of the prompt, where a reply would begin.
func (i Instruction) WithOutputPrefix(text string) Instruction {
	return i.with(func(v *instruction) { v.data.OutputPrefix = text })
}

// WithMedia shows images or audio behind the text, in place of any before.
func (i Instruction) WithMedia(parts ...content.Part) Instruction {
	return i.with(func(v *instruction) { v.media = content.ListOf(parts...) })
}

// WithRequirements shows what the reply must meet, in place of any before. The texts are templates when there are
// variables: give it a requirement's description as the program wrote it.
func (i Instruction) WithRequirements(shown ...string) Component {
	return i.with(func(v *instruction) { v.data.Requirements = slices.Clone(shown) })
}

// WithRepair shows why the last reply was refused, in place of any reasons before. They are data.
func (i Instruction) WithRepair(reasons ...string) Component {
	return i.with(func(v *instruction) { v.data.Repair = slices.Clone(reasons) })
}

// WithFormat shows the JSON Schema that the reply must match, in place of any before. It is data.
func (i Instruction) WithFormat(text string) Component {
	return i.with(func(v *instruction) { v.data.Format = text })
}

// Kind returns "instruction".
func (Instruction) Kind() string { return "instruction" }

// Description returns the description as it was given.
func (i Instruction) Description() string { return i.get().data.Description }

// Requirements returns the requirements shown, as they were given.
func (i Instruction) Requirements() []string { return slices.Clone(i.get().data.Requirements) }

// Parse returns the reply's text.
func (Instruction) Parse(reply content.Message) (string, error) { return reply.Text(), nil }

// Pending returns the outputs that are variables, sorted by name, and then those that are grounding entries, in the
// order they were given.
func (i Instruction) Pending() []*backend.Output {
	v := i.get()
	var outs []*backend.Output
	add := func(o *backend.Output) {
		if o != nil && !slices.Contains(outs, o) {
			outs = append(outs, o)
		}
	}
	if len(v.vars) > 0 {
		for _, name := range slices.Sorted(maps.Keys(v.vars)) {
			if o, ok := v.vars[name].(*backend.Output); ok {
				add(o)
			}
		}
	}
	for _, o := range v.open {
		add(o.out)
	}
	return outs
}

// Prompt returns the template "instruction" with an *[InstructionData]. An error is a *[TemplateError].
func (i Instruction) Prompt() (Prompt, error) {
	v := i.get()
	p := Prompt{Template: "instruction", Data: &v.data, Media: v.media}
	if v.vars == nil && len(v.open) == 0 {
		return p, nil
	}
	data, err := v.filled()
	if err != nil {
		return Prompt{}, err
	}
	p.Data = data
	return p, nil
}

// filled returns the data with variables and outputs filled in.
func (v *instruction) filled() (*InstructionData, error) {
	d := v.data
	if len(v.open) > 0 {
		d.Grounding = slices.Clone(d.Grounding)
	}
	for _, o := range v.open {
		if o.err != nil {
			return nil, o.err
		}
		e := &d.Grounding[o.entry]
		var err error
		if e.Text, err = outputText(o.out); err != nil {
			return nil, outputError(fmt.Sprintf("grounding entry %q", e.Name), e.Name, err)
		}
	}
	if v.vars == nil {
		return &d, nil
	}
	x, err := newExpansion(v.vars)
	if err != nil {
		return nil, err
	}
	d.Prefix = x.one("prefix", d.Prefix)
	d.Description = x.one("description", d.Description)
	d.Requirements = x.all("requirement", d.Requirements)
	d.Examples = x.all("example", d.Examples)
	d.OutputPrefix = x.one("output prefix", d.OutputPrefix)
	return &d, x.err
}

// Variables iterates over the names of the variables, sorted, and their values as text; an output that is not done has
// none yet. The values are content.
func (i Instruction) Variables() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		vars := i.get().vars
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			text := ""
			switch v := vars[name].(type) {
			case nil:
			case *backend.Output:
				text, _ = outputText(v)
			default:
				text = fmt.Sprint(v)
			}
			if !yield(name, text) {
				return
			}
		}
	}
}

// Expand returns text with the variables filled in, or text itself when there are none.
func (i Instruction) Expand(text string) (string, error) {
	v := i.get()
	if v.vars == nil {
		return text, nil
	}
	x, err := newExpansion(v.vars)
	if err != nil {
		return "", err
	}
	out := x.one("text", text)
	return out, x.err
}
