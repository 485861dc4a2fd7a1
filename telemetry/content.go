package telemetry

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// DefaultContentMaxBytes is the cap on one captured value.
const DefaultContentMaxBytes = 16384

// A Redactor is given each piece of content before it is recorded, with the name of the attribute it is for, and returns
// what to record in its place. It is called by several goroutines at once. If it panics, the content is not recorded.
type Redactor func(attribute, text string) string

// capture records content: prompts, replies, reasons, texts of requirements, messages of errors. Its zero value records
// none. All content passes through it, and nothing else on spans may come from a prompt, a reply or a foreign error.
type capture struct {
	on      bool
	max     int  // bytes of one value, as JSON where it is a document
	strings bool // documents as JSON strings, not structured
	redact  Redactor
}

// clean is what every text passes: the redactor, and the repair of what is not UTF-8, which OTLP cannot carry.
func (c capture) clean(key attribute.Key, text string) string {
	if c.redact != nil {
		text = c.redact(string(key), text)
	}
	return valid(text)
}

// describe returns the description of a failed span's status.
func (c capture) describe(err error) string {
	if !c.on {
		return valid(summary(err))
	}
	text, _ := cut(c.clean("exception.message", detail(err)), c.max)
	return text
}

// text records one text. An empty one is not recorded.
func (c capture) text(span trace.Span, key attribute.Key, text string) {
	if attrs := c.appendText(nil, key, text); attrs != nil && span.IsRecording() {
		span.SetAttributes(attrs...)
	}
}

// appendText is [capture.text] for the attributes of an event.
func (c capture) appendText(attrs []attribute.KeyValue, key attribute.Key, text string) []attribute.KeyValue {
	if !c.on || text == "" {
		return attrs
	}
	text, whole := cut(c.clean(key, text), c.max)
	return c.mark(append(attrs, key.String(text)), whole)
}

// object records a text that may be JSON as an object, which the conventions demand: what is none becomes the member field
// of one. Over the cap it is the text of that member, cut.
func (c capture) object(span trace.Span, key attribute.Key, field, text string) {
	if !c.on || text == "" || !span.IsRecording() {
		return
	}
	text = c.clean(key, text)
	n := node{field: field, text: text, structured: parsed(text)}
	v, whole := n.value(), true
	if n.structured.Type() == attribute.MAP {
		v = n.structured
	}
	if len(v.String()) > c.max {
		n.structured = attribute.Value{}
		short, ok := n.shrunk(c.max)
		if !ok {
			return
		}
		v, whole = short.value(), false
	}
	if c.strings {
		v = attribute.StringValue(v.String())
	}
	span.SetAttributes(c.mark([]attribute.KeyValue{{Key: key, Value: v}}, whole)...)
}

func (c capture) mark(attrs []attribute.KeyValue, whole bool) []attribute.KeyValue {
	if whole {
		return attrs
	}
	return append(attrs, semconv.MelleaContentTruncatedKey.Bool(true))
}

// texts records a list of texts. Over the cap the last ones are cut, then left out.
func (c capture) texts(span trace.Span, key attribute.Key, texts []string) {
	if !c.on || len(texts) == 0 || !span.IsRecording() {
		return
	}
	left, whole := c.max, true
	kept := make([]string, 0, len(texts))
	for _, t := range texts {
		t, all := cut(c.clean(key, t), left)
		left -= len(t)
		whole = whole && all
		if t != "" || all {
			kept = append(kept, t)
		}
	}
	span.SetAttributes(c.mark([]attribute.KeyValue{key.StringSlice(kept)}, whole)...)
}

// exchange records the messages, tools and reply of a generation. A reply of which nothing arrived is not recorded.
func (c capture) exchange(span trace.Span, messages content.Messages, tools content.List[content.ToolSpec], reply content.Message) {
	if !c.on || !span.IsRecording() {
		return
	}
	d := documents{capture: c, span: span}
	if !reply.PlainText() || reply.Text() != "" {
		d.record(semconv.GenAIOutputMessagesKey, []node{c.message(semconv.GenAIOutputMessagesKey, reply)})
	}
	var system, input []node
	for m := range messages.Values() {
		if m.Role() == content.RoleSystem {
			system = append(system, c.message(semconv.GenAISystemInstructionsKey, m).parts...)
		} else {
			input = append(input, c.message(semconv.GenAIInputMessagesKey, m))
		}
	}
	d.record(semconv.GenAIInputMessagesKey, input)
	d.record(semconv.GenAISystemInstructionsKey, system)
	var defs []node
	for tool := range tools.Values() {
		defs = append(defs, c.tool(tool))
	}
	d.record(semconv.GenAIToolDefinitionsKey, defs)
	d.close()
}

// documents are the structured values of one span.
type documents struct {
	capture capture
	span    trace.Span
	cut     bool // something of them is missing
}

// record sets one. An empty one is not recorded.
func (d *documents) record(key attribute.Key, doc []node) {
	if len(doc) == 0 {
		return
	}
	v, whole := d.capture.document(doc)
	d.cut = d.cut || !whole
	if v.Type() != attribute.EMPTY {
		d.span.SetAttributes(attribute.KeyValue{Key: key, Value: v})
	}
}

// close says whether they are whole.
func (d *documents) close() {
	if d.cut {
		d.span.SetAttributes(semconv.MelleaContentTruncatedKey.Bool(true))
	}
}

// variables records those of a prompt template whose values are in the messages as they were sent: what a guard took out
// of a message must not come back this way.
func (c capture) variables(span trace.Span, all content.List[hookpoint.Variable], sent content.Messages) {
	if !c.on {
		return
	}
	for v := range all.Values() {
		for m := range sent.Values() {
			if strings.Contains(m.Text(), v.Value) {
				c.text(span, semconv.GenAIPromptVariableKey+attribute.Key("."+valid(v.Name)), v.Value)
				break
			}
		}
	}
}

// document returns nodes as one value within the cap, and whether it holds all of them. It is empty when not even the
// frame of the last node fits.
func (c capture) document(nodes []node) (attribute.Value, bool) {
	kept, whole := fit(nodes, c.max)
	if kept == nil {
		return attribute.Value{}, false
	}
	values := make([]attribute.Value, len(kept))
	for i, n := range kept {
		values[i] = n.value()
	}
	v := attribute.SliceValue(values...)
	if c.strings {
		v = attribute.StringValue(v.String())
	}
	return v, whole
}

// valid returns s with what is not UTF-8 replaced.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// cut returns the longest prefix of s that has at most n bytes and whole runes, and whether that is all of it.
func cut(s string, n int) (string, bool) {
	if len(s) <= n {
		return s, true
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], false
}

// set sets attributes that are no content. OTLP refuses a whole batch for one text that is not UTF-8, and a provider may
// send one, so texts are made valid here.
func (o *operation) set(attrs []attribute.KeyValue) {
	for i := range attrs {
		if v := attrs[i].Value; v.Type() == attribute.STRING && !utf8.ValidString(v.AsString()) {
			attrs[i].Value = attribute.StringValue(valid(v.AsString()))
		}
	}
	o.span.SetAttributes(attrs...)
}
