package tool

import (
	"context"

	"github.com/mellea-go/mellea/content"
)

// Call is a model's request to run a tool, and where it came from.
type Call struct {
	content.ToolCall
	// Origin is the context of the generation that asked, for looking up values such as its span: it may have ended. It is
	// nil for a call that no generation asked for.
	Origin context.Context
}
