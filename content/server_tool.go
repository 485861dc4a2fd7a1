package content

// ServerToolCall is a call of a tool that the provider has, such as a web search or an interpreter of code, and that it ran
// itself while it made the reply. It tells what happened: nothing here runs it, [Message.ToolCalls] does not yield it, and no
// backend sends it back, as none of their APIs takes it in a history; what the tool gave is in the text of the reply.
type ServerToolCall struct {
	// ID is the provider's, "" when it gives none: then the result, if there is one, is the part behind the call.
	ID string
	// Name is the provider's name of the tool, for example web_search.
	Name string
	// Type is the kind of tool; it is Name where the provider tells no other.
	Type string
	// Arguments is what the tool was called with: JSON text as the model wrote it, hostile.
	Arguments string
}

// ServerToolResult is what a [ServerToolCall] gave. As that, it is not sent back to any provider.
type ServerToolResult struct {
	// CallID is the ID of the call, "" when that has none.
	CallID string
	// Type is the provider's kind of result, for example web_search_tool_result.
	Type string
	// Content is JSON text in a form that is the provider's own, for example a list of pages that were found, as it came:
	// hostile. It is "" where the provider does not show it, or more than [MaxServerToolResult] bytes of it.
	Content string
}

// MaxServerToolResult is the most that is kept of what a tool of a provider gave, in bytes: part of JSON is none.
const MaxServerToolResult = 1 << 20
