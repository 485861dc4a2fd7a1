package backend

import (
	"slices"

	"github.com/mellea-go/mellea/content"
)

// ServerToolDelta adds to one tool that the provider ran itself while it made the reply: a [content.ServerToolCall] and the
// [content.ServerToolResult] it gave. Deltas with the same Index belong together. ID, Name and Type come with the first,
// Arguments add up to a JSON text. What the tool gave comes whole, in one delta that has a ResultType; where there are
// several, the last one holds. A result whose call the provider did not show has an ID and neither Name nor Type.
type ServerToolDelta struct {
	Index                     int
	ID, Name, Type, Arguments string
	ResultType, Result        string
}

// servedTool is a tool that the provider ran, as what is known of it grows.
type servedTool struct {
	id, name, kind     string
	arguments          []byte
	resultType, result string
}

func (s *servedTool) add(d ServerToolDelta) {
	if d.ID != "" {
		s.id = d.ID
	}
	if d.Name != "" {
		s.name = d.Name
	}
	if d.Type != "" {
		s.kind = d.Type
	}
	s.arguments = append(s.arguments, d.Arguments...)
	if d.ResultType != "" {
		s.resultType, s.result = d.ResultType, d.Result
	}
}

// appendParts appends the call, where it was shown, and its result, where there is one.
func (s *servedTool) appendParts(parts []content.Part) []content.Part {
	if s.name != "" || s.kind != "" || len(s.arguments) > 0 {
		parts = append(parts, content.ServerToolCall{ID: s.id, Name: s.name, Type: s.kind, Arguments: string(s.arguments)})
	}
	if s.resultType != "" {
		parts = append(parts, content.ServerToolResult{CallID: s.id, Type: s.resultType, Content: s.result})
	}
	return parts
}

// servedBy returns the tools that the provider of a message ran, one delta each for a call and for a result.
func servedBy(m content.Message) (all []ServerToolDelta) {
	n := 0
	for p := range m.Parts() {
		switch p := p.(type) {
		case content.ServerToolCall:
			all = append(all, ServerToolDelta{Index: n, ID: p.ID, Name: p.Name, Type: p.Type, Arguments: p.Arguments})
			n++
		case content.ServerToolResult:
			d := ServerToolDelta{Index: n, ID: p.CallID, ResultType: p.Type, Result: p.Content}
			for _, call := range slices.Backward(all) { // without an id it is that of the call before it
				if call.ResultType == "" && call.ID == p.CallID {
					d.Index = call.Index
					break
				}
			}
			if d.Index == n {
				n++
			}
			all = append(all, d)
		}
	}
	return all
}
