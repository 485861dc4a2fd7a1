package telemetry

import (
	"context"
	"encoding"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// lineHandler writes a line for each record, for people to read: time, level, message, then attributes as key=value.
// Nothing in it can break the line or reach a terminal as a control character.
type lineHandler struct {
	out    *lineWriter
	attrs  string // those of WithAttrs, formatted
	prefix string // the groups that are open, each followed by a dot
}

type lineWriter struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
}

func newLineHandler(w io.Writer, colour bool) *lineHandler {
	return &lineHandler{out: &lineWriter{w: w, colour: colour}}
}

// lineTime has milliseconds and the zone, as lines of several machines are read side by side.
const lineTime = "2006-01-02T15:04:05.000Z07:00"

func (*lineHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	if !r.Time.IsZero() {
		b = h.out.paint(b, dim, r.Time.Format(lineTime))
		b = append(b, ' ')
	}
	b = h.out.paint(b, levelColour(r.Level), r.Level.String())
	if r.Message != "" {
		b = append(append(b, ' '), escapeControl(r.Message)...)
	}
	attrs := append(make([]byte, 0, 256), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		attrs = appendAttr(attrs, h.prefix, a)
		return true
	})
	if len(attrs) > 0 {
		b = h.out.paint(b, dim, string(attrs))
	}
	b = append(b, '\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(b)
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	of := *h
	b := []byte(h.attrs)
	for _, a := range attrs {
		b = appendAttr(b, h.prefix, a)
	}
	of.attrs = string(b)
	return &of
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	of := *h
	if name != "" {
		of.prefix += name + "."
	}
	return &of
}

func (o *lineWriter) paint(b []byte, colour, text string) []byte {
	if !o.colour {
		return append(b, text...)
	}
	b = append(append(append(b, "\x1b["...), colour...), 'm')
	return append(append(b, text...), "\x1b[0m"...)
}

func levelColour(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return red
	case l >= slog.LevelWarn:
		return "33"
	case l >= slog.LevelInfo:
		return green
	}
	return dim
}

// appendAttr adds " key=value", and nothing for an attribute that package slog says to leave out.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, in := range v.Group() {
			b = appendAttr(b, prefix, in)
		}
		return b
	case a.Equal(slog.Attr{}):
		return b
	}
	b = append(b, ' ')
	b = append(append(b, quoted(prefix+a.Key)...), '=')
	return append(b, quoted(valueText(v))...)
}

// valueText is the value as text.
func valueText(v slog.Value) (text string) {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		m, ok := v.Any().(encoding.TextMarshaler)
		if !ok {
			break
		}
		defer func() {
			if recover() != nil {
				text = "!PANIC"
			}
		}()
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	return v.String()
}

// quoted returns text as it is where it is one word, and else in quotes, with everything escaped that is not for the eye.
func quoted(text string) string {
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, needsQuotes) {
		return strconv.Quote(text)
	}
	return text
}

func needsQuotes(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`="\`, r)
}
