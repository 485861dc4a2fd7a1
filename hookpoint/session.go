package hookpoint

import (
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
)

// SessionStart is fired around the start of a session, while the backend is asked what it is. A guard may change Model
// and Options.
var SessionStart = hook.NewPoint("session_start", hook.Accept[SessionStarting, SessionStarted](func(old, edited SessionStarting) (SessionStarting, error) {
	switch {
	case edited.ID != old.ID:
		return old, forbidden("session_start", "ID")
	case edited.History != old.History:
		return old, forbidden("session_start", "History")
	case edited.Conversation != old.Conversation:
		return old, forbidden("session_start", "Conversation")
	}
	return edited, nil
}), hook.AcceptPost[SessionStarting, SessionStarted](func(old, edited SessionStarted) (SessionStarted, error) {
	if edited != old {
		return old, forbidden("session_start", "the result")
	}
	return old, nil
}))

// SessionStarting is what [SessionStart] announces before.
type SessionStarting struct {
	ID string
	// History is the kind of the session's history, such as "chat".
	History string
	// Conversation is the id that the program gave, "" when it gave none.
	Conversation string
	// Model is the model that the session asks for; "" leaves it to the backend. Writable.
	Model string
	// Options are the session's. Writable.
	Options backend.Options
}

// SessionStarted is what [SessionStart] announces after.
type SessionStarted struct {
	// Info is what the backend says of itself.
	Info backend.Info
	// Model is the model that calls will use unless their options name another.
	Model string
}

// Session is open for the life of a session. Nothing is writable.
var Session = hook.NewPoint("session", hook.Accept[SessionOpen, SessionEnd](func(old, edited SessionOpen) (SessionOpen, error) {
	if edited != old {
		return old, forbidden("session", "the payload")
	}
	return old, nil
}), hook.AcceptPost[SessionOpen, SessionEnd](func(old, edited SessionEnd) (SessionEnd, error) {
	if edited != old {
		return old, forbidden("session", "the result")
	}
	return old, nil
}))

// SessionOpen is what [Session] announces before.
type SessionOpen struct {
	ID           string
	History      string
	Conversation string
	Info         backend.Info
	Model        string
}

// SessionEnd is what [Session] announces after.
type SessionEnd struct {
	// Interactions counts the calls that changed the history, since it was last reset.
	Interactions int
}

// SessionReset is fired when a session forgets its history.
var SessionReset = hook.NewSignal[SessionResetting]("session_reset")

// SessionResetting is what [SessionReset] announces.
type SessionResetting struct {
	Session SessionRef
	// Messages is how many messages are forgotten.
	Messages int
}
