package tooltext

import "strings"

// Format is a convention.
type Format uint8

// The conventions.
const (
	Hermes Format = iota + 1
	Llama3
)

// Detect returns the convention that the first of the chat templates which shows one shows its model to have learned, and
// [Hermes] where none does.
func Detect(templates ...string) Format {
	for _, t := range templates {
		// The templates of Llama 3.1 and later have a role for results; that of Llama 3 has no tools.
		llama := strings.Contains(t, "<|start_header_id|>") && strings.Contains(t, roleIPython) && strings.Contains(t, `"parameters"`)
		switch {
		case strings.Contains(t, tagCall):
			return Hermes
		case llama:
			return Llama3
		}
	}
	return Hermes
}

// The tags of [Hermes].
const (
	tagTools, tagToolsEnd       = "<tools>", "</tools>"
	tagCall, tagCallEnd         = "<tool_call>", "</tool_call>"
	tagResponse, tagResponseEnd = "<tool_response>", "</tool_response>"
)

// roleIPython is the role of results in [Llama3].
const roleIPython = "ipython"

// Tags are the texts that a [Reader] of the convention looks for: a model may have tokens of its own for them.
func (f Format) Tags() []string {
	if f == Llama3 {
		return nil
	}
	return []string{tagCall, tagCallEnd}
}

// argumentsName is the member of a call that has the arguments.
func (f Format) argumentsName() string {
	if f == Llama3 {
		return "parameters"
	}
	return "arguments"
}
