package component

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// reserved are the names that mean something in text/template when they stand alone.
var reserved = map[string]bool{
	"block": true, "break": true, "continue": true, "define": true, "else": true, "end": true, "if": true, "range": true,
	"template": true, "with": true, "true": true, "false": true, "nil": true,

	"and": true, "call": true, "eq": true, "ge": true, "gt": true, "html": true, "index": true, "js": true, "le": true,
	"len": true, "lt": true, "ne": true, "not": true, "or": true, "print": true, "printf": true, "println": true,
	"slice": true, "urlquery": true,
}

// expandShorthand turns each action that is a bare name, {{name}}, into the field of that name, {{.name}}. Keywords and
// functions of text/template stay what they are, and so does everything inside quotes and comments.
func expandShorthand(text string) string {
	var b strings.Builder
	done := 0 // text up to here is in b
	for at := 0; ; {
		open := strings.Index(text[at:], "{{")
		if open < 0 {
			break
		}
		at += open + len("{{")
		if name, ok := bareName(text[at:]); ok {
			b.WriteString(text[done : at+name])
			b.WriteByte('.')
			done = at + name
		}
		at += actionLen(text[at:])
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

const space = " \t\r\n" // what text/template takes for space

// bareName returns where the name begins in an action that is nothing but a name. The text begins behind the left
// delimiter.
func bareName(text string) (start int, ok bool) {
	rest := text
	if len(rest) >= 2 && rest[0] == '-' && strings.IndexByte(space, rest[1]) >= 0 {
		rest = rest[1:]
	}
	rest = strings.TrimLeft(rest, space)
	start = len(text) - len(rest)
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end <= 0 || reserved[rest[:end]] {
		return 0, false
	}
	if first, _ := utf8.DecodeRuneInString(rest); unicode.IsDigit(first) {
		return 0, false
	}
	tail := rest[end:]
	rest = strings.TrimLeft(tail, space)
	if len(rest) < len(tail) {
		rest = strings.TrimPrefix(rest, "-")
	}
	return start, strings.HasPrefix(rest, "}}")
}

// actionLen returns the length of an action up to and with its right delimiter, or of all the text when it has none.
// The text begins behind the left delimiter.
func actionLen(text string) int {
	body := text
	if len(body) >= 2 && body[0] == '-' && strings.IndexByte(space, body[1]) >= 0 {
		body = strings.TrimLeft(body[1:], space)
	}
	if comment, ok := strings.CutPrefix(body, "/*"); ok {
		end := strings.Index(comment, "*/") // behind the opening, whose asterisk is not the closing's
		if end < 0 {
			return len(text)
		}
		body = comment[end:]
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '}':
			if strings.HasPrefix(body[i:], "}}") {
				return len(text) - len(body) + i + 2
			}
		case '`':
			end := strings.IndexByte(body[i+1:], '`')
			if end < 0 {
				return len(text)
			}
			i += 1 + end
		case '"', '\'':
			for i++; i < len(body) && body[i] != c; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		}
	}
	return len(text)
}
