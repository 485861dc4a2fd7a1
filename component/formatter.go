package component

import (
	"io/fs"
	"sync"

	"github.com/mellea-go/mellea/content"
)

type Formatter struct{}

type FormatterOption func(*Formatter)

type Rendered struct {
	Messages content.Messages
	Template string
	Length   int
}

func WithTemplates(fs.FS) FormatterOption { return func(*Formatter) {} }

func NewFormatter(opts ...FormatterOption) (*Formatter, error) { return &Formatter{}, nil }

func (f *Formatter) Render(c Component, model string) (Rendered, error) {
	p, err := c.Prompt()
	if err != nil {
		return Rendered{}, err
	}
	if d, ok := p.Data.(*InstructionData); ok {
		return Rendered{Messages: content.NewMessages(content.User(d.Description)), Template: p.Template, Length: len(d.Description)}, nil
	}
	return Rendered{Messages: p.Messages}, nil
}

var DefaultFormatter = sync.OnceValue(func() *Formatter { return &Formatter{} })
