package telemetry

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
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
	// details, unless nil, are what stands beside field: both are in an object of their own, the member within.
	details []attribute.KeyValue
	within  attribute.Key
	// instead returns what stands in place of a text that is of no use in part; nil for a text that can be cut.
	instead func(node) node
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
	if n.details == nil {
		return attribute.MapValue(n.appendField(members)...)
	}
	within := attribute.MapValue(n.appendField(slices.Clone(n.details))...)
	return attribute.MapValue(append(members, attribute.KeyValue{Key: n.within, Value: within})...)
}

func (n node) appendField(members []attribute.KeyValue) []attribute.KeyValue {
	switch {
	case n.field == "":
		return members
	case n.structured.Type() != attribute.EMPTY:
		return append(members, attribute.KeyValue{Key: attribute.Key(n.field), Value: n.structured})
	}
	return append(members, attribute.String(n.field, n.text))
}

// size is the length of the node as JSON.
func (n node) size() int { return len(n.value().String()) }

func (c capture) message(key attribute.Key, m content.Message) node {
	n := node{message: true, attrs: []attribute.KeyValue{attribute.String("role", valid(string(m.Role())))}}
	var kind string
	var run []string // texts of that kind which follow each other
	flush := func() {
		for _, text := range c.runs(key, run) {
			n.parts = append(n.parts, typed(kind, "content", text))
		}
		run = run[:0]
	}
	for p := range m.Parts() {
		was, text, ok := kind, "", true
		switch p := p.(type) {
		case content.Text:
			kind, text = "text", string(p)
		case content.Reasoning:
			kind, text = "reasoning", p.Text
		default:
			ok = false
		}
		if len(run) > 0 && (!ok || kind != was) {
			now := kind
			kind = was
			flush()
			kind = now
		}
		if ok {
			run = append(run, text)
		} else {
			n.parts = append(n.parts, c.part(key, p))
		}
	}
	flush()
	return n
}

// part returns a part that is neither text nor reasoning.
func (c capture) part(key attribute.Key, p content.Part) node {
	switch p := p.(type) {
	case content.ToolCall:
		n := c.json(key, typed("tool_call", "arguments", ""), p.Arguments)
		n.attrs = append(n.attrs, attribute.String("name", c.clean(key, p.Name)))
		return c.identified(key, n, p.ID)
	case content.ToolResult:
		return c.identified(key, c.json(key, typed("tool_call_response", "response", ""), p.Content), p.CallID)
	case content.ServerToolCall:
		n := c.served(key, "server_tool_call", cmp.Or(p.Type, p.Name), "arguments", p.Arguments)
		n.attrs = append(n.attrs, attribute.String("name", c.clean(key, p.Name)))
		return c.identified(key, n, p.ID)
	case content.ServerToolResult:
		return c.identified(key, c.served(key, "server_tool_call_response", p.Type, "content", p.Content), p.CallID)
	case content.Image:
		if address := p.URL(); address != "" {
			n := typed("uri", "uri", c.clean(key, withoutUser(address)))
			n.attrs = append(n.attrs, attribute.String("modality", "image"))
			n.instead = func(n node) node { n.text = ""; return n }
			return n
		}
		return c.blob(key, "image", p.MIME(), p.Bytes())
	case content.Audio:
		return c.blob(key, "audio", p.MIME(), p.Bytes())
	case content.File:
		if p.ID() == "" {
			return c.blob(key, modality(p.MIME()), p.MIME(), p.Bytes())
		}
		n := typed("file", "file_id", c.clean(key, p.ID()))
		n.attrs = append(n.attrs, attribute.String("modality", "document"))
		n.instead = func(n node) node { n.text = ""; return n }
		return n
	}
	return node{attrs: []attribute.KeyValue{attribute.String("type", "unknown")}}
}

// served returns what a tool of the provider was called with, or gave, as far as it is known: an object with its kind, the
// rest of which is the provider's own affair.
func (c capture) served(key attribute.Key, part, kind, field, text string) node {
	n := typed(part, "", "")
	n.within, n.details = attribute.Key(part), []attribute.KeyValue{attribute.String("type", c.clean(key, kind))}
	if text != "" {
		n.field = field
		n = c.json(key, n, text)
	}
	return n
}

// modality is that of a file, by its media type.
func modality(mime string) string {
	switch kind, _, _ := strings.Cut(mime, "/"); kind {
	case "image", "audio", "video":
		return kind
	}
	return "document"
}

// blob returns binary data. Where there is no room for all of it, a reference to it stands in its place, of use to who has
// the data: its digest as a URI (RFC 6920), and its size.
func (c capture) blob(key attribute.Key, modality, mime string, data []byte) node {
	n := typed("blob", "content", c.base64(key, data))
	kind := []attribute.KeyValue{attribute.String("modality", modality), attribute.String("mime_type", c.clean(key, mime))}
	n.attrs = append(n.attrs, kind...)
	n.instead = func(n node) node {
		data, _ := base64.StdEncoding.DecodeString(n.text) // as it was cleaned
		digest := sha256.Sum256(data)
		return node{attrs: append(kind[:2:2], attribute.String("type", "uri"), attribute.Int("size", len(data)),
			attribute.String("uri", "ni:///sha-256;"+base64.RawURLEncoding.EncodeToString(digest[:])))}
	}
	return n
}

