package telemetry

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// DefaultContentMaxBytes is the cap on one captured value.
const DefaultContentMaxBytes = 16384

// capture records content: prompts, replies, reasons, texts of requirements, messages of errors. Its zero value records
// none. All content passes through it, and nothing else on spans may come from a prompt, a reply or a foreign error.
type capture struct {
	on      bool
	max     int  // bytes of one value, as JSON where it is a document
	strings bool // documents as JSON strings, not structured
	redact  Redactor
	store   *contentQueue // of documents, whether they are recorded on spans or not; nil is none
}

// capturing returns what c and o ask for. A value is no longer than the SDK allows one to be: it cuts strings wherever the
// limit falls, and half a document is none.
func capturing(c config, o options) capture {
	longest := c.maxBytes
	if limit := sdktrace.NewSpanLimits().AttributeValueLengthLimit; limit >= 0 {
		longest = min(longest, limit)
	}
	return capture{on: c.content, max: longest, strings: o.asStrings, redact: o.redact}
}

// documents reports whether messages and the like are wanted anywhere.
func (c capture) documents() bool { return c.on || c.store != nil }

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

// object records a text that may be JSON as an object, which the conventions demand: what is none becomes the member field
// of one. Over the cap it is the text of that member, cut.
func (c capture) object(span trace.Span, key attribute.Key, field, text string) {
	if !c.documents() || text == "" || !span.IsRecording() {
		return
	}
	n := c.json(key, node{field: field}, text)
	d := documents{capture: c, span: span}
	d.set(key, n.object)
	d.close()
}

// exchange records the messages, tools and reply of a generation. A reply of which nothing arrived is not recorded.
func (c capture) exchange(span trace.Span, messages content.Messages, tools content.List[content.ToolSpec], reply content.Message) {
	if !c.documents() || !span.IsRecording() {
		return
	}
	d := documents{capture: c, span: span}
	if !reply.PlainText() || reply.Text() != "" {
		d.record(semconv.GenAIOutputMessagesKey, fit, c.message(semconv.GenAIOutputMessagesKey, reply))
	}
	var system, input []node
	for m := range messages.Values() {
		if m.Role() != content.RoleSystem {
			input = append(input, c.message(semconv.GenAIInputMessagesKey, m))
			continue
		}
		texts, rest := split(m)
		system = append(system, c.message(semconv.GenAISystemInstructionsKey, texts).parts...)
		if rest.Role() != "" {
			input = append(input, c.message(semconv.GenAIInputMessagesKey, rest))
		}
	}
	d.record(semconv.GenAIInputMessagesKey, fit, input...)
	d.record(semconv.GenAISystemInstructionsKey, shorten, system...)
	var defs []node
	for tool := range tools.Values() {
		defs = append(defs, c.tool(tool))
	}
	d.record(semconv.GenAIToolDefinitionsKey, fit, defs...)
	d.close()
}

// split takes a system message apart: instructions are text, and what else there may be is a message. That has no role
// when there is nothing else.
func split(m content.Message) (texts, rest content.Message) {
	if m.PlainText() {
		return m, content.Message{}
	}
	var some, others []content.Part
	for p := range m.Parts() {
		if _, ok := p.(content.Text); ok {
			some = append(some, p)
		} else {
			others = append(others, p)
		}
	}
	if len(others) > 0 {
		rest = content.NewMessage(m.Role(), others...)
	}
	return content.NewMessage(m.Role(), some...), rest
}

// maxVariables of a prompt template are recorded: a span has room for so many attributes only.
const maxVariables = 32

// variables records those of a prompt template whose values are in the messages as they were sent: what a guard took out
// of a message must not come back this way.
func (c capture) variables(span trace.Span, all content.List[hookpoint.Variable], sent content.Messages) {
	if !c.on || !span.IsRecording() {
		return
	}
	var attrs []attribute.KeyValue
	whole, n := true, 0
	for v := range all.Values() {
		if v.Value == "" || !contains(sent, v.Value) {
			continue
		}
		if n++; n > maxVariables {
			whole = false
			break
		}
		key := semconv.GenAIPromptVariableKey + attribute.Key("."+c.clean(semconv.GenAIPromptVariableKey, v.Name))
		text, all := cut(c.member(key, v.Name, v.Value), c.max)
		attrs, whole = append(attrs, key.String(text)), whole && all
	}
	if len(attrs) > 0 {
		span.SetAttributes(c.mark(attrs, whole)...)
	}
}

func contains(messages content.Messages, text string) bool {
	for m := range messages.Values() {
		if strings.Contains(m.Text(), text) {
			return true
		}
	}
	return false
}

// documents are the structured values of one span.
type documents struct {
	capture capture
	span    trace.Span
	cut     bool // something of them is missing
}

// record sets one. An empty one is not recorded.
func (d *documents) record(key attribute.Key, within func(nodes []node, limit int) ([]node, bool), doc ...node) {
	if len(doc) == 0 {
		return
	}
	d.set(key, func(limit int) (attribute.Value, bool) {
		kept, whole := within(doc, limit)
		if kept == nil {
			return attribute.Value{}, false
		}
		values := make([]attribute.Value, len(kept))
		for i, n := range kept {
			values[i] = n.value()
		}
		return attribute.SliceValue(values...), whole
	})
}

// set puts a document where it is wanted: on the span, within the cap, and into the store, of which the span has a
// reference then.
func (d *documents) set(key attribute.Key, within func(limit int) (v attribute.Value, whole bool)) {
	if d.capture.store != nil {
		if v, whole := within(storedMaxBytes); v.Type() != attribute.EMPTY {
			if ref, ok := d.capture.store.add(v.String()); ok {
				d.span.SetAttributes(references[key].String(valid(ref)))
			}
			d.cut = d.cut || !whole
		}
	}
	if !d.capture.on {
		return
	}
	v, whole := within(d.capture.max)
	d.cut = d.cut || !whole
	if v.Type() == attribute.EMPTY {
		return
	}
	if d.capture.strings {
		v = attribute.StringValue(v.String())
	}
	d.span.SetAttributes(attribute.KeyValue{Key: key, Value: v})
}

// close says whether they are whole.
func (d *documents) close() {
	if d.cut {
		d.span.SetAttributes(semconv.MelleaContentTruncatedKey.Bool(true))
	}
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
