package tooltext

import (
	"bytes"
	"strings"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/gbnf"
)

// Grammar returns the grammar of replies that call one of the tools, or several where that is allowed. A schema other
// than "" is another thing that a reply may be: a document of it. The error is a *[gbnf.Error].
func (f Format) Grammar(tools content.List[content.ToolSpec], several bool, schema string) (gbnf.Grammar, error) {
	var all [][]gbnf.Piece
	for t := range tools.Values() {
		before, after := f.frame(t)
		if f == Hermes {
			before, after = tagCall+"\n"+before, after+"\n"+tagCallEnd
		}
		all = append(all, []gbnf.Piece{{Text: before, Schema: parameters(t)}, {Text: after}})
	}
	if schema != "" {
		all = append(all, []gbnf.Piece{{Schema: schema}})
	}
	separator := ""
	if several && schema == "" {
		separator = "\n"
		if f == Llama3 {
			separator = "; "
		}
	}
	return gbnf.FromPieces(separator, all...)
}

// Rest returns the grammar of what may follow when a model has begun a call, and opening is what it has written of it; see
// [Reader.Opening]. False says that no tool's call begins so.
func (f Format) Rest(tools content.List[content.ToolSpec], opening []byte) (g gbnf.Grammar, ok bool, err error) {
	written := bytes.TrimLeft(opening, space)
	var all [][]gbnf.Piece
	for t := range tools.Values() {
		before, after := f.frame(t)
		rest, found := strings.CutPrefix(before, string(written))
		if !found {
			continue
		}
		if len(opening) == 0 {
			rest = "\n" + rest
		}
		all = append(all, []gbnf.Piece{{Text: rest, Schema: parameters(t)}, {Text: after + "\n" + tagCallEnd}})
	}
	if len(all) == 0 || f != Hermes {
		return g, false, nil
	}
	g, err = gbnf.FromPieces("", all...)
	return g, err == nil, err
}

// frame is what stands around the arguments of a call.
func (f Format) frame(t content.ToolSpec) (before, after string) {
	return `{"name": ` + quote(t.Name) + `, "` + f.argumentsName() + `": `, "}"
}

// parameters is the schema of a tool's arguments. Without one a model is shown no names, and there is nothing to write.
func parameters(t content.ToolSpec) string {
	if t.Parameters.IsZero() {
		return `{"type":"object","additionalProperties":false}`
	}
	return t.Parameters.JSON()
}
