package hookpoint

import (
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/schema"
)

// Generation is open from the moment a backend is asked until the last byte of its reply. A guard may change Messages,
// Options, Format and Tools; a review may change the reply. Where a review is bound, nobody gets any of a reply before
// the reviews have run, and nothing of one that they rejected or that broke off before they could run.
var Generation = hook.NewPoint("generation", hook.Accept[GenerationStart, GenerationEnd](func(old, edited GenerationStart) (GenerationStart, error) {
	switch {
	case edited.Session != old.Session:
		return old, forbidden("generation", "Session")
	case edited.Info != old.Info:
		return old, forbidden("generation", "Info")
	case edited.Kind != old.Kind || edited.Conversation != old.Conversation || edited.Prompt != old.Prompt:
		return old, forbidden("generation", "the description of the call")
	case edited.Iteration != old.Iteration || edited.ContextSize != old.ContextSize:
		return old, forbidden("generation", "the place of the call")
	case !unchanged(old.Variables, edited.Variables):
		return old, forbidden("generation", "Variables")
	}
	return edited, nil
}), hook.AcceptPost[GenerationStart, GenerationEnd](func(old, edited GenerationEnd) (GenerationEnd, error) {
	switch {
	case edited.Reply.Role() != old.Reply.Role():
		return old, forbidden("generation", "the reply's role")
	case !unchanged(old.Generation, edited.Generation):
		return old, forbidden("generation", "Generation")
	}
	return edited, nil
}))

// GenerationStart is what [Generation] announces before.
type GenerationStart struct {
	Session SessionRef
	// Info is what the backend says of itself.
	Info backend.Info
	// Kind is that of the component the generation is for.
	Kind string
	// Conversation is the id that the program gave, "" when it gave none.
	Conversation string
	Prompt       Prompt
	// Variables are those of the prompt template. They are content.
	Variables content.List[Variable]
	// Messages is what the model sees. Writable.
	Messages content.Messages
	// Options are as the engine passes them on; what is sent in the end is in [backend.Generation]. Writable.
	Options backend.Options
	// Format constrains the reply. Writable.
	Format schema.Schema
	// Tools are offered to the model. Writable: a tool that is taken out is not run either, whatever the model asks for. Of
	// one that is put in, and that the call does not have, the calls are answered with an error.
	Tools content.List[content.ToolSpec]
	// ContextSize counts the messages that came from the history.
	ContextSize int
	// Iteration is the number of the attempt, 0 outside sampling.
	Iteration int
}

// Model returns the model that is asked for.
func (g GenerationStart) Model() string {
	if m := g.Options.Model(); m != "" {
		return m
	}
	return g.Info.Model
}

// Variable is one variable of a prompt template, as text.
type Variable struct{ Name, Value string }

// GenerationEnd is what [Generation] announces after. After a failure it holds what had arrived.
type GenerationEnd struct {
	// Reply is the assistant's message. Writable.
	Reply      content.Message
	Generation backend.Generation
}

// GenerationEvent is fired for each chunk of a streamed reply, in the goroutine that receives it.
var GenerationEvent = hook.NewSignal[ChunkArrived]("generation_event")

// ChunkArrived is what [GenerationEvent] announces. It carries no text.
type ChunkArrived struct {
	Session SessionRef
	Kind    backend.ChunkKind
	Index   int
	// Length is that of the text the chunk adds, in bytes.
	Length int
	At     time.Time
	// SincePrevious is the time since the chunk before, 0 for the first.
	SincePrevious time.Duration
}
