package schema

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads JSON and what models write in its place where its meaning is beyond doubt.
type parser struct {
	s     string
	i     int
	fixes []string
}

func (p *parser) fixed(what string) {
	if !slices.Contains(p.fixes, what) {
		p.fixes = append(p.fixes, what)
	}
}

func (p *parser) fail(format string, args ...any) *syntax {
	return &syntax{at: p.i, reason: fmt.Sprintf(format, args...)}
}

func (p *parser) cut(what string) *syntax {
	return &syntax{at: len(p.s), reason: "the document is cut off in " + what, truncated: true}
}

// space skips white space and comments.
func (p *parser) space() *syntax {
	for p.i < len(p.s) {
		rest := p.s[p.i:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.i++
		case strings.HasPrefix(rest, "\u00a0"):
			p.i += len("\u00a0")
		case strings.HasPrefix(rest, "//"):
			p.fixed(fixComment)
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			p.i += n
		case strings.HasPrefix(rest, "/*"):
			p.fixed(fixComment)
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return p.cut("a comment")
			}
			p.i += n + 4
		default:
			return nil
		}
	}
	return nil
}

func (p *parser) value(depth int) (*node, *syntax) {
	if depth > maxDepth {
		return nil, p.fail("%v", errDeep)
	}
	if err := p.space(); err != nil {
		return nil, err
	}
	if p.i >= len(p.s) {
		return nil, p.cut("a value")
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"' || c == '\'':
		s, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return textNode(s), nil
	case c == '-' || c == '+' || c == '.' || '0' <= c && c <= '9':
		return p.number()
	}
	return p.word()
}

// next skips to the mark that follows a value in an object or array, and past it. It reports whether the composite ends.
func (p *parser) next(closing byte, what string) (end bool, err *syntax) {
	if err := p.space(); err != nil {
		return false, err
	}
	if p.i >= len(p.s) {
		return false, p.cut(what)
	}
	switch p.s[p.i] {
	case closing:
		p.i++
		return true, nil
	case ',':
		p.i++
	default:
		return false, p.fail("after a value in %s comes %s, want a comma or %q", what, p.here(), closing)
	}
	if err := p.space(); err != nil {
		return false, err
	}
	if p.i < len(p.s) && p.s[p.i] == closing {
		p.fixed(fixComma)
		p.i++
		return true, nil
	}
	return false, nil
}

// here quotes the character at the offset.
func (p *parser) here() string {
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return fmt.Sprintf("%q", r)
}

func (p *parser) array(depth int) (*node, *syntax) {
	p.i++
	n := &node{kind: array}
	if err := p.space(); err != nil {
		return nil, err
	}
	if p.i < len(p.s) && p.s[p.i] == ']' {
		p.i++
		return n, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, v)
		if end, err := p.next(']', "an array"); end || err != nil {
			return n, err
		}
	}
}

func (p *parser) object(depth int) (*node, *syntax) {
	p.i++
	n := &node{kind: object}
	seen := map[string]bool{}
	if err := p.space(); err != nil {
		return nil, err
	}
	if p.i < len(p.s) && p.s[p.i] == '}' {
		p.i++
		return n, nil
	}
	for {
		at := p.i
		name, err := p.memberName()
		if err != nil {
			return nil, err
		}
		if seen[name] {
			p.i = at
			return nil, p.fail("the name %q occurs twice in one object", name)
		}
		seen[name] = true
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{name, v})
		if end, err := p.next('}', "an object"); end || err != nil {
			return n, err
		}
	}
}

// memberName reads a name and its colon.
func (p *parser) memberName() (string, *syntax) {
	if p.i >= len(p.s) {
		return "", p.cut("an object")
	}
	var name string
	if c := p.s[p.i]; c == '"' || c == '\'' {
		var err *syntax
		if name, err = p.quoted(); err != nil {
			return "", err
		}
	} else {
		if name = identifier(p.s[p.i:]); name == "" {
			return "", p.fail("%s stands where a name in quotes should be", p.here())
		}
		p.fixed(fixName)
		p.i += len(name)
	}
	if err := p.space(); err != nil {
		return "", err
	}
	if p.i >= len(p.s) {
		return "", p.cut("an object")
	}
	if p.s[p.i] != ':' {
		return "", p.fail("%s follows a name, want a colon", p.here())
	}
	p.i++
	return name, nil
}

