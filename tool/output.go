package tool

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Output is what a tool gave.
type Output struct {
	// Text is what the model is told: a string, a [fmt.Stringer] that is no JSON marshaller and has no other form, or JSON.
	Text string
	// Value is what the function returned, nil when a review changed Text. It must not be changed.
	Value any
	// Truncated says that Text is not all of the result.
	Truncated bool
}

// render makes the Output of a result.
func (t Tool) render(v any) (Output, error) {
	text, err := textOf(v)
	if err != nil {
		return Output{}, &Error{Tool: t.Name(), Err: fmt.Errorf("its result cannot be shown as JSON: %w", err)}
	}
	out := Output{Text: strings.ToValidUTF8(text, "\uFFFD"), Value: v}
	out.Text, out.Truncated = cut(out.Text, t.d.maxResult)
	return out, nil
}

func textOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case string:
		return v, nil
	case json.RawMessage:
		return string(v), nil
	}
	return encode(v)
}

// cut returns at most the first n bytes of text, on a rune boundary, followed by a line that says what is missing.
func cut(text string, n int) (string, bool) {
	if n < 1 || len(text) <= n {
		return text, false
	}
	end := n
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s\n[The result has %d bytes. Only the first %d are shown.]", text[:end], len(text), end), true
}
