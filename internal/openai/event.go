package openai

import (
	"strings"

	"github.com/mellea-go/mellea/content"
)

// Event is a whole reply or one chunk of a streamed one: the dialect gives both the same parts, and calls them message
// and delta. Byte slices of an Event that a [Decoder] returned are valid until its next call.
type Event struct {
	// ID and Model are the server's, repeated on every chunk.
	ID, Model string
	// Fingerprint and ServiceTier say what answered, "" where the server does not tell.
	Fingerprint, ServiceTier string
	// Created is when the reply was made, in seconds since 1970.
	Created int64
	// Choices counts the choices; the fields below are those of the one with index 0.
	Choices int
	// HasMessage says that the choice had a message or a delta, and HasRole that it named who speaks.
	HasMessage, HasRole bool

	Text, Reasoning, Refusal []byte
	ToolCalls                []ToolCall
	// ServerTools are tools that the provider ran itself, beside those among ToolCalls that are [ToolCall.Served].
	ServerTools []ServerTool
	// FinishReason is "stop", "length", "tool_calls", "content_filter" or the server's own; "" while it goes on.
	FinishReason string

	// Usage is meaningful with HasUsage. A chunk that brings only usage has no choices.
	Usage    content.Usage
	HasUsage bool
	// CostUSD is meaningful with HasCost: what the server says the reply cost, as OpenRouter and LiteLLM do in the usage.
	CostUSD float64
	HasCost bool

	// Moderated says that a moderation of the provider found something in the request or the reply.
	Moderated bool

	// HasError says that the document is an error the server sent instead of, or in the middle of, a reply.
	HasError bool
}

// ToolCall is a tool call or, in a stream, what a chunk adds to one.
type ToolCall struct {
	// Index numbers the calls of a reply from 0; -1 when the server does not say.
	Index int
	// ID and Name come whole, usually with the first delta of a call only.
	ID, Name string
	// Arguments is JSON text, or a piece of it.
	Arguments []byte
}

// Served reports whether the provider ran the tool itself: by its id, a call is one of Anthropic's server_tool_use blocks,
// whose ids must match ^srvtoolu_ in its Messages API. LiteLLM gives them as tool calls like any other, their results apart.
func (c *ToolCall) Served() bool { return strings.HasPrefix(c.ID, "srvtoolu_") }

// Finish reasons of the dialect.
const (
	FinishStop          = "stop"
	FinishLength        = "length"
	FinishToolCalls     = "tool_calls"
	FinishContentFilter = "content_filter"
)

// Done is the data of the event that ends a stream.
const Done = "[DONE]"

// FormatError says that a document is not what the dialect asks for. Its text quotes nothing of the document.
type FormatError struct {
	// Field is where, in this package's words, for example "choices"; "" for the document itself.
	Field string
	// Reason is a fixed phrase.
	Reason string
}

func (e *FormatError) Error() string {
	if e.Field == "" {
		return "openai: the document " + e.Reason
	}
	return "openai: field " + e.Field + " " + e.Reason
}

func wrongType(field, want string) error { return &FormatError{Field: field, Reason: "is not " + want} }
