package otlptest

import (
	"slices"
	"strings"
)

// Tree draws spans as an indented tree of names, for comparison with a literal: one line a span, two spaces a level,
// siblings in the order they started. Spans whose parent is not among them are roots. Show adds to a line what it
// returns; it may be nil.
func Tree(spans []Span, show ...func(Span) string) string {
	spans = slices.Clone(spans)
	sortSpans(spans)
	here := map[string]bool{}
	for _, s := range spans {
		here[s.SpanID] = true
	}
	var b strings.Builder
	var draw func(parent string, level int)
	line := func(s Span, level int) {
		b.WriteString(strings.Repeat("  ", level) + s.Name)
		for _, f := range show {
			if text := f(s); text != "" {
				b.WriteString(" " + text)
			}
		}
		b.WriteByte('\n')
		draw(s.SpanID, level+1)
	}
	draw = func(parent string, level int) {
		for _, s := range spans {
			if s.Parent == parent {
				line(s, level)
			}
		}
	}
	for _, s := range spans {
		if s.Parent == "" || !here[s.Parent] {
			line(s, 0)
		}
	}
	return b.String()
}
