package telemetry

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A node is a message of gen_ai.input.messages or gen_ai.output.messages, a part of one or of
// gen_ai.system_instructions, or a tool definition, as the conventions' JSON schemas describe them.
type node struct {
	attrs []attribute.KeyValue // fixed members

	// A message has parts under the member "parts"; a part or a tool has none.
	message bool
	parts   []node

	// field is the member that holds what can be shortened, "" for none.
	field string
	text  string
	// structured stands in place of text while text is whole: JSON that a model wrote, as a value.
	structured attribute.Value
	atomic     bool // text is of no use in part: it goes as a whole
}

func (n node) value() attribute.Value {
	members := make([]attribute.KeyValue, len(n.attrs), len(n.attrs)+1)
	copy(members, n.attrs)
	if n.message {
		parts := make([]attribute.Value, len(n.parts))
		for i, p := range n.parts {
			parts[i] = p.value()
		}
		members = append(members, attribute.Slice("parts", parts...))
	}
	switch {
	case n.field == "":
	case n.structured.Type() != attribute.EMPTY:
		members = append(members, attribute.KeyValue{Key: attribute.Key(n.field), Value: n.structured})
	default:
		members = append(members, attribute.String(n.field, n.text))
	}
	return attribute.MapValue(members...)
}

// size is the length of the node as JSON.
func (n node) size() int { return len(n.value().String()) }

func (c capture) message(key attribute.Key, m content.Message) node {
	n := node{message: true, attrs: []attribute.KeyValue{attribute.String("role", valid(string(m.Role())))}}
	for p := range m.Parts() {
		n.parts = append(n.parts, c.part(key, p))
	}
	return n
}

func (c capture) part(key attribute.Key, p content.Part) node {
	switch p := p.(type) {
	case content.Text:
		return typed("text", "content", c.clean(key, string(p)))
	case content.Reasoning:
		return typed("reasoning", "content", c.clean(key, p.Text))
	case content.ToolCall:
		n := typed("tool_call", "arguments", c.clean(key, p.Arguments))
		n.structured = parsed(n.text)
		n.attrs = append(n.attrs, attribute.String("name", valid(p.Name)))
		return identified(n, p.ID)
	case content.ToolResult:
		n := typed("tool_call_response", "response", c.clean(key, p.Content))
		n.structured = parsed(n.text)
		return identified(n, p.CallID)
	case content.Image:
		if url := p.URL(); url != "" {
			n := typed("uri", "uri", c.clean(key, url))
			n.attrs = append(n.attrs, attribute.String("modality", "image"))
			n.atomic = true
			return n
		}
		return c.blob(key, "image", p.MIME(), p.Base64())
	case content.Audio:
		return c.blob(key, "audio", p.MIME(), p.Base64())
	}
	return node{attrs: []attribute.KeyValue{attribute.String("type", "unknown")}}
}

func (c capture) blob(key attribute.Key, modality, mime, data string) node {
	n := typed("blob", "content", c.clean(key, data))
	n.attrs = append(n.attrs, attribute.String("modality", modality), attribute.String("mime_type", valid(mime)))
	n.atomic = true
	return n
}

func (c capture) tool(t content.ToolSpec) node {
	n := node{attrs: []attribute.KeyValue{
		attribute.String("type", "function"),
		attribute.String("name", valid(t.Name)),
	}}
	if t.Description != "" {
		n.attrs = append(n.attrs, attribute.String("description", c.clean(semconv.GenAIToolDefinitionsKey, t.Description)))
	}
	if !t.Parameters.IsZero() {
		if v := parsed(c.clean(semconv.GenAIToolDefinitionsKey, t.Parameters.JSON())); v.Type() != attribute.EMPTY {
			n.attrs = append(n.attrs, attribute.KeyValue{Key: "parameters", Value: v})
		}
	}
	return n
}

func typed(kind, field, text string) node {
	return node{attrs: []attribute.KeyValue{attribute.String("type", kind)}, field: field, text: text}
}

func identified(n node, id string) node {
	if id != "" {
		n.attrs = append(n.attrs, attribute.String("id", valid(id)))
	}
	return n
}

