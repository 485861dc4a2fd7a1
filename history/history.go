// Package history holds conversations as immutable values: what was said so far, and what of it a model sees.
//
// Every History is a value. Append returns a new one and leaves its receiver as it was, so any number of calls may
// start from the same history and branch away from it. All of it is safe for concurrent use.
package history

import "github.com/mellea-go/mellea/content"

// History is a conversation up to some point. Implementations are immutable.
type History interface {
	// Kind names the kind of history for telemetry, for example "simple" or "chat". It is one of few values.
	Kind() string
	// View returns the messages that a model sees of it, oldest first.
	View() content.Messages
	// Append returns a history with ms behind what is already there.
	Append(ms ...content.Message) History
	// Fresh returns an empty history of the same configuration.
	Fresh() History
	// Len returns how many messages were appended so far, whether or not a model sees them.
	Len() int
}

// simple shows a model nothing: every call stands alone. It counts what was appended and keeps none of it.
type simple struct{ n int }

// Simple returns an empty history whose view stays empty: every call stands alone. It keeps no message alive.
func Simple() History { return simple{} }

func (simple) Kind() string           { return "simple" }
func (simple) View() content.Messages { return content.Messages{} }
func (simple) Fresh() History         { return simple{} }
func (s simple) Len() int             { return s.n }

func (s simple) Append(ms ...content.Message) History { return simple{n: s.n + len(ms)} }

// chat shows a model all of it. The messages are one slice, copied by each Append: a view costs nothing, and a turn
// costs 56 bytes for each message before it, which no model's context makes large.
type chat struct{ ms content.Messages }

// Chat returns a history that begins with ms and shows a model every message.
func Chat(ms ...content.Message) History { return chat{ms: content.NewMessages(ms...)} }

func (chat) Kind() string             { return "chat" }
func (c chat) View() content.Messages { return c.ms }
func (chat) Fresh() History           { return chat{} }
func (c chat) Len() int               { return c.ms.Len() }

func (c chat) Append(ms ...content.Message) History {
	if len(ms) == 0 {
		return c
	}
	return chat{ms: c.ms.Append(ms...)}
}
