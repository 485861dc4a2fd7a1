package content

import (
	"iter"
	"slices"
	"strings"
)

// Role says who speaks a message.
type Role string

// The roles that chat models know. A role a provider adds passes through as it is.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Messages is an immutable conversation, oldest first.
type Messages = List[Message]

// NewMessages returns a conversation of ms.
func NewMessages(ms ...Message) Messages { return ListOf(ms...) }

// Message is one turn of a conversation: a role and its parts, in order. The zero Message has no role and no parts.
type Message struct {
	role Role
	// text is the concatenation of the text parts. A message of one text part has no parts slice, which keeps the
	// common case free of allocations.
	text  string
	parts []Part
}

// System returns an instruction to the model that stands above the conversation.
func System(text string) Message { return Message{role: RoleSystem, text: text} }

// User returns a user's turn.
func User(text string) Message { return Message{role: RoleUser, text: text} }

// Assistant returns a model's turn.
func Assistant(text string) Message { return Message{role: RoleAssistant, text: text} }

// NewMessage returns a message of parts, in order. The slice is copied.
func NewMessage(role Role, parts ...Part) Message {
	if len(parts) == 0 {
		return Message{role: role}
	}
	if t, ok := parts[0].(Text); ok && len(parts) == 1 {
		return Message{role: role, text: string(t)}
	}
	return Message{role: role, text: joinText(parts), parts: slices.Clone(parts)}
}

func joinText(parts []Part) string {
	first, n := "", 0
	for _, p := range parts {
		if t, ok := p.(Text); ok {
			first = string(t)
			n++
		}
	}
	if n <= 1 {
		return first
	}
	var b strings.Builder
	for _, p := range parts {
		if t, ok := p.(Text); ok {
			b.WriteString(string(t))
		}
	}
	return b.String()
}

// Role returns who speaks.
func (m Message) Role() Role { return m.role }

// Text returns the text parts joined, "" when there are none. Reasoning, tool calls and media are not part of it.
func (m Message) Text() string { return m.text }

// IsZero reports whether m is the zero Message.
func (m Message) IsZero() bool { return m.role == "" && m.text == "" && len(m.parts) == 0 }

// PlainText reports whether the message is nothing but text, and so [Message.Text] is all of it.
func (m Message) PlainText() bool { return len(m.parts) == 0 }

// Parts iterates over the parts, in order.
func (m Message) Parts() iter.Seq[Part] {
	return func(yield func(Part) bool) {
		if len(m.parts) == 0 {
			if m.text != "" {
				yield(Text(m.text))
			}
			return
		}
		for _, p := range m.parts {
			if !yield(p) {
				return
			}
		}
	}
}

// Reasoning returns the reasoning parts joined: what a model thought before it answered, "" when it showed none.
func (m Message) Reasoning() string {
	var b strings.Builder
	for _, p := range m.parts {
		if r, ok := p.(Reasoning); ok {
			b.WriteString(r.Text)
		}
	}
	return b.String()
}

// ToolCalls iterates over the calls the model asks for, in order. Those that the provider ran itself are no part of it.
func (m Message) ToolCalls() iter.Seq[ToolCall] {
	return func(yield func(ToolCall) bool) {
		for _, p := range m.parts {
			if c, ok := p.(ToolCall); ok && !yield(c) {
				return
			}
		}
	}
}

// WithText returns m with its text parts replaced by one part of text, at the place of the first.
func (m Message) WithText(text string) Message {
	if len(m.parts) == 0 {
		return Message{role: m.role, text: text}
	}
	parts := make([]Part, 0, len(m.parts)+1)
	placed := false
	for _, p := range m.parts {
		if _, ok := p.(Text); !ok {
			parts = append(parts, p)
		} else if !placed {
			parts = append(parts, Text(text))
			placed = true
		}
	}
	if !placed {
		parts = append(parts, Text(text))
	}
	return Message{role: m.role, text: text, parts: parts}
}

// With returns m with parts behind its own.
func (m Message) With(parts ...Part) Message {
	if len(parts) == 0 {
		return m
	}
	return NewMessage(m.role, append(slices.Collect(m.Parts()), parts...)...)
}

// Equal reports whether both messages have the same role and the same parts.
func (m Message) Equal(o Message) bool {
	return m.role == o.role && m.text == o.text && slices.Equal(slices.Collect(m.Parts()), slices.Collect(o.Parts()))
}
