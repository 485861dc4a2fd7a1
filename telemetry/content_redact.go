package telemetry

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// A Redactor is given each piece of content before it is recorded or stored, with the name of the attribute it is for, and
// returns what to record in its place. It is called by several goroutines at once. If it panics, the content is not
// recorded.
//
// It sees text as it was meant, not as JSON writes it: of tool arguments, tool results and schemas each string, each
// number and each name of a member by itself. Where it lets a member pass it is asked once more, about "name: value", and
// when it would change that, "[redacted]" stands in place of the value: a password is known by its name. The same goes for
// variables of a prompt. Texts that follow each other in a message are looked at together as well, and a reply that was
// streamed is whole by then. Of binary parts it sees the base64, or the text where they are text.
//
// Package [github.com/mellea-go/mellea/telemetry/redact] has ready-made ones.
type Redactor func(attribute, text string) string

const redacted = "[redacted]"

// clean is what every text passes: the redactor, and the repair of what is not UTF-8, which OTLP cannot carry.
func (c capture) clean(key attribute.Key, text string) string {
	if c.redact != nil {
		text = c.redact(string(key), text)
	}
	return valid(text)
}

// member cleans the value of a member, whose name may say that it is secret.
func (c capture) member(key attribute.Key, name, text string) string {
	clean := c.clean(key, text)
	if c.redact == nil || name == "" || text == "" || clean != valid(text) {
		return clean
	}
	// Bare, as a number is written, and quoted, as a text is: a redactor takes the one to end at a space.
	for _, probe := range []string{name + ": " + text, strconv.Quote(name) + ": " + strconv.Quote(text)} {
		if c.redact(string(key), probe) != probe {
			return redacted
		}
	}
	return clean
}

// runs cleans texts that follow each other. They are joined where something to be redacted is split between them.
func (c capture) runs(key attribute.Key, texts []string) []string {
	clean := make([]string, len(texts))
	for i, t := range texts {
		clean[i] = c.clean(key, t)
	}
	if c.redact == nil || len(texts) < 2 {
		return clean
	}
	if together := c.clean(key, strings.Join(texts, "")); together != strings.Join(clean, "") {
		return []string{together}
	}
	return clean
}

// base64 cleans binary data, and encodes it.
func (c capture) base64(key attribute.Key, data []byte) string {
	encoded := base64.StdEncoding.EncodeToString(data)
	if c.redact == nil {
		return encoded
	}
	if utf8.Valid(data) {
		return base64.StdEncoding.EncodeToString([]byte(c.clean(key, string(data))))
	}
	clean := c.clean(key, encoded)
	if _, err := base64.StdEncoding.DecodeString(clean); err != nil {
		return ""
	}
	return clean
}

// maxNesting is how deep JSON may be nested to be recorded as a value; the SDK flattens what is deeper than 64.
const maxNesting = 32

// json returns n with a text that a model or a tool wrote: structured where it is JSON, and not null or nested too deep.
func (c capture) json(key attribute.Key, n node, text string) node {
	if v, ok := parsed(text); ok {
		n.structured = c.value(key, "", v)
		n.text = n.structured.String()
		return n
	}
	n.text = c.clean(key, text)
	return n
}

func parsed(text string) (any, bool) {
	if depth(text) > maxNesting {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil || v == nil {
		return nil, false
	}
	if _, err := dec.Token(); err == nil { // there is more
		return nil, false
	}
	return v, dec.InputOffset() >= int64(len(strings.TrimRight(text, " \t\r\n")))
}

// depth is how deep a JSON text nests.
func depth(text string) int {
	level, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		if quoted {
			switch text[i] {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		}
		switch text[i] {
		case '"':
			quoted = true
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	return deepest
}

// value returns JSON as the value of an attribute, cleaned. name is that of the member it belongs to.
func (c capture) value(key attribute.Key, name string, v any) attribute.Value {
	switch v := v.(type) {
	case bool:
		return attribute.BoolValue(v)
	case json.Number:
		if clean := c.member(key, name, v.String()); clean != v.String() {
			return attribute.StringValue(clean)
		}
		return numberOf(v)
	case string:
		return attribute.StringValue(c.member(key, name, v))
	case []any:
		all := make([]attribute.Value, len(v))
		for i, e := range v {
			all[i] = c.value(key, name, e)
		}
		return attribute.SliceValue(all...)
	case map[string]any:
		all := make([]attribute.KeyValue, 0, len(v))
		for k, e := range v {
			k = c.clean(key, k)
			all = append(all, attribute.KeyValue{Key: attribute.Key(k), Value: c.value(key, k, e)})
		}
		return attribute.MapValue(all...)
	}
	return attribute.Value{}
}

// numberOf returns a number as JSON has it: a whole one where it is one.
func numberOf(n json.Number) attribute.Value {
	f, err := n.Float64()
	if err != nil {
		return attribute.StringValue(n.String())
	}
	if i, err := n.Int64(); err == nil {
		return attribute.Int64Value(i)
	}
	if i := int64(f); float64(i) == f && strconv.FormatInt(i, 10) == strconv.FormatFloat(f, 'f', -1, 64) {
		return attribute.Int64Value(i)
	}
	return attribute.Float64Value(f)
}
