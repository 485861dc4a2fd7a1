package hookpoint

import (
	"time"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/tool"
)

// Tool is open while one call of a tool is held against what the tool takes, and run. A guard may change the call's Name and
// Arguments; the reply that asked for it stays as it was. A review may change the output: Text, and Value to go with it.
//
// A rejection does not end the program's call. The model is told that its call was denied, with the reason, and goes on.
var Tool = hook.NewPoint("tool", hook.Accept[ToolStart, ToolEnd](func(old, edited ToolStart) (ToolStart, error) {
	switch {
	case edited.Session != old.Session:
		return old, forbidden("tool", "Session")
	case edited.Call.ID != old.Call.ID || edited.Call.Origin != old.Call.Origin:
		return old, forbidden("tool", "ID or Origin of the call")
	case edited.Tools != old.Tools:
		return old, forbidden("tool", "Tools")
	case edited.Conversation != old.Conversation:
		return old, forbidden("tool", "Conversation")
	case edited.Iteration != old.Iteration || edited.Turn != old.Turn:
		return old, forbidden("tool", "the place of the call")
	}
	return edited, nil
}), hook.AcceptPost[ToolStart, ToolEnd](acceptOutput))

// acceptOutput lets go of a value that a new text no longer tells about: what was taken out of one must not come back with
// the other.
func acceptOutput(old, edited ToolEnd) (ToolEnd, error) {
	if edited.Ran != old.Ran || edited.Took != old.Took {
		return old, forbidden("tool", "more of the result than Output")
	}
	if edited.Output.Text != old.Output.Text && unchanged(old.Output.Value, edited.Output.Value) {
		edited.Output.Value = nil
	}
	return edited, nil
}

// ToolStart is what [Tool] announces before.
type ToolStart struct {
	Session SessionRef
	// Call is what the model asked for, with the context of the generation that asked as Origin. Arguments that fit are in
	// the form that the tool is given, a JSON object with sorted members; others are as the model wrote them. Name and
	// Arguments are writable.
	Call tool.Call
	// Tools are those that the model was offered.
	Tools tool.Set
	// Conversation is the id that the program gave, "" when it gave none.
	Conversation string
	// Iteration is the number of the attempt, 0 outside sampling.
	Iteration int
	// Turn counts the replies that asked for tools from 1, within the attempt; 0 for a call that the program runs itself.
	Turn int
}

// Tool returns the tool that is called, and false when the model was offered none of that name.
func (s ToolStart) Tool() (tool.Tool, bool) { return s.Tools.Lookup(s.Call.Name) }

// ToolEnd is what [Tool] announces after.
type ToolEnd struct {
	// Output is what the model is told. Text and Value are writable.
	Output tool.Output
	// Ran says that the tool's function was called, and Took for how long it ran.
	Ran  bool
	Took time.Duration
}
