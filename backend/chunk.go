package backend

import "time"

// ChunkKind says what a [Chunk] brings.
type ChunkKind uint8

// The kinds of chunk.
const (
	ChunkText       ChunkKind = iota + 1 // a piece of the reply's text
	ChunkReasoning                       // a piece of the model's reasoning
	ChunkToolCall                        // a piece of a tool call
	ChunkServerTool                      // a piece of a call of a tool that the provider ran itself, or what that gave
	ChunkOther                           // anything else that counts as a sign of life: a role, a usage report
)

func (k ChunkKind) String() string {
	switch k {
	case ChunkText:
		return "text"
	case ChunkReasoning:
		return "reasoning"
	case ChunkToolCall:
		return "tool_call"
	case ChunkServerTool:
		return "server_tool"
	}
	return "other"
}

// Chunk is one piece of a reply, as it arrived.
type Chunk struct {
	Kind ChunkKind
	// Index counts the chunks of the generation from 0.
	Index int
	// Text is the text or reasoning that this chunk adds.
	Text string
	// Tool is what a tool-call chunk adds.
	Tool ToolDelta
	// ServerTool is what a server-tool chunk adds.
	ServerTool ServerToolDelta
	// At is when the bytes arrived.
	At time.Time
}

// ToolDelta adds to one tool call of a reply. Deltas with the same Index belong to one call: ID and Name come with the
// first, Arguments add up to a JSON text.
type ToolDelta struct {
	Index               int
	ID, Name, Arguments string
}
