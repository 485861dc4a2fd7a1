package component

import (
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Component is a unit of work for a model. Implementations are immutable values, safe for concurrent use.
type Component interface {
	// Kind names the kind of component for telemetry, for example "instruction". It is one of few values and holds no
	// text of the program's.
	Kind() string
	// Prompt says what to show the model. It is called after everything in Pending is done.
	Prompt() (Prompt, error)
	// Pending returns the running outputs that Prompt needs, each once. The caller waits for them before it calls
	// Prompt; one that failed fails the call.
	Pending() []*backend.Output
}

// Typed is a component whose reply is a T.
type Typed[T any] interface {
	Component
	// Parse reads the reply. A reply that is not a T is a *[ParseError].
	Parse(reply content.Message) (T, error)
}

// Requirer is a component that shows requirements to the model.
type Requirer interface {
	Component
	// Requirements returns the texts shown, as they were given.
	Requirements() []string
	// WithRequirements returns a copy that shows these texts in place of any before.
	WithRequirements(shown ...string) Component
}

// Repairer is a component that can tell the model why its last reply was refused.
type Repairer interface {
	Component
	// WithRepair returns a copy that names these reasons in place of any before. They are data, never templates.
	WithRepair(reasons ...string) Component
}

// Expander is a component with variables: it expands other texts of the same call, such as the description of a
// requirement that a judge is to read, as it does its own.
type Expander interface {
	Component
	// Expand returns text with the component's variables filled in, or text itself when there are none. It may be
	// called after everything in Pending is done. The error is a *[TemplateError].
	Expand(text string) (string, error)
}

// Formatted is a component that can tell the model which JSON its reply must be.
type Formatted interface {
	Component
	// WithFormat returns a copy that shows this JSON Schema in place of any before. It is called where the backend cannot
	// hold the reply to a schema.
	WithFormat(schema string) Component
}

// Prompt is what a component shows a model: a template with its data, or messages as they are.
type Prompt struct {
	// Template names the template to render with Data; "" takes Messages as they are.
	Template string
	// Data is what the template sees. It is not changed after Prompt has returned it.
	Data any
	// Role is that of the rendered message, "" for a user's.
	Role content.Role
	// Media stands behind the rendered text, in the same message.
	Media content.List[content.Part]
	// Messages is the prompt when there is no template.
	Messages content.Messages
}
