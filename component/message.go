package component

import (
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Message is a component that shows one message as it is.
type Message struct{ m content.Message }

var _ Typed[content.Message] = Message{}

// FromMessage returns the component that shows m.
func FromMessage(m content.Message) Message { return Message{m} }

// Kind returns "message".
func (Message) Kind() string { return "message" }

// Prompt returns the message.
func (m Message) Prompt() (Prompt, error) { return Prompt{Messages: content.NewMessages(m.m)}, nil }

// Pending returns nil: a message is complete.
func (Message) Pending() []*backend.Output { return nil }

// Parse returns the reply as it is.
func (Message) Parse(reply content.Message) (content.Message, error) { return reply, nil }

// PlainText is a component that shows a text as a user's turn, without any template.
type PlainText struct{ s string }

var _ Typed[string] = PlainText{}

// Text returns the component that shows s.
func Text(s string) PlainText { return PlainText{s} }

// Kind returns "text".
func (PlainText) Kind() string { return "text" }

// Prompt returns the text as a user's message.
func (t PlainText) Prompt() (Prompt, error) {
	return Prompt{Messages: content.NewMessages(content.User(t.s))}, nil
}

// Pending returns nil: a text is complete.
func (PlainText) Pending() []*backend.Output { return nil }

// Parse returns the reply's text.
func (PlainText) Parse(reply content.Message) (string, error) { return reply.Text(), nil }

// Transcript is a component that shows messages as they are.
type Transcript struct{ ms content.Messages }

var _ Typed[content.Message] = Transcript{}

// FromMessages returns the component that shows ms, oldest first.
func FromMessages(ms ...content.Message) Transcript { return Transcript{content.NewMessages(ms...)} }

// Kind returns "messages".
func (Transcript) Kind() string { return "messages" }

// Prompt returns the messages.
func (t Transcript) Prompt() (Prompt, error) { return Prompt{Messages: t.ms}, nil }

// Pending returns nil: messages are complete.
func (Transcript) Pending() []*backend.Output { return nil }

// Parse returns the reply as it is.
func (Transcript) Parse(reply content.Message) (content.Message, error) { return reply, nil }
