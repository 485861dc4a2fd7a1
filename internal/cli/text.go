package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine returns text as one line without anything a terminal could act on.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
	return escape(text)
}

// escape returns text with everything that a terminal could act on, or that reorders what a person reads, in a form
// that shows: \x1b, \u202e. Line feeds and tabs stay.
func escape(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return acts(r) || r == utf8.RuneError }) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		appendShown(&b, r, text[i:i+size])
		i += size
	}
	return b.String()
}

// shorten returns the first runes of text, at most n, and says so when there are more.
func shorten(text string, n int) string {
	for i := range text {
		if n--; n < 0 {
			return text[:i] + "…"
		}
	}
	return text
}

// appendShown appends a rune, or the byte that is none, in the form that [escape] gives it.
func appendShown(b *strings.Builder, r rune, raw string) {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		fmt.Fprintf(b, `\x%02x`, raw[0])
	case !acts(r):
		b.WriteString(raw)
	case r == '\r':
		b.WriteString(`\r`)
	case r < 0x80:
		fmt.Fprintf(b, `\x%02x`, r)
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// acts reports whether a terminal or a text renderer does something else with r than show it.
func acts(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.IsControl(r): // C0, DEL and C1
		return true
	case r == '\u2028' || r == '\u2029':
		return true
	case unicode.Is(unicode.Bidi_Control, r): // marks, embeddings, overrides and isolates
		return true
	default:
		return r >= 0xe0000 && r <= 0xe007f // tags: invisible text
	}
}

// escapeJSON returns a JSON document with the same value, in which no rune acts on a terminal.
func escapeJSON(doc []byte) []byte {
	var b strings.Builder
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		switch {
		case !acts(r):
			b.Write(doc[i : i+size])
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		i += size
	}
	return []byte(b.String())
}

// An escaper writes text in the form of [escape]. A rune may be cut anywhere between two writes; Close writes what
// remains of one.
type escaper struct {
	w    io.Writer
	rest []byte // the beginning of a rune
}

func (e *escaper) Write(p []byte) (int, error) {
	text := slices.Concat(e.rest, p)
	whole := len(text)
	// The last bytes are kept when they may begin a rune that the next write completes.
	for i := max(0, whole-utf8.UTFMax+1); i < whole; i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			whole = i
			break
		}
	}
	e.rest = text[whole:]
	if _, err := io.WriteString(e.w, escape(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is left of a rune that never became whole. It does not close the writer below.
func (e *escaper) Close() error {
	rest := e.rest
	e.rest = nil
	_, err := io.WriteString(e.w, escape(string(rest)))
	return err
}

// complete writes what an escaper still has of a rune. Of any other writer, such as a file, it wants nothing.
func complete(w io.Writer) {
	switch w := w.(type) {
	case *escaper:
		_ = w.Close() // a reader that has gone is found when the result is printed
	case *indenter:
		_ = w.Close()
	}
}

// A style colours text for a terminal. The zero style leaves it as it is.
type style struct{ on bool }

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string  { return s.paint("1", text) }
func (s style) faint(text string) string { return s.paint("2", text) }
func (s style) red(text string) string   { return s.paint("31", text) }
func (s style) green(text string) string { return s.paint("32", text) }
