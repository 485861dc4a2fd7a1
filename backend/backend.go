package backend

import (
	"context"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// Backend generates text with a model. Implementations are safe for concurrent use, and their constructors do no I/O.
type Backend interface {
	// Info describes the backend and reports a configuration that cannot work as an *[Error]. It may ask the server,
	// within ctx; after the first success it answers from memory.
	Info(ctx context.Context) (Info, error)

	// Generate starts one generation and returns at once. The generation lives by ctx. An error means that nothing
	// started; whatever happens later is reported by the Output.
	Generate(ctx context.Context, req Request) (*Output, error)

	Batcher
}

// Info is what a backend says of itself.
type Info struct {
	// Provider is the value of gen_ai.provider.name, for example "openai".
	Provider string
	// Model is used by requests whose options name none.
	Model string
	// NeedsModel says that there is no such model: the options of a session or of each call must name one.
	NeedsModel bool
	// ServerAddress and ServerPort say where requests go; empty for a model in process.
	ServerAddress string
	ServerPort    int
	// InProcess says that the model runs inside this program.
	InProcess    bool
	Capabilities Capabilities
}

// Capabilities says what a backend can do. The zero value is the weakest: text in, text out.
type Capabilities struct {
	Images, Audio, Tools, Batch bool
	Structured                  Structured
}

// Structured is the way a backend constrains a reply to a schema.
type Structured uint8

// The ways, from none to the strictest.
const (
	StructuredNone   Structured = iota
	StructuredJSON              // any JSON document
	StructuredSchema            // the given schema
)

// Request is one generation to make. It is an immutable value.
type Request struct {
	// Messages is what the model sees, oldest first.
	Messages content.Messages
	// Options is the call's over the session's; a backend lays them over its own with [Options.Merge].
	Options Options
	// Format constrains the reply; the zero Schema leaves it free.
	Format schema.Schema
	// Tools are offered to the model; empty offers none.
	Tools content.List[content.ToolSpec]

	lifecycle Lifecycle
	hold      bool
}

// Lifecycle is how the engine takes part in a generation that outlives the call that started it. Its methods are
// called by the goroutine that produces the output.
type Lifecycle interface {
	// Chunk is called for each piece of the reply, in order, when it has arrived.
	Chunk(Chunk)
	// Finish is called exactly once, after the last byte and before [Output.Done] closes, with what arrived and the
	// error that ended it. What it returns is what readers get.
	Finish(Reply, error) (Reply, error)
}

// A Streamer is a [Lifecycle] that wants to know whether a reply comes in pieces, which a backend's own options may say.
type Streamer interface {
	// Streams is called before the first chunk when the Generation that the output starts with is Streaming.
	Streams()
}

// WithLifecycle returns the request with l taking part. With hold, readers see no chunk until Finish has returned.
// A decorator that starts several generations for one request passes on [Request.Detached] and forwards the chunks.
func (r Request) WithLifecycle(l Lifecycle, hold bool) Request {
	r.lifecycle, r.hold = l, hold
	return r
}

// Detached returns the request without its lifecycle, for a decorator that runs a generation of its own.
func (r Request) Detached() Request {
	r.lifecycle, r.hold = nil, false
	return r
}

// Reply is what a generation gave: the assistant's message and how it came about. After an error it holds what had
// arrived.
type Reply struct {
	Message    content.Message
	Generation Generation
}
