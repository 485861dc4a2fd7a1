package schema

import (
	"slices"
	"strings"
	"unicode"
)

// maxReply bounds what is read as JSON, in bytes.
const maxReply = 16 << 20

// Repaired is the JSON document that a model's reply has.
type Repaired struct {
	// JSON is the document, valid by the schema.
	JSON []byte
	// Fixes says what was put right, in few fixed words each; none for a reply that was right as it is.
	Fixes []string
}

// What is put right. None of these changes what a document says.
const (
	fixText      = "text around the document was left out"
	fixThink     = "reasoning before the document was left out"
	fixComma     = "a trailing comma was left out"
	fixComment   = "a comment was left out"
	fixQuote     = "single quotes became double quotes"
	fixName      = "a name was put in quotes"
	fixLiteral   = "True, False and None became true, false and null"
	fixControl   = "a raw line break or tab in a string was escaped"
	fixEscape    = `an escaped single quote became a single quote`
	fixNull      = "null for an optional property was left out"
	fixInteger   = "an integer was written without its fraction or exponent"
	fixUnwrapped = "a document in a string was taken out of it"
)

// syntax says why a text is no JSON document.
type syntax struct {
	at        int // the offset, in bytes
	reason    string
	truncated bool
}

// reading is a document in a reply.
type reading struct {
	v          *node
	start, end int
	fixes      []string
}

// read finds the JSON documents of a reply. What looks like one and cannot be read is the error, so that no part of a
// broken document passes for the whole; braces of prose are passed over. Without an object or array the whole reply is the
// document.
func read(reply string) ([]reading, *syntax) {
	var before []string
	s := strings.TrimPrefix(reply, "\ufeff")
	if body, ok := strings.CutPrefix(strings.TrimSpace(s), "<think>"); ok {
		if _, answer, ok := strings.Cut(body, "</think>"); ok {
			s = answer
			before = append(before, fixThink)
		}
	}
	var found []reading
	for i := 0; i < len(s); {
		open := strings.IndexAny(s[i:], "{[")
		if open < 0 {
			break
		}
		i += open
		if !opens(s[i:]) {
			i++
			continue
		}
		p := parser{s: s, i: i}
		v, err := p.value(0)
		if err != nil {
			return nil, err
		}
		found = append(found, reading{v, i, p.i, p.fixes})
		i = p.i
	}
	if len(found) == 0 {
		return scalar(s, before)
	}
	for i := range found {
		around := s[:found[i].start] + s[found[i].end:]
		fixes := before
		if strings.TrimSpace(around) != "" {
			fixes = append(slices.Clip(fixes), fixText)
		}
		found[i].fixes = append(slices.Clip(fixes), found[i].fixes...)
	}
	return found, nil
}

// scalar reads a reply that is a string, a number or a literal, in a code fence or not.
func scalar(s string, fixes []string) ([]reading, *syntax) {
	body := strings.TrimSpace(s)
	if inner, ok := strings.CutPrefix(body, "```"); ok {
		info, rest, _ := strings.Cut(inner, "\n")
		if rest, ok := strings.CutSuffix(rest, "```"); ok && !strings.Contains(info, "`") {
			body = strings.TrimSpace(rest)
			fixes = append(fixes, fixText)
		}
	}
	if body == "" {
		return nil, &syntax{0, "the reply is empty", false}
	}
	p := parser{s: body}
	v, err := p.value(0)
	if err != nil {
		if !strings.ContainsAny(body[:1], `"'-0123456789`) {
			err.reason = "there is no JSON document in the reply"
		}
		return nil, err
	}
	p.space()
	if p.i < len(body) {
		return nil, &syntax{p.i, "more text follows the JSON document", false}
	}
	return []reading{{v, 0, len(body), append(fixes, p.fixes...)}}, nil
}

// opens reports whether s, which begins with a brace or a bracket, looks like the start of a JSON document.
func opens(s string) bool {
	p := parser{s: s, i: 1}
	if p.space() != nil || p.i >= len(s) {
		return true // cut off
	}
	rest := s[p.i:]
	if s[0] == '{' {
		if rest[0] == '"' || rest[0] == '}' {
			return true
		}
		if rest[0] == '\'' {
			return true
		}
		name := identifier(rest)
		p.i += len(name)
		if name == "" {
			return false
		}
		_ = p.space()
		return p.i >= len(s) || s[p.i] == ':'
	}
	switch c := rest[0]; {
	case strings.IndexByte(`{["']`, c) >= 0:
		return true
	case c == '-' || '0' <= c && c <= '9':
		return true
	}
	switch word := identifier(rest); word {
	case "true", "false", "null", "True", "False", "None":
		return true
	default:
		return false
	}
}

// identifier returns the name that s begins with, "" for none.
func identifier(s string) string {
	for i, c := range s {
		if c != '_' && c != '$' && !unicode.IsLetter(c) && (i == 0 || c != '-' && !unicode.IsDigit(c)) {
			return s[:i]
		}
	}
	return s
}
