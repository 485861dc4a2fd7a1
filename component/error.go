package component

import "strings"

// TemplateError says that a template could not be rendered. Its text names the template or the variable and what to
// do; it never holds a value or the template's text. The cause may.
type TemplateError struct {
	// Template names what was rendered: a template such as "granite/instruction", or a text of a component such as
	// "description".
	Template string
	// Line is the line of the template that failed, 0 when unknown.
	Line int
	// Variable is the variable or grounding entry at fault, "" when it is none.
	Variable string
	// Reason says what is wrong, without any value.
	Reason string
	// Remedy says what to do about it.
	Remedy string
	// Err is the cause.
	Err error
}

func (e *TemplateError) Error() string {
	var b strings.Builder
	b.WriteString("template ")
	b.WriteString(e.Template)
	b.WriteString(": ")
	b.WriteString(e.Reason)
	if e.Remedy != "" {
		b.WriteString(": ")
		b.WriteString(e.Remedy)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *TemplateError) Unwrap() error { return e.Err }

// ParseError says that a reply is not the value a component wants. Its text holds nothing of the reply.
type ParseError struct {
	// Kind is what the reply should have been, one of few values: "json", "schema".
	Kind string
	// Reason says what is wrong with the reply. It may quote it: treat it as content.
	Reason string
	// Err is the cause. Its text may quote the reply.
	Err error
}

func (e *ParseError) Error() string { return "the reply cannot be read as " + e.Kind }

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Err }
