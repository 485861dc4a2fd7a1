// Package component holds the units of work a program gives a model, and renders them to messages.
//
// A [Component] says what to show a model: an [Instruction], a [Message] or plain [Text]. A [Formatter] turns it into
// messages with a template that may differ from one model family to the next and that a program may replace.
package component