// quoted reads a string. One in single quotes must end at the first that is not escaped: what follows an apostrophe would
// be part of it.
func (p *parser) quoted() (string, *syntax) {
	quote := p.s[p.i]
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == quote:
			p.i++
			if quote == '\'' {
				p.fixed(fixQuote)
				return b.String(), p.delimited()
			}
			return b.String(), nil
		case c == '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
			continue
		case c < ' ':
			if c != '\n' && c != '\r' && c != '\t' {
				return "", p.fail("a control character stands in a string")
			}
			p.fixed(fixControl)
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(p.s[p.i:])
			if !utf8.FullRuneInString(p.s[p.i:]) {
				return "", p.cut("a string")
			}
			if r == utf8.RuneError && size == 1 {
				return "", p.fail("a string is not valid UTF-8")
			}
			b.WriteString(p.s[p.i : p.i+size])
			p.i += size
			continue
		}
		b.WriteByte(c)
		p.i++
	}
	return "", p.cut("a string")
}

// delimited fails where a string in single quotes goes on behind its end.
func (p *parser) delimited() *syntax {
	at := p.i
	if err := p.space(); err != nil {
		return err
	}
	if p.i < len(p.s) && strings.IndexByte(",:}]", p.s[p.i]) < 0 {
		p.i = at
		return p.fail("a string in single quotes has an apostrophe: use double quotes")
	}
	return nil
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escape(b *strings.Builder) *syntax {
	if p.i+1 >= len(p.s) {
		return p.cut("a string")
	}
	c := p.s[p.i+1]
	if c == '\'' {
		p.fixed(fixEscape)
		b.WriteByte(c)
		p.i += 2
		return nil
	}
	if e, ok := escapes[c]; ok {
		b.WriteByte(e)
		p.i += 2
		return nil
	}
	if c != 'u' {
		p.i++
		return p.fail("JSON has no escape \\%s: write a backslash as two", strings.Trim(p.here(), "'"))
	}
	r, err := p.unit()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if !strings.HasPrefix(p.s[p.i:], `\u`) {
			if len(p.s)-p.i < 2 && `\u`[:len(p.s)-p.i] == p.s[p.i:] {
				return p.cut("a string")
			}
			return p.fail("half a character stands in a string")
		}
		low, err := p.unit()
		if err != nil {
			return err
		}
		if r = utf16.DecodeRune(r, low); r == unicode.ReplacementChar {
			return p.fail("half a character stands in a string")
		}
	}
	b.WriteRune(r)
	return nil
}

// unit reads an escape \uXXXX.
func (p *parser) unit() (rune, *syntax) {
	if len(p.s)-p.i < 6 {
		return 0, p.cut("a string")
	}
	var r rune
	for _, c := range []byte(p.s[p.i+2 : p.i+6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, p.fail(`an escape \u in a string has no four hexadecimal digits`)
		}
	}
	p.i += 6
	return r, nil
}

// number reads a number as JSON has them. Others ("1,000", "0x10", ".5") are not guessed at.
func (p *parser) number() (*node, *syntax) {
	end := p.i
	for end < len(p.s) && (strings.IndexByte("+-.", p.s[end]) >= 0 || isWord(p.s[end])) {
		end++
	}
	literal := p.s[p.i:end]
	if !isNumber(literal) {
		if end == len(p.s) && p.i > 0 {
			return nil, p.cut("a number")
		}
		return nil, p.fail("%q is not a number of JSON", clip(literal))
	}
	p.i = end
	return numberNode(literal), nil
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

// isNumber reports whether s is a number by the grammar of JSON.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	s = strings.TrimPrefix(s, "-")
	if rest, ok := strings.CutPrefix(s, "0"); ok {
		s = rest
	} else if !digits() {
		return false
	}
	if rest, ok := strings.CutPrefix(s, "."); ok {
		if s = rest; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// clip shortens what is quoted of a reply.
func clip(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	r := []rune(s)
	return string(r[:most]) + "…"
}

// word reads a literal.
func (p *parser) word() (*node, *syntax) {
	rest := p.s[p.i:]
	end := 0
	for end < len(rest) && isWord(rest[end]) {
		end++
	}
	word := rest[:end]
	var n *node
	switch word {
	case "true", "false":
		n = &node{kind: boolean, text: word}
	case "null":
		n = nullNode
	case "True", "False":
		n = &node{kind: boolean, text: strings.ToLower(word)}
		p.fixed(fixLiteral)
	case "None":
		n = nullNode
		p.fixed(fixLiteral)
	case "NaN", "Infinity":
		return nil, p.fail("JSON has no %s", word)
	case "":
		return nil, p.fail("%s stands where a value should be", p.here())
	default:
		if end == len(rest) && p.i > 0 {
			return nil, p.cut("a value")
		}
		return nil, p.fail("%q stands where a value should be: put strings in double quotes", clip(word))
	}
	p.i += end
	return n, nil
}
