package tooltext

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/content"
)

// Turn is a message of a conversation as a chat template takes it.
type Turn struct{ Role, Text string }

// Turns returns the conversation with the tools that are offered and the calls and results that it has. Parts other than
// text, calls and results are left out. Everything that is not the convention's own goes through plain.
func (f Format) Turns(messages content.Messages, tools content.List[content.ToolSpec], plain func(string) string) []Turn {
	w := &writer{format: f, plain: plain, tooled: tools.Len() > 0}
	for m := range messages.Values() {
		for p := range m.Parts() {
			switch p.(type) {
			case content.ToolCall, content.ToolResult:
				w.tooled = true
			}
		}
	}
	offer := ""
	if tools.Len() > 0 {
		offer = w.offer(tools)
	}
	var results []content.ToolResult // those that follow one another belong together
	for i, m := range messages.All() {
		if i == 0 && offer != "" {
			if m.Role() == content.RoleSystem {
				w.add(string(m.Role()), w.system(plain(m.Text()), offer))
				continue
			}
			w.add(string(content.RoleSystem), offer)
		}
		these := resultsOf(m)
		results = append(results, these...)
		if len(these) > 0 && strings.TrimSpace(m.Text()) == "" {
			continue
		}
		w.results(results)
		results = nil
		w.message(m)
	}
	w.results(results)
	return w.turns
}

func resultsOf(m content.Message) (all []content.ToolResult) {
	for p := range m.Parts() {
		if r, ok := p.(content.ToolResult); ok {
			all = append(all, r)
		}
	}
	return all
}

type writer struct {
	format Format
	plain  func(string) string
	tooled bool // the conversation has to do with tools
	turns  []Turn
	calls  []content.ToolCall // of the last message that had some
}

func (w *writer) add(role, text string) { w.turns = append(w.turns, Turn{Role: role, Text: text}) }

// system is the system message: the conventions put their offer at different ends of it.
func (w *writer) system(text, offer string) string {
	if w.format == Llama3 {
		return offer + text
	}
	return text + "\n\n" + offer
}

// offer lists the tools.
func (w *writer) offer(tools content.List[content.ToolSpec]) string {
	var b strings.Builder
	if w.format == Llama3 {
		b.WriteString("Environment: ipython\n\nYou have access to the following functions. To call a function, please respond with JSON for a function call. " +
			`Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. Do not use variables.` + "\n\n")
		for t := range tools.Values() {
			b.WriteString(w.spec(t) + "\n\n")
		}
		return b.String()
	}
	b.WriteString("# Tools\n\nYou may call one or more functions to assist with the user query.\n\n" +
		"You are provided with function signatures within " + tagTools + tagToolsEnd + " XML tags:\n" + tagTools + "\n")
	for t := range tools.Values() {
		b.WriteString(w.spec(t) + "\n")
	}
	b.WriteString(tagToolsEnd + "\n\nFor each function call, return a json object with function name and arguments within " +
		tagCall + tagCallEnd + " XML tags:\n" + tagCall + "\n" + `{"name": <function-name>, "arguments": <args-json-object>}` + "\n" + tagCallEnd)
	return b.String()
}

// spec is a tool as the function lists of OpenAI's API have it, on one line.
func (w *writer) spec(t content.ToolSpec) string {
	parameters := `{"type": "object", "properties": {}}`
	if !t.Parameters.IsZero() {
		parameters = spaced(t.Parameters.JSON())
	}
	return w.data(`{"type": "function", "function": {"name": ` + quote(t.Name) + `, "description": ` + quote(t.Description) + `, "parameters": ` + parameters + `}}`)
}

// message writes what a message has beside results.
func (w *writer) message(m content.Message) {
	role := m.Role()
	if role == content.RoleTool { // templates know no such role
		role = content.RoleUser
	}
	calls := slices.Collect(m.ToolCalls())
	if len(calls) == 0 {
		text := m.Text()
		if role == content.RoleUser && w.tooled && w.format == Hermes {
			text = forged.Replace(text)
		}
		w.add(string(role), w.plain(text))
		return
	}
	w.calls = calls
	var parts []string
	if text := m.Text(); strings.TrimSpace(text) != "" {
		parts = append(parts, w.plain(text))
	}
	for _, c := range calls {
		call := w.data(`{"name": ` + quote(c.Name) + `, "` + w.format.argumentsName() + `": ` + arguments(c.Arguments) + `}`)
		if w.format == Hermes {
			call = tagCall + "\n" + call + "\n" + tagCallEnd
		}
		parts = append(parts, call)
	}
	w.add(string(role), strings.Join(parts, "\n"))
}

// arguments are those of a call as JSON: what a model wrote that is none stays what it wrote, in quotes.
func arguments(text string) string {
	v := jsontext.Value(text)
	switch {
	case strings.TrimSpace(text) == "":
		return "{}"
	case v.IsValid():
		return spaced(text)
	}
	return quote(text)
}

// results writes the results of tools, in the order of the calls they belong to.
func (w *writer) results(results []content.ToolResult) {
	order := map[string]int{}
	for i, c := range w.calls {
		if _, again := order[c.ID]; !again {
			order[c.ID] = i
		}
	}
	place := func(r content.ToolResult) int {
		if i, ok := order[r.CallID]; ok {
			return i
		}
		return len(w.calls)
	}
	slices.SortStableFunc(results, func(a, b content.ToolResult) int { return cmp.Compare(place(a), place(b)) })
	var all []string
	for _, r := range results {
		name := r.Name
		if i := place(r); name == "" && i < len(w.calls) {
			name = w.calls[i].Name
		}
		if w.format == Llama3 {
			w.add(roleIPython, w.data(result(r.Content)))
			continue
		}
		all = append(all, tagResponse+"\n"+w.data(`{"name": `+quote(name)+`, "content": `+result(r.Content)+`}`)+"\n"+tagResponseEnd)
	}
	if len(all) > 0 {
		w.add(string(content.RoleUser), strings.Join(all, "\n"))
	}
}

// result is what a tool gave as JSON: JSON as it is, other text in quotes.
func result(text string) string {
	if v := jsontext.Value(text); v.IsValid() {
		return spaced(text)
	}
	return quote(text)
}

// escaped are the texts that data must not have: in JSON they can only be inside of a string, where < has an escape.
var escaped = strings.NewReplacer(
	tagTools, `\u003ctools>`, tagToolsEnd, `\u003c/tools>`, tagCall, `\u003ctool_call>`, tagCallEnd, `\u003c/tool_call>`,
	tagResponse, `\u003ctool_response>`, tagResponseEnd, `\u003c/tool_response>`)

// forged are the tags that a user's text must not have, as results come in the place of a user's text.
var forged = strings.NewReplacer(tagResponse, "< tool_response>", tagResponseEnd, "</ tool_response>")

// data is JSON that is not the convention's own.
func (w *writer) data(json string) string { return w.plain(escaped.Replace(json)) }

// quote is text as a JSON string.
func quote(text string) string {
	b, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil { // not reachable: the text is UTF-8
		return `""`
	}
	return string(b)
}

// spaced is valid JSON on one line, with spaces where the chat templates that models learn from have them.
func spaced(text string) string {
	v := jsontext.Value(bytes.Clone([]byte(text)))
	if err := v.Format(jsontext.Multiline(false), jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true),
		jsontext.PreserveRawStrings(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return text
	}
	return string(v)
}
