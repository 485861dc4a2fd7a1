package sampling

import (
	"slices"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
)

// TurnData is what the template "repair_turn" sees.
type TurnData struct {
	// Reasons say what is wrong with the last reply; empty when nobody said.
	Reasons []string
}

// turn is the user's turn that asks for a better reply.
type turn struct{ data TurnData }

var _ component.Typed[content.Message] = turn{}

func (turn) Kind() string               { return "repair" }
func (turn) Pending() []*backend.Output { return nil }

func (t turn) Prompt() (component.Prompt, error) {
	return component.Prompt{Template: "repair_turn", Data: t.data}, nil
}

func (turn) Parse(reply content.Message) (content.Message, error) { return reply, nil }

// spoken returns what of a reply may stand in a conversation that goes on without its tools: providers refuse a call
// that nothing has answered.
func spoken(reply content.Message) content.Message {
	if reply.PlainText() {
		return reply
	}
	parts := slices.DeleteFunc(slices.Collect(reply.Parts()), func(p content.Part) bool {
		_, call := p.(content.ToolCall)
		return call
	})
	return content.NewMessage(reply.Role(), parts...)
}