// fit returns nodes that are at most limit bytes as a JSON array: the oldest go first, and of the last one that remains
// the longest texts are cut. It returns nil when not even its frame fits. The nodes given are not changed.
func fit(nodes []node, limit int) (kept []node, whole bool) {
	sizes := make([]int, len(nodes))
	total := len("[]") + len(nodes) - 1
	for i, n := range nodes {
		sizes[i] = n.size()
		total += sizes[i]
	}
	first := 0
	for ; total > limit && first < len(nodes)-1; first++ {
		total -= sizes[first] + len(",")
	}
	kept = nodes[first:]
	if total <= limit {
		return kept, first == 0
	}
	last, ok := kept[0].shrunk(limit - len("[]"))
	if !ok {
		return nil, false
	}
	return []node{last}, false
}

// shrunk returns the node within limit bytes of JSON: its longest text is cut on a rune boundary, then the next longest,
// and when all are empty its parts go, the oldest first.
func (n node) shrunk(limit int) (node, bool) {
	n.parts = append([]node(nil), n.parts...)
	for {
		over := n.size() - limit
		if over <= 0 {
			return n, true
		}
		if !n.cutLongest(over) {
			if len(n.parts) == 0 {
				return n, false
			}
			n.parts = n.parts[1:]
		}
	}
}

// cutLongest shortens the longest text of the node by at least over bytes of JSON, or empties it. It returns false when
// there is nothing left to shorten.
func (n *node) cutLongest(over int) bool {
	longest := n
	for i := range n.parts {
		if n.parts[i].cuttable() > longest.cuttable() {
			longest = &n.parts[i]
		}
	}
	if longest.cuttable() == 0 {
		return false
	}
	if longest.structured.Type() != attribute.EMPTY {
		// As a text it is no value any more, and its quotes count.
		longest.structured = attribute.Value{}
		return true
	}
	if longest.atomic {
		longest.text = ""
		return true
	}
	longest.text = prefix(longest.text, escaped(longest.text)-over)
	return true
}

func (n *node) cuttable() int {
	if n.field == "" {
		return 0
	}
	return len(n.text)
}

// prefix returns the longest prefix of s, in whole runes, that is at most n bytes inside a JSON string.
func prefix(s string, n int) string {
	for i, r := range s {
		if n -= escapedRune(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

// escaped is the length of s inside a JSON string.
func escaped(s string) int {
	n := 0
	for _, r := range s {
		n += escapedRune(r)
	}
	return n
}

// escapedRune is what [attribute.Value.String] makes of a rune.
func escapedRune(r rune) int {
	switch {
	case r == '"', r == '\\', r == '\b', r == '\f', r == '\n', r == '\r', r == '\t':
		return len(`\n`)
	case r < 0x20, r == '\u2028', r == '\u2029':
		return len(`\u2028`)
	}
	return utf8.RuneLen(r)
}

// maxNesting is how deep JSON may be nested to be recorded as a value; the SDK flattens what is deeper than 64.
const maxNesting = 32

// parsed returns JSON text as a value, and an empty one when it is not JSON, is nested too deep or is null.
func parsed(text string) attribute.Value {
	if depth(text) > maxNesting {
		return attribute.Value{}
	}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return attribute.Value{}
	}
	return valueOf(v)
}

func depth(text string) int {
	level, deepest := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	return deepest
}

func valueOf(v any) attribute.Value {
	switch v := v.(type) {
	case bool:
		return attribute.BoolValue(v)
	case float64:
		if i := int64(v); float64(i) == v && strconv.FormatInt(i, 10) == strconv.FormatFloat(v, 'f', -1, 64) {
			return attribute.Int64Value(i)
		}
		return attribute.Float64Value(v)
	case string:
		return attribute.StringValue(valid(v))
	case []any:
		all := make([]attribute.Value, len(v))
		for i, e := range v {
			all[i] = valueOf(e)
		}
		return attribute.SliceValue(all...)
	case map[string]any:
		all := make([]attribute.KeyValue, 0, len(v))
		for k, e := range v {
			all = append(all, attribute.KeyValue{Key: attribute.Key(valid(k)), Value: valueOf(e)})
		}
		return attribute.MapValue(all...)
	}
	return attribute.Value{}
}
