package tooltext

import "strings"

// Format is a convention.
type Format uint8

// The conventions.
const (
	Hermes Format = iota + 1
	Llama3
)

// Detect returns the convention that a chat template shows its model to have learned, and [Hermes] where it shows none
// that is known.
func Detect(template string) Format {
	if strings.Contains(template, tagCall) {
		return Hermes
	}
	// The templates of Llama 3.1 and later; that of Llama 3 has no tools.
	if strings.Contains(template, "<|start_header_id|>") && strings.Contains(template, roleIPython) && strings.Contains(template, `"parameters"`) {
		return Llama3
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
