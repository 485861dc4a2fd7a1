package cli

import (
	"context"
	"log/slog"
	"slices"
	"strings"
)

// warningHandler prints warnings of libraries as lines of the command.
type warningHandler struct {
	a     *app
	attrs []slog.Attr
}

func (h warningHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (h warningHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	write := func(at slog.Attr) bool {
		b.WriteString(" " + at.Key + "=" + at.Value.String())
		return true
	}
	for _, at := range h.attrs {
		write(at)
	}
	r.Attrs(write)
	h.a.warn("%s", b.String())
	return nil
}

func (h warningHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(slices.Clip(h.attrs), attrs...)
	return h
}

// WithGroup drops the group: a line for people has none.
func (h warningHandler) WithGroup(string) slog.Handler { return h }
