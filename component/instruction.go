package component

import (
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

type Instruction struct{ v *instruction }

type instruction struct{ data InstructionData }

type InstructionData struct {
	Prefix, Description, OutputPrefix string
	Requirements, Examples, Repair    []string
	Grounding                         []GroundingEntry
}

type GroundingEntry struct{ Name, Text string }

var (
	_ Typed[string] = Instruction{}
	_ Requirer      = Instruction{}
	_ Repairer      = Instruction{}
	_ Expander      = Instruction{}
)

func NewInstruction(description string) Instruction {
	return Instruction{&instruction{data: InstructionData{Description: description}}}
}
func (i Instruction) WithVars(map[string]any) Instruction              { return i }
func (i Instruction) WithExamples(...string) Instruction               { return i }
func (i Instruction) WithGrounding(name string, value any) Instruction { return i }
func (i Instruction) WithPrefix(string) Instruction                    { return i }
func (i Instruction) WithOutputPrefix(string) Instruction              { return i }
func (i Instruction) WithMedia(...content.Part) Instruction            { return i }
func (i Instruction) Description() string                              { return i.v.data.Description }
func (i Instruction) Kind() string                                     { return "instruction" }
func (i Instruction) Pending() []*backend.Output                       { return nil }
func (i Instruction) Requirements() []string                           { return nil }
func (i Instruction) WithRequirements(shown ...string) Component       { return i }
func (i Instruction) WithRepair(reasons ...string) Component           { return i }
func (i Instruction) Expand(text string) (string, error)               { return text, nil }
func (i Instruction) Parse(reply content.Message) (string, error)      { return reply.Text(), nil }
func (i Instruction) Prompt() (Prompt, error) {
	return Prompt{Template: "instruction", Data: &i.v.data}, nil
}