func (c capture) tool(t content.ToolSpec) node {
	n := node{attrs: []attribute.KeyValue{
		attribute.String("type", "function"),
		attribute.String("name", c.clean(semconv.GenAIToolDefinitionsKey, t.Name)),
	}}
	if t.Description != "" {
		n.attrs = append(n.attrs, attribute.String("description", c.clean(semconv.GenAIToolDefinitionsKey, t.Description)))
	}
	if !t.Parameters.IsZero() {
		if v, ok := parsed(t.Parameters.JSON()); ok {
			n.attrs = append(n.attrs, attribute.KeyValue{Key: "parameters", Value: c.value(semconv.GenAIToolDefinitionsKey, "", v)})
		}
	}
	return n
}

func typed(kind, field, text string) node {
	return node{attrs: []attribute.KeyValue{attribute.String("type", kind)}, field: field, text: text}
}

func (c capture) identified(key attribute.Key, n node, id string) node {
	if id != "" {
		n.attrs = append(n.attrs, attribute.String("id", c.clean(key, id)))
	}
	return n
}

// fit returns nodes that are at most limit bytes as a JSON array: binary data that is too much by itself becomes a
// reference, then the oldest nodes go, and of the last one that remains the longest texts are cut. It returns nil when not
// even its frame fits. The nodes given are not changed.
func fit(nodes []node, limit int) (kept []node, whole bool) {
	sizes := make([]int, len(nodes))
	total := len("[]") + len(nodes) - 1
	for i, n := range nodes {
		sizes[i] = n.size()
		total += sizes[i]
	}
	if total <= limit {
		return nodes, true
	}
	nodes = slices.Clone(nodes)
	for i := range nodes {
		if nodes[i].refer(limit) {
			total -= sizes[i]
			sizes[i] = nodes[i].size()
			total += sizes[i]
		}
	}
	first := 0
	for ; total > limit && first < len(nodes)-1; first++ {
		total -= sizes[first] + len(",")
	}
	kept = nodes[first:]
	if total <= limit {
		return kept, false
	}
	last, ok := kept[0].shrunk(limit - len("[]"))
	if !ok {
		return nil, false
	}
	return []node{last}, false
}

// refer puts references in place of the parts that are more than limit bytes. It returns whether there were any.
func (n *node) refer(limit int) bool {
	found := false
	for i, p := range n.parts {
		if p.instead == nil || len(p.text) <= limit {
			continue
		}
		if !found {
			n.parts = slices.Clone(n.parts)
			found = true
		}
		p = p.instead(p)
		p.instead = nil
		n.parts[i] = p
	}
	return found
}

// shorten is [fit] for parts of one text: the longest are cut, and the oldest go last of all.
func shorten(parts []node, limit int) (kept []node, whole bool) {
	around := node{message: true, parts: parts}
	frame := around.size() - len("[]") - len(parts) + 1
	for _, p := range parts {
		frame -= p.size()
	}
	if around.size()-frame <= limit {
		return parts, true
	}
	short, ok := around.shrunk(limit + frame)
	if !ok || len(short.parts) == 0 {
		return nil, false
	}
	return short.parts, false
}

// shrunk returns the node within limit bytes of JSON: its longest text is cut on a rune boundary, then the next longest,
// and when all are empty its parts go, the oldest first.
func (n node) shrunk(limit int) (node, bool) {
	n.parts = append([]node(nil), n.parts...)
	// What it comes to is added up part by part: to measure it all in each round would be slow with many parts.
	for size := n.size(); ; {
		if size <= limit {
			if size = n.size(); size <= limit {
				return n, true
			}
		}
		freed, cut := n.cutLongest(size - limit)
		switch {
		case cut:
			size -= freed
		case len(n.parts) == 0:
			return n, false
		default:
			size -= n.parts[0].size() + len(",")
			n.parts = n.parts[1:]
		}
	}
}

// cutLongest shortens the longest text of the node by at least over bytes of JSON, or empties it. It returns how many
// bytes of JSON there are less, and false when there is nothing left to shorten.
func (n *node) cutLongest(over int) (freed int, cut bool) {
	longest := n
	for i := range n.parts {
		if n.parts[i].cuttable() > longest.cuttable() {
			longest = &n.parts[i]
		}
	}
	if longest.cuttable() == 0 {
		return 0, false
	}
	before := longest.size()
	switch {
	case longest.structured.Type() != attribute.EMPTY:
		// As a text it is no value any more, and its quotes count.
		longest.structured = attribute.Value{}
	case longest.instead != nil:
		*longest = longest.instead(*longest)
		longest.instead = nil
	default:
		longest.text = prefix(longest.text, escaped(longest.text)-over)
	}
	return before - longest.size(), true
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

// object returns the node's text as an object within limit bytes, and whether it is all of it: the JSON it is when that
// is an object, else one with the text as its only member. It is empty when not even that fits.
func (n node) object(limit int) (v attribute.Value, whole bool) {
	if n.structured.Type() == attribute.MAP {
		v = n.structured
	} else {
		v = n.value()
	}
	if len(v.String()) <= limit {
		return v, true
	}
	n.structured = attribute.Value{}
	short, ok := n.shrunk(limit)
	if !ok {
		return attribute.Value{}, false
	}
	return short.value(), false
}

// withoutUser returns a URL without its user and password, "" for one that cannot be read.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}
