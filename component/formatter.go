package component

import (
	"io/fs"
	"sync"

	"github.com/mellea-go/mellea/content"
)

// Formatter renders components to messages. It is immutable and safe for concurrent use.
//
// A template is looked for by name in the file systems of [WithTemplates], in the order they were given, and then among
// those of this package. In each, a directory stands for a family of models: it serves those whose name contains the
// directory's, both lower-cased and stripped of all but letters and digits, so granite/ serves "ibm/Granite4.1:3b". A
// directory within another serves the models that both name, and goes before it. default/ serves the rest.
//
// Templates are those of text/template, in files named NAME.tmpl. A template may render at most 16 MiB in 262144 steps.
// This package has "instruction", which sees an [InstructionData]; the packages requirement and sampling
// describe what "judge", "judge_score" and "repair_turn" see.
type Formatter struct {
	theirs []*library
	ours   *library
}

// FormatterOption configures a [Formatter].
type FormatterOption func(*formatterConfig)

type formatterConfig struct{ files []fs.FS }

// WithTemplates adds the templates of a file system, which are all read and parsed by [NewFormatter].
func WithTemplates(fsys fs.FS) FormatterOption {
	return func(c *formatterConfig) { c.files = append(c.files, fsys) }
}

// NewFormatter returns a formatter. The error is a *[TemplateError] for a template that cannot be read, does not parse
// or stands where no model finds it.
func NewFormatter(opts ...FormatterOption) (*Formatter, error) {
	var c formatterConfig
	for _, o := range opts {
		o(&c)
	}
	lib, err := ours()
	if err != nil {
		return nil, err
	}
	f := &Formatter{ours: lib}
	for _, fsys := range c.files {
		l, err := loadTemplates(fsys)
		if err != nil {
			return nil, err
		}
		f.theirs = append(f.theirs, l)
	}
	return f, nil
}

var defaultFormatter = sync.OnceValue(func() *Formatter {
	f, err := NewFormatter()
	if err != nil {
		panic("component: the embedded templates are broken: " + err.Error())
	}
	return f
})

// DefaultFormatter returns the formatter with this package's templates only, always the same one.
func DefaultFormatter() *Formatter { return defaultFormatter() }

// Rendered is what a component looks like to a model.
type Rendered struct {
	Messages content.Messages
	// Template names the template, with the directory of its family: "instruction", "granite/instruction". "" says that
	// there was none.
	Template string
	// Length is that of the rendered text in bytes.
	Length int
}

// Render renders c for a model. The name of the model may be "". Everything in c.Pending must be done. The error is
// that of c.Prompt, or a *[TemplateError].
func (f *Formatter) Render(c Component, model string) (Rendered, error) {
	p, err := c.Prompt()
	if err != nil {
		return Rendered{}, err
	}
	if p.Template == "" {
		r := Rendered{Messages: p.Messages}
		for m := range p.Messages.Values() {
			r.Length += len(m.Text())
		}
		return r, nil
	}
	t, own, err := f.find(p.Template, model)
	if err != nil {
		return Rendered{}, err
	}
	text, err := f.text(t, own, p.Data)
	if err != nil {
		return Rendered{}, badTemplate(t.full, err)
	}
	return Rendered{Messages: content.NewMessages(message(p, text)), Template: t.full, Length: len(text)}, nil
}

// find returns the template, and whether it is this package's own.
func (f *Formatter) find(name, model string) (t named, own bool, err error) {
	for _, l := range f.theirs {
		if t, ok := l.find(name, model); ok {
			return t, false, nil
		}
	}
	if t, ok := f.ours.find(name, model); ok {
		return t, true, nil
	}
	return named{}, false, &TemplateError{Template: name, Reason: "there is no template of this name",
		Remedy: "add default/" + name + suffix + " to the file system given to component.WithTemplates"}
}

func (*Formatter) text(t named, own bool, data any) (string, error) {
	// All our own templates show a bare instruction as its description, so there is no need to run them.
	if d, ok := data.(*InstructionData); ok && own && d.bare() && len(d.Description) <= maxRendered {
		return d.Description, nil
	}
	return execute(t.Template, data)
}

func message(p Prompt, text string) content.Message {
	role := p.Role
	if role == "" {
		role = content.RoleUser
	}
	if p.Media.Len() == 0 && role == content.RoleUser {
		return content.User(text)
	}
	parts := make([]content.Part, 0, 1+p.Media.Len())
	parts = append(parts, content.Text(text))
	for part := range p.Media.Values() {
		parts = append(parts, part)
	}
	return content.NewMessage(role, parts...)
}
