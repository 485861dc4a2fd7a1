package backendtest

import (
	"strings"

	"github.com/mellea-go/mellea/content"
)

// Dialect is a server's side of an API. It does no I/O: the suite serves what it returns. Its methods are safe for
// concurrent use.
type Dialect interface {
	// Decode reads a request for a path. It returns an error for what a strict server would refuse: a wrong path, a
	// member it does not know, a value of the wrong type.
	Decode(path string, body []byte) (Received, error)
	// Reply returns a reply as it is sent whole.
	Reply(Reply) []byte
	// Frames returns a reply as it is streamed, in the pieces that a server flushes: at least one for each piece of
	// text. The last one ends the reply.
	Frames(Reply) [][]byte
	// ContentType is that of a reply.
	ContentType(stream bool) string
	// Failure is the body of an error status. An empty code is left out.
	Failure(status int, code, message string) []byte
	// Missing is a well-formed document, or a frame, that has nothing of a reply in it.
	Missing(stream bool) []byte
}

// Completer is a [Dialect] with raw completions: its Decode sets Received.Prompts for a request of those.
type Completer interface {
	// Completions answers a request for raw completions, one for each of its prompts, in their order.
	Completions(all []Completion) []byte
}

// Completion is what a fake server answers to one prompt of a request for raw completions.
type Completion struct {
	Model, Text string
	// Finish is "stop" or "length".
	Finish string
	Usage  content.Usage
}

// Lister is a [Dialect] of a server that lists its models.
type Lister interface {
	// Models answers a GET of path with a list of names; ok is false for a path that the server does not know.
	Models(path string, names []string) (body []byte, ok bool)
}

// Describer is a [Dialect] of a server that tells what a model can do, which a backend may ask before it generates.
type Describer interface {
	// Describe answers a POST of path about a model that can do everything; ok is false for any other path.
	Describe(path string) (reply []byte, ok bool)
}

// Received is what a fake server understood of a request.
type Received struct {
	Model    string
	Messages content.Messages
	Tools    content.List[content.ToolSpec]
	Stream   bool
	// Prompts are those of a request for raw completions, which has no messages.
	Prompts []string
}

// Prompt returns the text of the last message.
func (r Received) Prompt() string {
	last, _ := r.Messages.Last()
	return last.Text()
}

// Reply is what a fake server answers.
type Reply struct {
	ID, Model string
	// Text and Reasoning are in pieces, one a frame when streamed; the reasoning comes first.
	Text, Reasoning []string
	ToolCalls       []content.ToolCall
	// Finish is "stop" or "length".
	Finish string
	Usage  content.Usage
}

// FullText is the text in one piece.
func (r Reply) FullText() string { return strings.Join(r.Text, "") }

// FullReasoning is the reasoning in one piece.
func (r Reply) FullReasoning() string { return strings.Join(r.Reasoning, "") }
